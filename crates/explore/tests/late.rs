//! What is learnt last: one agent goes another way only after several context switches, where all else
//! is known long since, and most orders were left out in the belief that it does not.

mod program;

use std::ops::ControlFlow;

use explore::{Options, Verdict, What, search};
use program::{Bad, Op, Program, Way, options};

const X: u8 = 0;
const Z: u8 = 1;
const V: u8 = 2;
const Y: u8 = 4;

/// Two agents that set X to 1 and back to 0 if one comes between two stores of the other.
const RARELY: [&[Op]; 2] = [
    &[Op::StoreImm(Z, 1), Op::StoreImm(Z, 0)],
    &[Op::Load(0, Z), Op::JumpEq(0, 0, 4), Op::StoreImm(X, 1), Op::StoreImm(X, 0)],
];

/// However soon rounds end, this is what is bad about the first two agents and those.
#[track_caller]
fn check(name: &str, agents: [&[Op]; 2], way: Way, bad: Bad) {
    let program = Program::new(&[agents[0], agents[1], RARELY[0], RARELY[1]]);
    for patience in (0..60).chain([100, 200, 1_000]) {
        let options = Options { patience, ..options(way) };
        let mut program = program.clone();
        let found = search(&mut program, &options, &mut |_| ControlFlow::Continue(()));
        let Verdict::Violated { what, .. } = found.verdict else {
            panic!("{name}, {way:?}, {patience}: {:?}", found.verdict)
        };
        assert_eq!(what, What::Bad(bad.clone()), "{name}, {way:?}, {patience}");
    }
}

/// The first agent goes on from where it has loaded X to where it also comes without: directly, or by way of
/// a point that is new and touches nothing. From there it loads or stores Y, but not at once.
#[test]
fn where_a_known_point_leads_to_is_learnt_to_the_last() {
    let ways = [Way::Shared, Way::Reduced, Way::ReducedBrute];
    for (name, by) in [("known", Op::Set(2, 0)), ("new", Op::Choose(2, 1))] {
        let agent = |does: [Op; 3]| {
            let [one, two, three] = does;
            let at_first = [Op::Choose(0, 2), Op::JumpEq(0, 1, 5), Op::Load(1, X)];
            let then = [Op::JumpEq(1, 0, 9), by, Op::Choose(2, 1), one, two, three];
            [at_first.as_slice(), &then].concat()
        };
        let loads = agent([Op::Load(1, Y), Op::JumpEq(0, 1, 9), Op::AssertNe(1, 0)]);
        let stores = agent([Op::Store(Y, 1), Op::Jump(9), Op::Jump(9)]);
        for way in ways {
            check(name, [&loads, &[Op::StoreImm(Y, 1)]], way, Bad::Assert(0, 8));
            check(name, [&stores, &[Op::Load(0, Y), Op::AssertNe(0, 1)]], way, Bad::Assert(1, 1));
        }
    }
}

/// The second agent comes to a word late, and then tells the first: both by points that have long been
/// known.
#[test]
fn words_of_a_known_point_are_learnt_to_the_last() {
    let loads = [Op::Load(0, V), Op::LoadAt(1, Y, 0), Op::JumpEq(0, 0, 4), Op::AssertNe(1, 0)];
    let stores = [Op::Load(0, X), Op::Store(V, 0), Op::StoreAt(Y, 0, 1)];
    for way in [Way::Shared, Way::Reduced, Way::ReducedBrute] {
        check("word", [&loads, &stores], way, Bad::Assert(0, 3));
    }
}
