//! The simplest bad run, against Dijkstra's algorithm over pairs of state and last agent, on programs
//! with store buffers: hardware that is silent, and for which instructions wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use explore::{
    Agent, Agents, Choice, Model, Next, Options, Stop, Touch, Verdict, What, Words, search,
};

const CPUS: usize = 3;
const WORDS: u32 = 3;
/// Words 0 to 2 are memory; then the buffer of each CPU.
const BUFFER: u32 = WORDS;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Loads a word into the register.
    Load(u8),
    /// Stores 1 or 2, into the store buffer.
    Store(u8, u8),
    /// Waits for an empty store buffer, then adds to the word, modulo 3.
    Add(u8),
    /// Waits until the word is the value.
    Wait(u8, u8),
    /// Goes back if the register is the value.
    Back(u8, u8),
    /// Bad if the register is the first value and the word the second.
    Never(u8, u8, u8),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct State {
    memory: [u8; WORDS as usize],
    pcs: [u8; CPUS],
    registers: [u8; CPUS],
    buffers: [Vec<(u8, u8)>; CPUS],
}

/// The code of each CPU.
#[derive(Clone, Debug, Default)]
struct Program {
    code: Vec<Vec<Op>>,
    /// A store to a word that is not known to be shared goes past the store buffer.
    hasty: bool,
    /// It is not told that an addition writes.
    untold: bool,
}

impl Program {
    fn new(code: Vec<Vec<Op>>) -> Program {
        Program { code, ..Program::default() }
    }

    fn op(&self, state: &State, cpu: usize) -> Option<Op> {
        self.code.get(cpu)?.get(usize::from(state.pcs[cpu])).copied()
    }

    fn sees(state: &State, cpu: usize, word: u8) -> u8 {
        let newest = state.buffers[cpu].iter().rev().find(|(to, _)| *to == word);
        newest.map_or(state.memory[usize::from(word)], |(_, value)| *value)
    }

    /// What a step touches.
    fn touches(&self, state: &State, agent: usize) -> Vec<Touch> {
        let read = |word| Touch { word, write: false };
        let write = |word| Touch { word, write: true };
        if let Some(cpu) = agent.checked_sub(CPUS) {
            let buffer = BUFFER + cpu as u32;
            let oldest = state.buffers[cpu].first();
            return oldest.map_or(vec![], |(to, _)| vec![write((*to).into()), write(buffer)]);
        }
        let buffer = BUFFER + agent as u32;
        match self.op(state, agent) {
            Some(Op::Load(word) | Op::Wait(word, _) | Op::Never(_, word, _)) => {
                vec![read(word.into()), read(buffer)]
            }
            Some(Op::Store(..)) => vec![write(buffer)],
            Some(Op::Add(word)) => vec![write(word.into()), read(word.into()), read(buffer)],
            Some(Op::Back(..)) | None => vec![],
        }
    }

    fn advance(&self, state: &mut State, agent: usize) -> Result<(), ()> {
        if let Some(cpu) = agent.checked_sub(CPUS) {
            let (to, value) = state.buffers[cpu].remove(0);
            state.memory[usize::from(to)] = value;
            return Ok(());
        }
        let op = self.op(state, agent).unwrap();
        state.pcs[agent] += 1;
        match op {
            Op::Load(word) => state.registers[agent] = Self::sees(state, agent, word),
            Op::Store(word, value) => state.buffers[agent].push((word, value)),
            Op::Add(word) => {
                let word = &mut state.memory[usize::from(word)];
                *word = (*word + 1) % 3;
            }
            Op::Wait(..) => {}
            Op::Back(value, to) if state.registers[agent] == value => state.pcs[agent] = to,
            Op::Back(..) => {}
            Op::Never(register, word, value) => {
                let bad =
                    state.registers[agent] == register && Self::sees(state, agent, word) == value;
                return if bad { Err(()) } else { Ok(()) };
            }
        }
        Ok(())
    }

    fn enabled(&self, state: &State) -> Vec<usize> {
        let buffered = |cpu: usize| !state.buffers[cpu].is_empty();
        let drains = (0..CPUS).filter(|cpu| buffered(*cpu)).map(|cpu| cpu + CPUS);
        let runs = (0..CPUS).filter(|&cpu| match self.op(state, cpu) {
            None => false,
            Some(Op::Add(_)) => !buffered(cpu),
            // More than this never ends.
            Some(Op::Store(..)) => state.buffers[cpu].len() < 3,
            Some(Op::Wait(word, value)) => Self::sees(state, cpu, word) == value,
            Some(_) => true,
        });
        drains.chain(runs).collect()
    }
}

impl Model for Program {
    type State = State;
    type Bad = ();
    type Gap = ();

    fn initial(&mut self, _: &mut Words) -> Result<State, Stop<(), ()>> {
        let buffers = [const { Vec::new() }; CPUS];
        Ok(State { memory: [0; 3], pcs: [0; CPUS], registers: [0; CPUS], buffers })
    }

    fn choices(&self, state: &State, out: &mut Vec<Choice>) {
        out.extend(self.enabled(state).iter().map(|&a| Choice { agent: a as u8, pick: 0 }));
    }

    fn step(
        &mut self,
        state: &mut State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<(), ()>> {
        let agent = usize::from(choice.agent);
        for touch in self.touches(state, agent) {
            words.touch(choice.agent, touch.word, touch.write);
        }
        match (agent < CPUS).then(|| self.op(state, agent)).flatten() {
            Some(Op::Store(word, value)) if self.hasty && !words.is_shared(word.into()) => {
                words.touch(choice.agent, word.into(), true);
                state.memory[usize::from(word)] = value;
                state.pcs[agent] += 1;
                Ok(())
            }
            _ => self.advance(state, agent).map_err(Stop::Violation),
        }
    }

    fn inspect(&mut self, _: &State, _: &mut Words) -> Result<(), Stop<(), ()>> {
        Ok(())
    }

    fn key(&self, state: &State) -> u128 {
        let mut bytes = [&state.memory[..], &state.pcs, &state.registers].concat();
        for buffer in &state.buffers {
            bytes.extend(buffer.iter().flat_map(|(to, value)| [to + 1, value + 1]));
            bytes.push(0);
        }
        bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
    }

    fn ended(&self, state: &State) -> bool {
        (0..CPUS).all(|cpu| self.op(state, cpu).is_none() && state.buffers[cpu].is_empty())
    }

    fn next(&self, state: &State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let agent = usize::from(agent);
        let point = match agent.checked_sub(CPUS) {
            Some(cpu) => state.buffers[cpu].first().map(|_| 0)?,
            None => self.op(state, agent).map(|_| u64::from(state.pcs[agent]))?,
        };
        let mut all = self.touches(state, agent);
        if self.untold && agent < CPUS && matches!(self.op(state, agent), Some(Op::Add(_))) {
            all.retain(|touch| !touch.write);
        }
        touches.extend(all);
        // How many are buffered is the CPU's own business, but what it waits for is not its alone.
        Some(Next { point, reducible: true })
    }

    fn agents(&self) -> u8 {
        2 * CPUS as u8
    }

    fn recurrent(&self) -> Agents {
        0b111 << CPUS
    }

    fn silent(&self) -> Agents {
        0b111 << CPUS
    }

    fn served_by(&self, agent: Agent) -> Agents {
        1 << (usize::from(agent) % CPUS + CPUS)
    }
}

/// Switches, and steps.
type Place = (u32, u32);

/// What brute force says of a program.
#[derive(Debug)]
struct Truth {
    /// The simplest run to a violation or a deadlock.
    bad: Option<Place>,
    /// The fewest switches into a circle.
    circle: Option<u32>,
    /// The fewest switches to a state from which no end, nor anything bad, can be reached.
    trapped: Option<u32>,
}

struct Graph {
    states: Vec<State>,
    next: Vec<Vec<(usize, usize)>>,
    /// Some step from here is a violation.
    bad: Vec<bool>,
}

const MOST_STATES: usize = 4_000;

fn graph(program: &Program) -> Option<Graph> {
    let first = program.clone().initial(&mut Words::all()).ok()?;
    let mut numbers = HashMap::from([(first.clone(), 0)]);
    let mut graph = Graph { states: vec![first], next: vec![], bad: vec![] };
    let mut from = 0;
    while let Some(state) = graph.states.get(from).cloned() {
        let (mut next, mut bad) = (vec![], false);
        for agent in program.enabled(&state) {
            let mut to = state.clone();
            if program.advance(&mut to, agent).is_err() {
                bad = true;
                next.push((agent, usize::MAX));
                continue;
            }
            let number = *numbers.entry(to.clone()).or_insert_with(|| {
                graph.states.push(to);
                graph.states.len() - 1
            });
            next.push((agent, number));
        }
        graph.next.push(next);
        graph.bad.push(bad);
        from += 1;
        if graph.states.len() > MOST_STATES {
            return None;
        }
    }
    Some(graph)
}

impl Graph {
    fn reachable(&self, from: usize) -> BTreeSet<usize> {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(node) = open.pop() {
            for &(_, to) in self.next[node].iter().filter(|(_, to)| *to != usize::MAX) {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    }

    /// The states from which no end can be reached, and those among them that are in a circle.
    fn trapped(&self) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let mut free: BTreeSet<usize> =
            (0..self.states.len()).filter(|&n| self.bad[n] || self.next[n].is_empty()).collect();
        loop {
            let more: Vec<usize> = (0..self.states.len())
                .filter(|n| !free.contains(n))
                .filter(|&n| self.next[n].iter().any(|(_, to)| free.contains(to)))
                .collect();
            if more.is_empty() {
                break;
            }
            free.extend(more);
        }
        let trapped: BTreeSet<usize> =
            (0..self.states.len()).filter(|n| !free.contains(n)).collect();
        let circle = |&node: &usize| {
            let after = self.reachable(node);
            after.len() <= 64 && after.iter().all(|&other| self.reachable(other).contains(&node))
        };
        (trapped.clone(), trapped.into_iter().filter(circle).collect())
    }

    fn truth(&self, program: &Program) -> Truth {
        let (trapped, circle) = self.trapped();
        let mut truth = Truth { bad: None, circle: None, trapped: None };
        // Places to look at next, by cost: the pair of state and last agent.
        let mut open: BTreeMap<Place, BTreeSet<(usize, usize)>> = BTreeMap::new();
        let mut done = BTreeSet::new();
        open.entry((0, 0)).or_default().insert((0, usize::MAX));
        let better = |known: &mut Option<u32>, n: u32| *known = Some(known.map_or(n, |k| k.min(n)));
        while let Some((at, pairs)) = open.pop_first() {
            for (node, last) in pairs {
                if !done.insert((node, last)) {
                    continue;
                }
                if trapped.contains(&node) {
                    better(&mut truth.trapped, at.0);
                }
                if circle.contains(&node) {
                    better(&mut truth.circle, at.0);
                }
                let state = &self.states[node];
                if self.next[node].is_empty() && !program.ended(state) {
                    truth.bad = Some(truth.bad.map_or(at, |bad| bad.min(at)));
                }
                let can = |agent: usize| self.next[node].iter().any(|(a, _)| *a == agent);
                let goes_on = last < CPUS && (can(last) || can(last + CPUS));
                for &(agent, to) in &self.next[node] {
                    let switch = agent < CPUS && agent != last && goes_on;
                    let place = (at.0 + u32::from(switch), at.1 + 1);
                    if to == usize::MAX {
                        truth.bad = Some(truth.bad.map_or(place, |bad| bad.min(place)));
                        continue;
                    }
                    let last = if agent < CPUS { agent } else { last };
                    open.entry(place).or_default().insert((to, last));
                }
            }
        }
        truth
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).rem_euclid(n) as u8
    }

    fn program(&mut self) -> Program {
        let cpus = 2 + usize::from(self.below(2));
        let most = if cpus == 2 { 5 } else { 4 };
        let code: Vec<Vec<Op>> =
            (0..cpus).map(|_| (0..1 + self.below(most)).map(|i| self.op(i)).collect()).collect();
        Program { code, hasty: self.below(2) == 0, untold: self.below(3) == 0 }
    }

    fn op(&mut self, at: u8) -> Op {
        let (word, value) = (self.below(3), self.below(3));
        match self.below(12) {
            0..=2 => Op::Load(word),
            3..=5 => Op::Store(word, 1 + self.below(2)),
            6 => Op::Add(word),
            7 => Op::Wait(word, value),
            8 => Op::Back(value, self.below(u64::from(at) + 1)),
            _ => Op::Never(self.below(3), word, value),
        }
    }
}

/// The programs to compare; `SIMPLEST_PROGRAMS` asks for more.
fn programs() -> u64 {
    std::env::var("SIMPLEST_PROGRAMS").map_or(1_500, |text| text.parse().expect("a number"))
}

fn each_program(mut compare: impl FnMut(u64, &Program, &Truth)) {
    for seed in 1..=programs() {
        let program = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).program();
        let Some(graph) = graph(&program) else { continue };
        compare(seed, &program, &graph.truth(&program));
    }
}

/// Each way of searching; how soon a round that has learnt something ends differs from program to program.
fn ways(seed: u64) -> [Options; 4] {
    let patience = [0, 10, 100, 1_000][seed as usize % 4];
    let defaults = Options { patience, ..Options::default() };
    [(false, true), (true, true), (false, false), (true, false)]
        .map(|(reduction, every_access)| Options { reduction, every_access, ..defaults.clone() })
}

#[test]
fn the_run_found_is_the_simplest() {
    let (mut bad, mut circles, mut trapped, mut good) = (0, 0, 0, 0);
    each_program(|seed, program, truth| {
        for options in ways(seed) {
            let options = Options { progress_every: 1, ..options };
            // What the last step but those of a second search cost, by which budgets cut short.
            let mut cost = 0;
            let found = search(&mut program.clone(), &options, &mut |progress| {
                cost = if progress.shortening { cost } else { progress.switches };
                ControlFlow::Continue(())
            });
            let told = || format!("seed {seed}: {program:?}, {truth:?}, {options:?}, {found:?}");
            let simplest_bad = truth.bad.map(|bad| bad.0);
            match &found.verdict {
                Verdict::Pass => {
                    assert!(simplest_bad.is_none() && truth.trapped.is_none(), "{}", told());
                    good += 1;
                }
                Verdict::Violated { what: What::Livelock, switches, shortest: true, .. } => {
                    let expected = truth.circle.or(truth.trapped);
                    assert_eq!(Some(*switches), expected, "{}", told());
                    assert!(simplest_bad.is_none_or(|bad| *switches <= bad), "{}", told());
                    circles += u32::from(truth.circle.is_some());
                    trapped += u32::from(truth.circle.is_none());
                }
                Verdict::Violated { trail, switches, shortest: true, .. } => {
                    let place = (*switches, trail.len() as u32);
                    // A deadlock shows at a state, a violation in a step. What does not go through a store
                    // buffer does so in a step less.
                    if program.hasty && !options.every_access {
                        let steps = truth.bad.filter(|bad| bad.0 == place.0 && bad.1 >= place.1);
                        assert!(steps.is_some(), "{}", told());
                    } else {
                        assert_eq!(Some(place), truth.bad, "{}", told());
                    }
                    assert!(cost <= place.0, "found at {cost}: {}", told());
                    assert!(truth.circle.is_none_or(|circle| circle >= place.0), "{}", told());
                    bad += 1;
                }
                _ => panic!("{}", told()),
            }
        }
    });
    assert!(bad >= 800 && circles >= 50 && good >= 100, "{bad}, {circles}, {trapped}, {good}");
}

#[test]
fn a_search_cut_short_says_no_more_than_is_true() {
    let (mut said, mut apart) = (0, 0);
    each_program(|seed, program, truth| {
        for options in ways(seed) {
            for states in (5..120).step_by(9) {
                let options = Options { states, ..options.clone() };
                let found =
                    search(&mut program.clone(), &options, &mut |_| ControlFlow::Continue(()));
                let Verdict::Undecided { complete_switches, complete_livelocks, .. } =
                    found.verdict
                else {
                    continue;
                };
                said += u32::from(complete_switches.is_some());
                apart += u32::from(complete_livelocks != complete_switches);
                let told =
                    || format!("seed {seed}: {program:?}, {truth:?}, {options:?}, {found:?}");
                let less = |said: Option<u32>, bad: Option<u32>| {
                    said.is_none_or(|said| bad.is_none_or(|bad| said < bad))
                };
                assert!(less(complete_switches, truth.bad.map(|bad| bad.0)), "{}", told());
                assert!(less(complete_livelocks, truth.trapped), "{}", told());
                assert!(complete_livelocks <= complete_switches, "{}", told());
            }
        }
    });
    assert!(said >= 500 && apart >= 50, "said something {said} times, {apart} times less");
}

/// CPU 0 and CPU 1 come to the same state, either of them last, where what CPU 0 does next stands for
/// all: behind it, too, each may go on at no cost.
#[test]
fn who_comes_second_goes_on_behind_a_forced_step() {
    let cpu0 = vec![Op::Add(1), Op::Never(2, 0, 0), Op::Load(1), Op::Back(2, 0)];
    let program = Program::new(vec![cpu0, vec![Op::Add(1), Op::Add(0), Op::Wait(0, 1)]]);
    assert_eq!(graph(&program).unwrap().truth(&program).bad, Some((1, 7)));
    let options = Options { progress_every: 1, every_access: true, ..Options::default() };
    let mut cost = 0;
    let found = search(&mut program.clone(), &options, &mut |progress| {
        cost = if progress.shortening { cost } else { progress.switches };
        ControlFlow::Continue(())
    });
    assert!(matches!(found.verdict, Verdict::Violated { switches: 1, shortest: true, .. }));
    assert_eq!(cost, 1, "a search cut short before would say too much");
}
