//! Generated programs: every way of searching them says the same.

mod program;

use explore::{Options, Progress, Verdict, What, search};
use program::{Bad, Op, Program, Spec, Told, WAYS, Way};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Enough for a program of the generator; larger ones are skipped.
const STATES: u64 = 60_000;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).rem_euclid(n) as u8
    }

    fn op(&mut self, len: u8) -> Op {
        let (r, q) = (usize::from(self.below(2)), usize::from(self.below(2)));
        let (w, v) = (self.below(4), self.below(2));
        let to = self.below(u64::from(len) + 1);
        match self.below(28) {
            0..=4 => Op::Load(r, w),
            5..=7 => Op::Store(w, r),
            8..=11 => Op::StoreImm(w, v),
            12 => Op::LoadAt(r, w, q),
            13 => Op::StoreAt(w, q, v),
            14..=15 => Op::FetchAdd(r, w, 1),
            16 => Op::Cas(r, w, v, 1 - v),
            17..=18 => Op::JumpEq(r, v, to),
            19..=20 => Op::JumpNe(r, v, to),
            21 => Op::Wait(w, v),
            22 => Op::AssertEq(r, v),
            23 => Op::AssertRegsEq(r, q),
            24 => Op::AssumeNe(r, v),
            25 => Op::Choose(r, 2),
            26 => Op::AddReg(r, 1),
            _ => Op::Set(r, v),
        }
    }

    fn code(&mut self, most: u64) -> Vec<Op> {
        let len = 1 + self.below(most);
        (0..len).map(|_| self.op(len)).collect()
    }

    fn program(&mut self) -> Program {
        let agents = 2 + self.below(2);
        let most = if agents == 2 { 7 } else { 5 };
        let mut program = Program::new(&[]);
        program.modulus = 2 + self.below(2);
        for _ in 0..agents {
            program.agents.push(Spec { code: self.code(most), irq: None });
        }
        if self.below(3) == 0 {
            let (word, host) = (self.below(4), self.below(u64::from(agents)));
            let code = self.code(3);
            program = program.irq(word, host, &code);
        }
        if self.below(3) == 0 {
            program.never = vec![(self.below(4), 1), (self.below(4), self.below(2))];
        }
        program.told =
            [Told::All, Told::All, Told::All, Told::Nothing, Told::Reads, Told::Elsewhere]
                [usize::from(self.below(6))];
        program
    }
}

/// A generated program, and how soon a round that has learnt something makes way for the next: at once, most
/// of what follows is learnt in later rounds.
struct Case {
    seed: u64,
    program: Program,
    patience: u64,
}

impl Case {
    fn options(&self, way: Way) -> Options {
        Options { patience: self.patience, ..program::options(way) }
    }
}

/// The programs to compare; `RANDOM_PROGRAMS` asks for more.
fn cases() -> impl Iterator<Item = Case> {
    let count = std::env::var("RANDOM_PROGRAMS").map_or(1_500, |t| t.parse().expect("a number"));
    (1..=count).map(|seed: u64| {
        let program = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).program();
        Case { seed, program, patience: [0, 10, 100, 1_000][seed as usize % 4] }
    })
}

/// What a search that collects finds.
type Collected = (BTreeSet<program::State>, BTreeSet<Bad>, bool);

fn collect(case: &Case, way: Way) -> Option<Collected> {
    let mut program = Program { collect: true, ..case.program.clone() };
    let options =
        Options { states: STATES, shorten_states: 0, circles: false, ..case.options(way) };
    let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
    let livelock = match found.verdict {
        Verdict::Pass => false,
        Verdict::Violated { what: What::Livelock, .. } => true,
        Verdict::Violated { what, .. } => panic!("{what:?} though collecting"),
        Verdict::Undecided { .. } => return None,
    };
    let round = found.stats.rounds as usize - 1;
    Some((program.finals[round].clone(), program.bads[round].clone(), livelock))
}

/// Whether the simplest bad run is a livelock, and its switches.
fn verdict(case: &Case, way: Way) -> Option<Option<(bool, u32)>> {
    let mut program = case.program.clone();
    let options = Options { states: STATES, progress_every: 1, ..case.options(way) };
    // What the last step but those of a second search cost, by which budgets cut short.
    let mut cost = 0;
    let found = search(&mut program, &options, &mut |progress| {
        cost = if progress.shortening { cost } else { progress.switches };
        ControlFlow::Continue(())
    });
    match found.verdict {
        Verdict::Pass => Some(None),
        Verdict::Violated { what, switches, shortest, .. } => {
            assert!(shortest, "{way:?} {what:?} {switches} {:?}: {program:#?}", found.stats);
            // A livelock that is found on the way under reduction is found in no order.
            let in_order = cost <= switches || what == What::Livelock;
            assert!(in_order, "{way:?} {what:?} {switches}, found at {cost}: {program:#?}");
            Some(Some((what == What::Livelock, switches)))
        }
        Verdict::Undecided { .. } => None,
    }
}

#[test]
fn every_way_of_searching_says_the_same() {
    let (mut compared, mut bad, mut trapped) = (0, 0, 0);
    for case in cases() {
        let Case { seed, program, .. } = &case;
        let Some(all) = collect(&case, Way::Brute) else { continue };
        let Some(one) = verdict(&case, Way::Brute) else { continue };
        let Some(other) = verdict(&case, Way::Shared) else { continue };
        for way in WAYS {
            let same = collect(&case, way).expect("no more than brute force");
            assert_eq!(same, all, "seed {seed}, {way:?}: {program:#?}");
            let same = verdict(&case, way).expect("no more than brute force");
            let expected = if case.options(way).every_access { one } else { other };
            assert_eq!(same, expected, "seed {seed}, {way:?}: {program:#?}");
        }
        // What is private costs no switch, so an agent may already be in the loop it stays in.
        assert_eq!(one.is_some(), other.is_some(), "seed {seed}: {program:#?}");
        assert!(other <= one || one.is_some_and(|one| other.unwrap().1 <= one.1), "seed {seed}");
        compared += 1;
        bad += u32::from(one.is_some());
        trapped += u32::from(all.2);
    }
    assert!(compared >= 1_000, "{compared} programs compared");
    assert!(bad >= 300 && trapped >= 100, "{bad} bad, {trapped} with a livelock");
    assert!(bad <= compared - 200, "{bad} of {compared} bad");
}

#[test]
fn a_search_cut_short_does_not_say_too_much() {
    let (mut said, mut stopped) = (0, 0);
    for case in cases() {
        let Case { seed, program, .. } = &case;
        // Only a search to the end can tell a livelock.
        let Some(Some((false, switches))) = verdict(&case, Way::Brute) else { continue };
        for way in WAYS {
            for states in (10..150).step_by(5) {
                let options = Options { states, ..case.options(way) };
                let mut program = program.clone();
                let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
                let Verdict::Undecided { complete_switches, .. } = found.verdict else { continue };
                said += u32::from(complete_switches.is_some());
                let honest = complete_switches.is_none_or(|complete| complete < switches);
                assert!(honest, "seed {seed}, {way:?}, {states} states: {complete_switches:?}");
            }
            for after in (1..40).step_by(3) {
                let options = Options { progress_every: after, ..case.options(way) };
                let found = search(&mut program.clone(), &options, &mut |_| ControlFlow::Break(()));
                let Verdict::Undecided { complete_switches, .. } = found.verdict else { continue };
                stopped += u32::from(complete_switches.is_some());
                let honest = complete_switches.is_none_or(|complete| complete < switches);
                assert!(honest, "seed {seed}, {way:?}, after {after}: {complete_switches:?}");
            }
        }
    }
    assert!(said >= 150 && stopped >= 50, "said something {said} and {stopped} times");
}

/// A bad run of a round that is not the last is told where the search is ended before the last finds it
/// again, and of several the simplest.
#[test]
fn what_was_found_is_told_where_a_search_is_ended() {
    let mut found_before = 0;
    for case in cases().take(400) {
        for way in WAYS {
            let options = Options { progress_every: 1, states: STATES, ..case.options(way) };
            let mut known: Option<(u32, usize)> = None;
            for calls in 1..120 {
                let (mut left, mut shortening) = (calls, false);
                let found = search(&mut case.program.clone(), &options, &mut |progress| {
                    shortening = progress.shortening;
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                if left > 0 {
                    break;
                }
                let told = || format!("seed {}, {way:?}, {calls} steps: {found:?}", case.seed);
                match &found.verdict {
                    // A last round, which need not find it at once.
                    Verdict::Violated { shortest: false, .. } if shortening => {}
                    Verdict::Violated { shortest: false, trail, switches, .. } => {
                        let place = (*switches, trail.len());
                        assert!(known.is_none_or(|known| place <= known), "{known:?}, {}", told());
                        found_before += u32::from(known.is_none());
                        known = Some(place);
                    }
                    Verdict::Undecided { .. } => assert!(known.is_none(), "{}", told()),
                    _ => panic!("{}", told()),
                }
            }
        }
    }
    assert!(found_before >= 50, "{found_before}");
}

/// A bad run where some kind is wanted: whether it is of that, its switches, its steps.
type Place = (bool, u32, usize);

fn verdict_where(wanted: &What<Bad>, case: &Case, way: Way) -> Option<Option<Place>> {
    let mut program = Program { wanted: Some(wanted.clone()), ..case.program.clone() };
    let options = Options { states: STATES, ..case.options(way) };
    let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
    match found.verdict {
        Verdict::Pass => Some(None),
        Verdict::Violated { what, switches, trail, .. } => {
            Some(Some((what == *wanted, switches, trail.len())))
        }
        Verdict::Undecided { .. } => None,
    }
}

/// The number of steps depends on the way of searching, so it must not choose between kinds of bad runs.
#[test]
fn every_way_of_searching_finds_the_wanted_kind() {
    let (mut wanted_found, mut other_found, mut harder) = (0, 0, 0);
    for case in cases() {
        let Case { seed, program, .. } = &case;
        let Some((_, bads, livelock)) = collect(&case, Way::Brute) else { continue };
        let kinds = bads.into_iter().map(What::Bad).chain(livelock.then_some(What::Livelock));
        for wanted in kinds.chain([What::Deadlock]) {
            let told = || format!("seed {seed}, {wanted:?}: {program:#?}");
            let Some(Some(one)) = verdict_where(&wanted, &case, Way::Brute) else { continue };
            let Some(Some(other)) = verdict_where(&wanted, &case, Way::Shared) else { continue };
            for way in WAYS {
                let same = verdict_where(&wanted, &case, way).flatten();
                let expected = if case.options(way).every_access { one } else { other };
                let place = |(is_wanted, switches, _): Place| (is_wanted, switches);
                assert_eq!(same.map(place), Some(place(expected)), "{way:?}, {}", told());
            }
            let simplest = |way| {
                let mut go_on = |_: &Progress| ControlFlow::Continue(());
                match search(&mut program.clone(), &case.options(way), &mut go_on).verdict {
                    Verdict::Violated { what, switches, trail, .. } => {
                        (what, switches, trail.len())
                    }
                    _ => panic!("{}", told()),
                }
            };
            let (first, switches, _) = simplest(Way::Shared);
            assert_eq!(switches, other.1, "{}", told());
            // Where all words count as shared, steps can be compared.
            let (_, _, steps) = simplest(Way::Brute);
            assert!(one.0 || steps == one.2, "{steps} steps, and {one:?}: {}", told());
            wanted_found += u32::from(other.0);
            other_found += u32::from(!other.0);
            harder += u32::from(other.0 && first != wanted);
        }
    }
    assert!(wanted_found >= 300 && other_found >= 100, "{wanted_found} wanted, {other_found} not");
    assert!(harder >= 20, "{harder}");
}
