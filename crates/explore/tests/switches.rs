//! What a run costs where it is found under reduction: no more switches than it has, or a search that is cut
//! short before would say too much. The run goes on, without a switch, from a state to which another agent
//! came first.

mod program;

use std::ops::ControlFlow;

use explore::{Options, Verdict, search};
use program::{Op, Program, Told, Way, options};

const F: u8 = 0;
const P: u8 = 1;
const G: u8 = 2;
const H: u8 = 3;

/// Fails if the word is the value and nobody has stored to P.
fn fails_if(word: u8, value: u8) -> [Op; 4] {
    [Op::Load(1, word), Op::JumpNe(1, value, 16), Op::Load(2, P), Op::AssertNe(2, 0)]
}

fn code(first: &[Op], then: [Op; 4]) -> Vec<Op> {
    [first, &then].concat()
}

/// Programs, with the switches of the simplest run.
fn cases() -> Vec<(&'static str, u32, Program)> {
    let add = |word| Op::FetchAdd(0, word, 1);
    let untold = |agents: &[&[Op]]| Program { told: Told::Nothing, ..Program::new(agents) };
    // The third agent's step stands for all once both others have added.
    let adds = code(&[add(F)], fails_if(F, 2));
    let forced =
        Program::new(&[&adds, &[add(F), Op::StoreImm(P, 1)], &[Op::Load(0, F), Op::Load(1, P)]]);
    // What the first does to G is tried alone, but does not stand for all. It comes there sooner with the other
    // as the last: that has gone on by then, and no other or a third has a step to take.
    let later = [Op::Load(0, H), Op::JumpEq(0, 0, 4), Op::Load(0, F), Op::Load(0, F), add(G)];
    let later = code(&later, fails_if(H, 1));
    let other = [H, P, F].map(|word| Op::StoreImm(word, 1));
    let other = [other.as_slice(), &[Op::Load(1, G)]].concat();
    let third = [Op::Load(0, P), Op::JumpEq(0, 0, 0)];
    // So is this, by which the other, who could not, can go on: to go on oneself costs nothing all the same.
    let lets = code(&[add(G)], fails_if(H, 1));
    let waits = [Op::StoreImm(H, 1), Op::Wait(G, 1), Op::StoreImm(P, 1)];
    vec![
        ("forced", 1, forced),
        ("all steps taken", 1, untold(&[&later, &other])),
        ("own step taken", 1, untold(&[&later, &other, &third])),
        ("lets another go on", 0, untold(&[&waits, &lets, &third])),
    ]
}

#[test]
fn a_run_costs_no_more_than_its_switches() {
    for (name, expected, program) in cases() {
        for way in [Way::Reduced, Way::ReducedBrute] {
            let options = Options { progress_every: 1, ..options(way) };
            let mut cost = 0;
            let found = search(&mut program.clone(), &options, &mut |progress| {
                cost = if progress.shortening { cost } else { progress.switches };
                ControlFlow::Continue(())
            });
            let Verdict::Violated { switches, shortest: true, .. } = found.verdict else {
                panic!("{name}, {way:?}: {found:?}")
            };
            assert_eq!((switches, cost), (expected, expected), "{name}, {way:?}: {found:?}");
        }
    }
}
