//! What a search promises beside its verdict: budgets, gaps, replays.

mod program;

use std::ops::ControlFlow;
use std::time::Instant;

use explore::{
    Choice, Model, Next, Options, Progress, ReplayError, Stop, Touch, Verdict, What, Why, Words,
    replay, search,
};
use program::{Bad, Op, Program, Way, options, run};

fn counters() -> Program {
    let agent = [Op::FetchAdd(0, 0, 1), Op::FetchAdd(1, 0, 1), Op::FetchAdd(2, 0, 1)];
    Program::new(&[&agent, &agent, &agent])
}

fn undecided(options: &Options) -> (Why<&'static str>, Option<u32>) {
    let found = search(&mut counters(), options, &mut |_| ControlFlow::Continue(()));
    match found.verdict {
        Verdict::Undecided { why, complete_switches, .. } => (why, complete_switches),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn budgets_end_a_search() {
    let whole = run(&mut counters(), Way::Reduced).stats;
    let (why, complete) = undecided(&Options { states: whole.states / 2, ..Options::default() });
    assert_eq!(why, Why::States);
    assert!(complete.is_some_and(|complete| complete + 1 < whole.switches), "{complete:?}");
    assert_eq!(undecided(&Options { states: 3, ..Options::default() }), (Why::States, None));
    assert_eq!(undecided(&Options { bytes: 10_000, ..Options::default() }).0, Why::Bytes);
    let deadline = Some(Instant::now());
    assert_eq!(undecided(&Options { deadline, ..Options::default() }).0, Why::Time);
}

#[test]
fn the_callback_ends_a_search() {
    let options = Options { progress_every: 10, ..Options::default() };
    let mut told = Vec::new();
    let mut stop = |progress: &Progress| {
        told.push(progress.transitions_all);
        if told.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let found = search(&mut counters(), &options, &mut stop);
    let Verdict::Undecided { why: Why::Interrupted, .. } = found.verdict else {
        panic!("{:?}", found.verdict)
    };
    assert_eq!(told.len(), 3);
    assert!(told.is_sorted());
}

#[test]
fn a_gap_is_told_unless_something_is_bad() {
    let gap = [Op::Load(0, 0), Op::JumpEq(0, 0, 3), Op::Unmodelled];
    let set = [Op::StoreImm(0, 1)];
    let found = run(&mut Program::new(&[&gap, &set]), Way::Reduced);
    let Verdict::Undecided { why: Why::Gap("instruction", trail), complete_switches, .. } =
        found.verdict
    else {
        panic!("{:?}", found.verdict)
    };
    assert_eq!((trail.len(), complete_switches), (2, None));

    let assert = [Op::Load(0, 0), Op::AssertEq(0, 0)];
    for way in [Way::Reduced, Way::Shared] {
        let found = run(&mut Program::new(&[&gap, &set, &assert]), way);
        let Verdict::Violated { what, shortest, .. } = found.verdict else {
            panic!("{:?}", found.verdict)
        };
        // What comes after the gap might be simpler.
        assert_eq!((what, shortest), (What::Bad(Bad::Assert(2, 1)), false));
    }
}

#[test]
fn a_bad_run_is_told_where_the_budget_to_simplify_it_is_used_up() {
    let loads = [Op::Load(0, 0), Op::Load(0, 0), Op::Load(0, 0), Op::AssertNe(0, 2)];
    let add = [Op::FetchAdd(1, 0, 1)];
    let mut program = Program::new(&[&loads, &add, &add]);
    let options = Options { shorten_states: 1, ..Options::default() };
    let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(found.verdict, Verdict::Violated { shortest: false, .. }));
    let found = run(&mut program, Way::Reduced);
    assert!(matches!(found.verdict, Verdict::Violated { shortest: true, switches: 0, .. }));
}

/// What is a run of the system as far as an early round knows stays one, whatever a later round makes of it.
#[test]
fn a_bad_run_within_what_is_known_is_no_pass() {
    let bad = [Op::Choose(0, 1), Op::Choose(0, 1), Op::AssertShared(0)];
    let (store, load) =
        ([Op::Choose(0, 1), Op::StoreImm(0, 1)], [Op::Choose(0, 1), Op::Load(0, 0)]);
    for way in [Way::Shared, Way::Reduced] {
        let found = run(&mut Program::new(&[&store, &load, &bad]), way);
        let Verdict::Violated { what, shortest: false, .. } = found.verdict else {
            panic!("{way:?}: {:?}", found.verdict)
        };
        assert_eq!(what, What::Bad(Bad::Assert(2, 2)));
        assert!(found.stats.rounds >= 2, "the first round does not know the word");
    }
}

#[test]
fn each_step_is_taken_once() {
    let agent = |word| [Op::StoreImm(word, 1), Op::StoreImm(word, 1), Op::StoreImm(word, 1)];
    let stats = run(&mut Program::new(&[&agent(0), &agent(1), &agent(2)]), Way::Brute).stats;
    // Each agent is in one of four places, and leaves the first three.
    assert_eq!((stats.states, stats.transitions), (4 * 4 * 4, 3 * (3 * 4 * 4)));
}

#[test]
fn a_trail_replays() {
    let loads = [Op::Load(0, 0), Op::Load(1, 0), Op::AssertRegsEq(0, 1)];
    let store = [Op::StoreImm(0, 1)];
    let mut program = Program::new(&[&store, &loads]);
    for way in program::WAYS {
        let found = run(&mut program, way);
        let Verdict::Violated { trail, switches: 1, .. } = found.verdict else {
            panic!("{way:?}: {:?}", found.verdict)
        };
        let mut visited = Vec::new();
        let mut visit = |step: usize, choice: Choice, _: &_| visited.push((step, choice));
        let replayed = replay(&mut program, &found.shared, &trail, &mut visit).unwrap();
        assert_eq!(replayed.stop, Some(Stop::Violation(Bad::Assert(1, 2))));
        assert_eq!(visited, trail.iter().copied().enumerate().collect::<Vec<_>>());
    }
}

#[test]
fn a_trail_that_leaves_what_is_possible_is_refused() {
    let choice = |agent| Choice { agent, pick: 0 };
    let agent = [Op::FetchAdd(0, 0, 1)];
    let mut program = Program::new(&[&agent, &agent]);
    let trail = [choice(0), choice(0)];
    let error = replay(&mut program, &[0], &trail, &mut |_, _, _| ()).unwrap_err();
    let expected =
        ReplayError::NotPossible { step: 1, choice: choice(0), possible: vec![choice(1)] };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "step 1: agent 0 cannot take pick 0; possible: 1.0");
    let whole = replay(&mut program, &[0], &[choice(0), choice(1)], &mut |_, _, _| ()).unwrap();
    assert!(whole.ended && whole.choices.is_empty());
}

/// One agent stores, the other loads; while that does not count as a conflict, the load gets what nobody
/// has stored.
struct Hasty;

impl Model for Hasty {
    type State = [bool; 2];
    type Bad = &'static str;
    type Gap = &'static str;

    fn initial(&mut self, _: &mut Words) -> Result<[bool; 2], Stop<&'static str, &'static str>> {
        Ok([false; 2])
    }

    fn choices(&self, done: &[bool; 2], out: &mut Vec<Choice>) {
        let agents = (0..).zip(done).filter(|(_, done)| !**done);
        out.extend(agents.map(|(agent, _)| Choice { agent, pick: 0 }));
    }

    fn step(
        &mut self,
        done: &mut [bool; 2],
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<&'static str, &'static str>> {
        let loads = choice.agent == 1;
        words.touch(choice.agent, 7, !loads);
        done[usize::from(choice.agent)] = true;
        let impossible = loads && done[0] && !words.is_shared(7);
        if impossible { Err(Stop::Violation("out of thin air")) } else { Ok(()) }
    }

    fn inspect(
        &mut self,
        _: &[bool; 2],
        _: &mut Words,
    ) -> Result<(), Stop<&'static str, &'static str>> {
        Ok(())
    }

    fn key(&self, done: &[bool; 2]) -> u128 {
        done.iter().fold(1, |key, done| key << 64 | u128::from(*done))
    }

    fn ended(&self, done: &[bool; 2]) -> bool {
        *done == [true; 2]
    }

    fn next(&self, done: &[bool; 2], agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        touches.push(Touch { word: 7, write: agent == 0 });
        (!done[usize::from(agent)]).then_some(Next { point: u64::from(agent), reducible: true })
    }

    fn agents(&self) -> u8 {
        2
    }

    fn recurrent(&self) -> u64 {
        0
    }
}

#[test]
fn a_bad_run_that_leaves_what_is_known_is_not_believed() {
    for reduction in [true, false] {
        let options = Options { reduction, ..Options::default() };
        let found = search(&mut Hasty, &options, &mut |_| ControlFlow::Continue(()));
        assert_eq!((found.verdict, found.shared), (Verdict::Pass, vec![7]));
        assert!(found.stats.rounds >= 2, "the first believes it");
    }
}

/// Agent 0 goes round, and takes what is offered in one of its places, if it is; agent 1 offers it and
/// takes it back until then. While the offer counts as its own, it does both at once.
struct Offered;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Offer {
    taker: u8,
    offered: bool,
}

impl Offer {
    const TAKES: u8 = 2;
    const DONE: u8 = 3;
    const OFFERED: u32 = 0;
    const TAKEN: u32 = 1;
}

impl Model for Offered {
    type State = Offer;
    type Bad = ();
    type Gap = ();

    fn initial(&mut self, _: &mut Words) -> Result<Offer, Stop<(), ()>> {
        Ok(Offer { taker: 0, offered: false })
    }

    fn choices(&self, state: &Offer, out: &mut Vec<Choice>) {
        if state.taker != Offer::DONE {
            out.extend([0, 1].map(|agent| Choice { agent, pick: 0 }));
        }
        if state.taker == Offer::TAKES && state.offered {
            out.push(Choice { agent: 0, pick: 1 });
        }
    }

    fn step(
        &mut self,
        state: &mut Offer,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<(), ()>> {
        match choice {
            Choice { agent: 0, pick: 0 } => state.taker = (state.taker + 1) % Offer::DONE,
            Choice { agent: 0, .. } => {
                words.touch(0, Offer::OFFERED, false);
                words.touch(0, Offer::TAKEN, true);
                state.taker = Offer::DONE;
            }
            _ => {
                words.touch(1, Offer::TAKEN, false);
                words.touch(1, Offer::OFFERED, true);
                state.offered = !state.offered && words.is_shared(Offer::OFFERED);
            }
        }
        Ok(())
    }

    fn inspect(&mut self, _: &Offer, _: &mut Words) -> Result<(), Stop<(), ()>> {
        Ok(())
    }

    fn key(&self, state: &Offer) -> u128 {
        let key = u128::from(state.taker) << 1 | u128::from(state.offered);
        (key + 1).wrapping_mul(0xda94_2042_e4dd_58b5_2360_ed05_1fc6_5da5)
    }

    fn ended(&self, state: &Offer) -> bool {
        state.taker == Offer::DONE
    }

    fn next(&self, state: &Offer, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let (offered, taken) = (Offer::OFFERED, Offer::TAKEN);
        let read = |word| Touch { word, write: false };
        let write = |word| Touch { word, write: true };
        match (agent, state.taker) {
            (1, _) => touches.extend([read(taken), write(offered)]),
            (_, Offer::TAKES) => touches.extend([read(offered), write(taken)]),
            (_, Offer::DONE) => return None,
            _ => {}
        }
        Some(Next { point: u64::from(state.taker) * u64::from(agent == 0), reducible: true })
    }

    fn agents(&self) -> u8 {
        2
    }

    fn recurrent(&self) -> u64 {
        0
    }
}

/// Agent 1 is back where it was before agent 0 comes to where it depends on it: that it does is seen when
/// the circle is tried out, though the offer is never taken there.
#[test]
fn what_is_waited_for_in_a_circle_is_known() {
    for reduction in [true, false] {
        let options = Options { reduction, ..Options::default() };
        let found = search(&mut Offered, &options, &mut |_| ControlFlow::Continue(()));
        assert_eq!(found.verdict, Verdict::Pass);
    }
}

#[test]
fn searches_repeat_to_the_letter() {
    for way in program::WAYS {
        let (one, two) = (run(&mut counters(), way), run(&mut counters(), way));
        assert_eq!((one.verdict, one.stats), (two.verdict, two.stats));
    }
    assert!(options(Way::Reduced).reduction);
}

/// Run with `cargo test --release -- --ignored`.
#[test]
#[ignore = "takes seconds; a measurement, for optimised builds"]
fn speed() {
    let code: Vec<Op> = (0..9)
        .flat_map(|i| [Op::FetchAdd(i % 3, 0, 1), Op::Load(i % 3, 1), Op::Store(1, 0)])
        .collect();
    let mut program = Program::new(&[&code, &code, &code]);
    for way in [Way::Shared, Way::Reduced] {
        let start = Instant::now();
        let options = Options { states: 2_000_000, ..options(way) };
        let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
        let rate = found.stats.transitions_all as f64 / start.elapsed().as_secs_f64();
        assert!(rate > 200_000.0, "{way:?}: {rate:.0} transitions/s: {:?}", found.stats);
        #[expect(clippy::print_stderr, reason = "a measurement")]
        {
            eprintln!("{way:?}: {rate:.0} transitions/s: {:?}", found.stats);
        }
    }
}
