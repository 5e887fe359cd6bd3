//! Generated programs: every way of searching them says the same.

mod program;

use explore::{Options, Verdict, What, search};
use program::{Bad, Op, Program, Spec, WAYS, Way, options};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The number of programs.
const PROGRAMS: u64 = 1_500;

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
        program.untold = self.below(3) == 0;
        program
    }
}

/// What a search that collects finds.
type Collected = (BTreeSet<program::State>, BTreeSet<Bad>, bool);

fn collect(program: &Program, way: Way) -> Option<Collected> {
    let mut program = Program { collect: true, ..program.clone() };
    let options = Options { states: STATES, shorten_states: 0, circles: false, ..options(way) };
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
fn verdict(program: &Program, way: Way) -> Option<Option<(bool, u32)>> {
    let mut program = program.clone();
    let options = Options { states: STATES, ..options(way) };
    let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
    match found.verdict {
        Verdict::Pass => Some(None),
        Verdict::Violated { what, switches, shortest, .. } => {
            assert!(shortest, "{way:?} {what:?} {switches} {:?}: {program:#?}", found.stats);
            Some(Some((what == What::Livelock, switches)))
        }
        Verdict::Undecided { .. } => None,
    }
}

#[test]
fn every_way_of_searching_says_the_same() {
    let (mut compared, mut bad, mut trapped) = (0, 0, 0);
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let program = random.program();
        let Some(all) = collect(&program, Way::Brute) else { continue };
        let Some(one) = verdict(&program, Way::Brute) else { continue };
        let Some(other) = verdict(&program, Way::Shared) else { continue };
        for way in WAYS {
            let same = collect(&program, way).expect("no more than brute force");
            assert_eq!(same, all, "seed {seed}, {way:?}: {program:#?}");
            let same = verdict(&program, way).expect("no more than brute force");
            let expected = if options(way).every_access { one } else { other };
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
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let program = random.program();
        // Only a search to the end can tell a livelock.
        let Some(Some((false, switches))) = verdict(&program, Way::Brute) else { continue };
        for way in WAYS {
            for states in (10..150).step_by(5) {
                let options = Options { states, ..options(way) };
                let mut program = program.clone();
                let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
                let Verdict::Undecided { complete_switches, .. } = found.verdict else { continue };
                said += u32::from(complete_switches.is_some());
                let honest = complete_switches.is_none_or(|complete| complete < switches);
                assert!(honest, "seed {seed}, {way:?}, {states} states: {complete_switches:?}");
            }
            for after in (1..40).step_by(3) {
                let options = Options { progress_every: after, ..options(way) };
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

/// Whether the bad run told is of the wanted kind, and its switches.
fn verdict_where(wanted: &What<Bad>, program: &Program, way: Way) -> Option<Option<(bool, u32)>> {
    let mut program = Program { wanted: Some(wanted.clone()), ..program.clone() };
    let options = Options { states: STATES, ..options(way) };
    let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
    match found.verdict {
        Verdict::Pass => Some(None),
        Verdict::Violated { what, switches, .. } => Some(Some((what == *wanted, switches))),
        Verdict::Undecided { .. } => None,
    }
}

/// The number of steps depends on the way of searching, so it must not choose between kinds of bad runs.
#[test]
fn every_way_of_searching_finds_the_wanted_kind() {
    let (mut wanted_found, mut other_found, mut harder) = (0, 0, 0);
    for seed in 1..=PROGRAMS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let program = random.program();
        let Some((_, bads, livelock)) = collect(&program, Way::Brute) else { continue };
        let kinds = bads.into_iter().map(What::Bad).chain(livelock.then_some(What::Livelock));
        for wanted in kinds.chain([What::Deadlock]) {
            let told = || format!("seed {seed}, {wanted:?}: {program:#?}");
            let Some(Some(one)) = verdict_where(&wanted, &program, Way::Brute) else { continue };
            let Some(Some(other)) = verdict_where(&wanted, &program, Way::Shared) else { continue };
            for way in WAYS {
                let same = verdict_where(&wanted, &program, way).flatten();
                let expected = if options(way).every_access { one } else { other };
                assert_eq!(same, Some(expected), "{way:?}, {}", told());
            }
            let found = search(&mut program.clone(), &options(Way::Shared), &mut |_| {
                ControlFlow::Continue(())
            });
            let Verdict::Violated { what: first, switches, .. } = found.verdict else {
                panic!("{}", told())
            };
            assert_eq!(switches, other.1, "{}", told());
            wanted_found += u32::from(other.0);
            other_found += u32::from(!other.0);
            harder += u32::from(other.0 && first != wanted);
        }
    }
    assert!(wanted_found >= 300 && other_found >= 100, "{wanted_found} wanted, {other_found} not");
    assert!(harder >= 20, "{harder}");
}
