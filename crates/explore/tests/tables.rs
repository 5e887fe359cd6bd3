//! Models that are tables of states and steps, against Dijkstra's algorithm over pairs of state and
//! last agent: silent and optional steps, runs that stop in every way, circles.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use explore::{
    Agent, Agents, Choice, Found, Model, Next, Options, Stop, Touch, Verdict, What, Why, Words,
    search,
};

/// Agents 0 to 2 run; agent 3 is silent.
const AGENTS: u8 = 4;
const SILENT: Agents = 0b1000;

/// Where a step leads, or how it stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    State(usize),
    Bad,
    Gap,
    Discarded,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    agent: Agent,
    optional: bool,
    to: To,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// How a run stops here, if it does.
    stops: Option<To>,
    /// Whether it is an end where only optional steps are left.
    end: bool,
    steps: Vec<Step>,
}

/// The first state is the one the search begins in.
#[derive(Clone, Debug)]
struct Table {
    states: Vec<State>,
    /// The agent that the silent one serves.
    served: Option<Agent>,
}

fn stop(to: To) -> Result<usize, Stop<(), ()>> {
    match to {
        To::State(state) => Ok(state),
        To::Bad => Err(Stop::Violation(())),
        To::Gap => Err(Stop::Unmodelled(())),
        To::Discarded => Err(Stop::Discarded),
    }
}

impl Model for Table {
    type State = usize;
    type Bad = ();
    type Gap = ();

    fn initial(&mut self, _: &mut Words) -> Result<usize, Stop<(), ()>> {
        Ok(0)
    }

    fn choices(&self, state: &usize, out: &mut Vec<Choice>) {
        let steps = self.states[*state].steps.iter().zip(0..);
        out.extend(steps.map(|(step, pick)| Choice { agent: step.agent, pick }));
    }

    fn step(
        &mut self,
        state: &mut usize,
        choice: Choice,
        _: &mut Words,
    ) -> Result<(), Stop<(), ()>> {
        *state = stop(self.states[*state].steps[usize::from(choice.pick)].to)?;
        Ok(())
    }

    fn inspect(&mut self, state: &usize, _: &mut Words) -> Result<(), Stop<(), ()>> {
        self.states[*state].stops.map_or(Ok(()), |to| stop(to).map(drop))
    }

    fn key(&self, state: &usize) -> u128 {
        (*state as u128 + 1).wrapping_mul(0xda94_2042_e4dd_58b5_2360_ed05_1fc6_5da5)
    }

    fn ended(&self, state: &usize) -> bool {
        self.states[*state].end
    }

    fn optional(&self, state: &usize, choice: Choice) -> bool {
        self.states[*state].steps[usize::from(choice.pick)].optional
    }

    fn next(&self, _: &usize, _: Agent, _: &mut Vec<Touch>) -> Option<Next> {
        None
    }

    fn agents(&self) -> u8 {
        AGENTS
    }

    fn recurrent(&self) -> Agents {
        (1 << AGENTS) - 1
    }

    fn silent(&self) -> Agents {
        SILENT
    }

    fn served_by(&self, agent: Agent) -> Agents {
        if self.served == Some(agent) { SILENT } else { 0 }
    }
}

/// Switches, and steps.
type Place = (u32, u32);

/// What brute force says of a table.
#[derive(Debug, Default)]
struct Truth {
    /// The simplest run to a violation or a deadlock.
    bad: Option<Place>,
    /// The fewest switches to a gap.
    gap: Option<u32>,
    /// The fewest switches into a circle.
    circle: Option<u32>,
    /// The fewest switches to a state from which no end, nor anything bad, can be reached.
    trapped: Option<u32>,
}

fn least<T: Ord + Copy>(known: &mut Option<T>, new: T) {
    *known = Some(known.map_or(new, |known| known.min(new)));
}

impl Table {
    /// Where the steps that have to be taken lead.
    fn required(&self, state: usize) -> impl Iterator<Item = To> {
        self.states[state].steps.iter().filter(|step| !step.optional).map(|step| step.to)
    }

    /// The states from which no end can be reached.
    fn trapped(&self) -> BTreeSet<usize> {
        let mut trapped: BTreeSet<usize> = (0..self.states.len()).collect();
        loop {
            let leads_out = |to: To| !matches!(to, To::State(to) if trapped.contains(&to));
            let free = trapped.iter().copied().find(|&state| {
                self.states[state].stops.is_some()
                    || self.required(state).next().is_none()
                    || self.required(state).any(leads_out)
            });
            let Some(free) = free else { return trapped };
            trapped.remove(&free);
        }
    }

    fn after(&self, state: usize) -> BTreeSet<usize> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![state]);
        while let Some(state) = open.pop() {
            for to in self.required(state) {
                if let To::State(to) = to
                    && seen.insert(to)
                {
                    open.push(to);
                }
            }
        }
        seen
    }

    fn truth(&self) -> Truth {
        let trapped = self.trapped();
        let comes_back = |&state: &usize| {
            let after = self.after(state);
            after.len() <= 64 && after.iter().all(|&other| self.after(other).contains(&state))
        };
        let circles: BTreeSet<usize> = trapped.iter().copied().filter(comes_back).collect();
        let mut truth = Truth::default();
        // What to look at next: state, and the agent that came last.
        let mut open = BTreeMap::from([((0, 0), BTreeSet::from([(0, None)]))]);
        let mut done = BTreeSet::new();
        while let Some((place, pairs)) = open.pop_first() {
            for (state, last) in pairs.into_iter().filter(|pair| done.insert(*pair)) {
                if trapped.contains(&state) {
                    least(&mut truth.trapped, place.0);
                }
                if circles.contains(&state) {
                    least(&mut truth.circle, place.0);
                }
                let State { stops, end, steps } = &self.states[state];
                let waits = steps.iter().all(|step| step.optional);
                match stops {
                    Some(To::Bad) => least(&mut truth.bad, place),
                    Some(To::Gap) => least(&mut truth.gap, place.0),
                    None if waits && !end => least(&mut truth.bad, place),
                    _ => {}
                }
                if stops.is_some() {
                    continue;
                }
                let serves = |agent: Agent| agent == 3 && last.is_some() && self.served == last;
                let own = |agent: Agent| last == Some(agent) || serves(agent);
                let goes_on = steps.iter().any(|step| !step.optional && own(step.agent));
                for &Step { agent, to, .. } in steps {
                    let switch = goes_on && last != Some(agent) && agent != 3;
                    let place = (place.0 + u32::from(switch), place.1 + 1);
                    let last = if agent == 3 { last } else { Some(agent) };
                    match to {
                        To::State(to) => drop(open.entry(place).or_default().insert((to, last))),
                        To::Bad => least(&mut truth.bad, place),
                        To::Gap => least(&mut truth.gap, place.0),
                        To::Discarded => {}
                    }
                }
            }
        }
        truth
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn table(&mut self) -> Table {
        let count = 3 + self.below(10);
        // Some are without any end, some without anything bad.
        let (stops, gaps, optional) = (self.below(3), self.below(4), self.below(3));
        let states = (0..count).map(|_| self.state(count, (stops, gaps, optional))).collect();
        Table { states, served: [None, Some(0), Some(1)][self.below(3)] }
    }

    fn state(&mut self, count: usize, (stops, gaps, optional): (usize, usize, usize)) -> State {
        let how = |random: &mut Random, one_in: usize| {
            let kind =
                [To::Bad, To::Discarded, To::Gap][random.below(if gaps == 0 { 3 } else { 2 })];
            (stops > 0 && random.below(one_in) == 0).then_some(kind)
        };
        let stop = how(self, 24);
        let steps = (0..self.below(5)).map(|_| Step {
            agent: self.below(usize::from(AGENTS)) as Agent,
            optional: optional > 0 && self.below(3) == 0,
            to: how(self, 24).unwrap_or_else(|| To::State(self.below(count))),
        });
        let steps = steps.collect();
        State { stops: stop, end: self.below(6) > 0, steps }
    }
}

/// The tables to compare; `TABLES` asks for more.
fn tables() -> impl Iterator<Item = (u64, Table, Truth)> {
    let count = std::env::var("TABLES").map_or(20_000, |text| text.parse().expect("a number"));
    (1..=count).map(|seed: u64| {
        let table = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).table();
        let truth = table.truth();
        (seed, table, truth)
    })
}

fn find(table: &Table, options: &Options) -> Found<(), ()> {
    search(&mut table.clone(), options, &mut |_| ControlFlow::Continue(()))
}

const WAYS: [bool; 2] = [false, true];

fn options(reduction: bool) -> Options {
    Options { reduction, ..Options::default() }
}

#[test]
fn the_run_found_is_the_simplest() {
    let mut seen = BTreeMap::new();
    for (seed, table, truth) in tables() {
        for reduction in WAYS {
            let found = find(&table, &options(reduction));
            let told = || format!("seed {seed}, {reduction}: {truth:?}, {found:?}, {table:#?}");
            let kind = match &found.verdict {
                Verdict::Pass => {
                    let Truth { bad, gap, circle, trapped } = truth;
                    let nothing = bad.is_none() && circle.is_none() && trapped.is_none();
                    assert!(nothing && gap.is_none(), "{}", told());
                    "good"
                }
                Verdict::Undecided { why: Why::Gap((), _), complete_switches, .. } => {
                    assert!(truth.bad.is_none() && truth.trapped.is_none(), "{}", told());
                    let gap = truth.gap.unwrap_or_else(|| panic!("{}", told()));
                    assert_eq!(*complete_switches, gap.checked_sub(1), "{}", told());
                    "gap"
                }
                Verdict::Undecided { .. } => panic!("{}", told()),
                Verdict::Violated { what: What::Livelock, switches, shortest, .. } => {
                    assert!(*shortest || truth.gap.is_some(), "{}", told());
                    // Who is trapped in so few states comes to a circle.
                    assert_eq!(Some(*switches), truth.circle, "{}", told());
                    let no_sooner = truth.bad.is_none_or(|bad| bad.0 >= *switches);
                    assert!(no_sooner, "{}", told());
                    "circle"
                }
                Verdict::Violated { trail, switches, shortest, .. } => {
                    assert!(*shortest || truth.gap.is_some(), "{}", told());
                    let place = (*switches, trail.len() as u32);
                    assert_eq!(Some(place), truth.bad, "{}", told());
                    assert!(truth.circle.is_none_or(|circle| circle >= place.0), "{}", told());
                    "bad"
                }
            };
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    let enough = seen.values().all(|count| *count >= 200);
    assert!(seen.len() == 4 && enough, "{seen:?}");
}

#[test]
fn a_search_cut_short_says_no_more_than_is_true() {
    let (mut said, mut apart) = (0, 0);
    for (seed, table, truth) in tables() {
        for reduction in WAYS {
            for states in 1..table.states.len() as u64 {
                let found = find(&table, &Options { states, ..options(reduction) });
                let Verdict::Undecided { complete_switches, complete_livelocks, .. } =
                    found.verdict
                else {
                    continue;
                };
                let told = || format!("seed {seed}: {truth:?}, {found:?}, {table:#?}");
                let less = |said: Option<u32>, bad: Option<u32>| {
                    said.is_none_or(|said| bad.is_none_or(|bad| said < bad))
                };
                assert!(less(complete_switches, truth.bad.map(|bad| bad.0)), "{}", told());
                assert!(less(complete_switches, truth.gap), "{}", told());
                assert!(less(complete_livelocks, truth.trapped), "{}", told());
                assert!(complete_livelocks <= complete_switches, "{}", told());
                said += u32::from(complete_switches.is_some());
                apart += u32::from(complete_livelocks != complete_switches);
            }
        }
    }
    assert!(said >= 500 && apart >= 50, "said something {said} times, {apart} times less");
}

fn step(agent: Agent, to: To) -> Step {
    Step { agent, optional: false, to }
}

fn optional(agent: Agent, to: To) -> Step {
    Step { optional: true, ..step(agent, to) }
}

fn state(steps: &[Step]) -> State {
    State { steps: steps.to_vec(), ..State::default() }
}

/// Agent 0 goes round `count` states, the first apart; agent 1 may do what must not be, by a switch.
fn circle(count: usize) -> Table {
    let round = |i| state(&[step(0, To::State(1 + (i + 1) % count)), optional(1, To::Bad)]);
    let states = [state(&[step(0, To::State(1))])].into_iter().chain((0..count).map(round));
    Table { states: states.collect(), served: None }
}

/// The size of what is found on the way is known, or else "(shortest)" would mean nothing.
#[test]
fn a_circle_has_at_most_64_states() {
    for reduction in WAYS {
        let what = |count: usize| match find(&circle(count), &options(reduction)).verdict {
            Verdict::Violated { what, switches, shortest: true, .. } => (what, switches),
            verdict => panic!("{verdict:?}"),
        };
        assert_eq!(what(64), (What::Livelock, 0));
        assert_eq!(what(65), (What::Bad(()), 1));
    }
}

/// What comes after a gap might be simpler than a run that goes on for ever, too.
#[test]
fn a_livelock_beside_a_gap_may_not_be_the_simplest() {
    let Table { mut states, served } = circle(65);
    for state in &mut states[1..] {
        state.steps.truncate(1);
    }
    states[0].steps.push(step(1, To::Gap));
    let table = Table { states, served };
    for reduction in WAYS {
        let found = find(&table, &options(reduction));
        let Verdict::Violated { what: What::Livelock, shortest: false, .. } = found.verdict else {
            panic!("{found:?}")
        };
    }
}

/// More states than are tried out follow from the first, which is looked at, as agent 0 stays there. Among the
/// last of them is the circle, of which nothing follows from that.
#[test]
fn a_circle_behind_many_states_is_found() {
    let on = |i: usize| state(&[step(1, To::State(i + 1))]);
    let first = state(&[step(0, To::State(0)), step(1, To::State(1))]);
    let way = std::iter::once(first).chain((1..250).map(on));
    let round = |i: usize| {
        state(&[step(1, To::State(if i < 259 { i + 1 } else { 250 })), optional(2, To::Bad)])
    };
    let table = Table { states: way.chain((250..260).map(round)).collect(), served: None };
    for reduction in WAYS {
        let found = find(&table, &options(reduction));
        let Verdict::Violated { what: What::Livelock, switches: 0, shortest: true, .. } =
            found.verdict
        else {
            panic!("{found:?}")
        };
    }
}

/// Agent 1 stays where it is, once at no cost: then what it does after the silent step costs nothing
/// either. It does so before the silent step is taken, which is what the search takes next.
#[test]
fn who_stays_in_a_state_is_handed_on_from_it() {
    let stays = [step(1, To::State(1)), step(3, To::State(2))];
    let ends = [step(1, To::Bad), step(2, To::State(3))];
    let end = State { end: true, ..State::default() };
    let states = vec![state(&[step(2, To::State(1))]), state(&stays), state(&ends), end];
    let table = Table { states, served: None };
    for reduction in WAYS {
        let found = find(&table, &options(reduction));
        let Verdict::Violated { what: What::Bad(()), trail, switches: 0, shortest: true } =
            &found.verdict
        else {
            panic!("{found:?}")
        };
        assert_eq!(trail.iter().map(|choice| choice.agent).collect::<Vec<_>>(), [2, 1, 3, 1]);
    }
}
