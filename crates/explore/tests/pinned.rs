//! Known programs, with the exact size of their state spaces.
//!
//! A changed number is a lost or an added interleaving, which no verdict would
//! show. The counts are states under brute force, with scheduling at shared
//! words only, and with reduction.

mod program;

use explore::{Verdict, What};
use program::{Bad, Op, Program, Way, bad, run};

/// Every way of searching gives `expected`: what is bad, switches and steps of
/// the simplest run as the default search tells them. And the states of each.
#[track_caller]
fn check(program: Program, expected: Option<(What<Bad>, u32, usize)>, states: [u64; 3]) {
    let mut seen = [0; 3];
    for (way, seen) in [Way::Brute, Way::Shared, Way::Reduced].into_iter().zip(&mut seen) {
        let found = run(&mut program.clone(), way);
        let found_bad = bad(&found.verdict);
        assert!(found_bad.as_ref().is_none_or(|bad| bad.3), "{way:?}: not shortest");
        let (what, switches, steps) = match found_bad {
            Some((what, switches, steps, _)) => (Some(what), switches, steps),
            None => (None, 0, 0),
        };
        assert_eq!(what, expected.as_ref().map(|e| e.0.clone()), "{way:?}");
        assert_eq!(switches, expected.as_ref().map_or(0, |e| e.1), "{way:?}");
        if way == Way::Reduced {
            assert_eq!(steps, expected.as_ref().map_or(0, |e| e.2), "{way:?}");
        }
        *seen = found.stats.states;
    }
    assert_eq!(seen, states);
}

const X: u8 = 0;
const Y: u8 = 1;
const TURN: u8 = 2;
const DATA: u8 = 3;
const DONE: u8 = 4;

/// Increments the data, not atomically.
const INCREMENT: [Op; 3] = [Op::Load(0, DATA), Op::AddReg(0, 1), Op::Store(DATA, 0)];

/// Waits for two agents to be done, and asserts that both increments count.
const JUDGE: [Op; 3] = [Op::Wait(DONE, 2), Op::Load(0, DATA), Op::AssertEq(0, 2)];

fn peterson(me: u8, other: u8, turn: u8) -> Vec<Op> {
    let mut code = vec![
        Op::StoreImm(me, 1),
        Op::StoreImm(TURN, turn),
        Op::Load(0, other),
        Op::JumpEq(0, 0, 6),
        Op::Load(0, TURN),
        Op::JumpEq(0, turn, 2),
    ];
    code.extend(INCREMENT);
    code.push(Op::StoreImm(me, 0));
    code.push(Op::FetchAdd(1, DONE, 1));
    code
}

#[test]
fn peterson_excludes() {
    let (a, b) = (peterson(X, Y, 1), peterson(Y, X, 2));
    check(Program::new(&[&a, &b, &JUDGE]), None, [152, 152, 110]);
}

#[test]
fn peterson_with_the_turn_given_first_does_not() {
    let (mut a, mut b) = (peterson(X, Y, 1), peterson(Y, X, 2));
    a.swap(0, 1);
    b.swap(0, 1);
    let expected = (What::Bad(Bad::Assert(2, 2)), 2, 18);
    check(Program::new(&[&a, &b, &JUDGE]), Some(expected), [229, 229, 179]);
}

#[test]
fn an_increment_is_lost() {
    let mut code = INCREMENT.to_vec();
    code.push(Op::FetchAdd(1, DONE, 1));
    let expected = (What::Bad(Bad::Assert(2, 2)), 1, 8);
    check(Program::new(&[&code, &code, &JUDGE]), Some(expected), [40, 40, 38]);
}

fn spinlock() -> Vec<Op> {
    let mut code = vec![Op::Cas(0, X, 0, 1), Op::JumpEq(0, 0, 0)];
    code.extend(INCREMENT);
    code.push(Op::StoreImm(X, 0));
    code
}

#[test]
fn a_spinlock_excludes() {
    let mut code = spinlock();
    code.push(Op::FetchAdd(1, DONE, 1));
    check(Program::new(&[&code, &code, &JUDGE]), None, [59, 59, 57]);
}

#[test]
fn a_spinlock_is_taken_by_a_handler_above_its_holder() {
    // No end is reachable once the handler spins: a livelock.
    let mut host = vec![Op::StoreImm(Y, 1)];
    host.extend(spinlock());
    let program = Program::new(&[&host]).irq(Y, 0, &spinlock());
    check(program, Some((What::Livelock, 1, 3)), [21, 21, 22]);
}

#[test]
fn a_ticket_lock_excludes() {
    let mut code = vec![
        Op::FetchAdd(0, X, 1),
        Op::Load(1, Y),
        // Registers cannot be compared: count both down.
        Op::JumpEq(0, 0, 6),
        Op::AddReg(0, 7),
        Op::AddReg(1, 7),
        Op::JumpNe(0, 0, 3),
        Op::JumpNe(1, 0, 13),
    ];
    code.extend(INCREMENT);
    code.push(Op::FetchAdd(1, Y, 1));
    code.push(Op::FetchAdd(1, DONE, 1));
    code.push(Op::Jump(15));
    // Not our turn: the ticket is what was taken, which only the second has.
    code.push(Op::Set(0, 1));
    code.push(Op::Jump(1));
    check(Program::new(&[&code, &code, &JUDGE]), None, [95, 95, 75]);
}

#[test]
fn a_message_passes() {
    let send = [Op::StoreImm(DATA, 5), Op::StoreImm(X, 1)];
    let receive = [Op::Load(0, X), Op::JumpEq(0, 0, 0), Op::Load(1, DATA), Op::AssertEq(1, 5)];
    check(Program::new(&[&send, &receive]), None, [9, 9, 9]);
}

#[test]
fn a_message_sent_too_early_does_not() {
    let send = [Op::StoreImm(X, 1), Op::StoreImm(DATA, 5)];
    let receive = [Op::Load(0, X), Op::JumpEq(0, 0, 0), Op::Load(1, DATA), Op::AssertEq(1, 5)];
    let expected = (What::Bad(Bad::Assert(1, 3)), 1, 4);
    check(Program::new(&[&send, &receive]), Some(expected), [11, 11, 9]);
}

fn diner(left: u8, right: u8) -> Vec<Op> {
    vec![
        Op::Wait(left, 0),
        Op::Cas(0, left, 0, 1),
        Op::JumpEq(0, 0, 0),
        Op::Wait(right, 0),
        Op::Cas(0, right, 0, 1),
        Op::JumpEq(0, 0, 3),
        Op::StoreImm(right, 0),
        Op::StoreImm(left, 0),
    ]
}

#[test]
fn diners_starve() {
    let (a, b, c) = (diner(X, Y), diner(Y, TURN), diner(TURN, X));
    check(Program::new(&[&a, &b, &c]), Some((What::Deadlock, 1, 9)), [198, 198, 177]);
}

#[test]
fn diners_of_whom_one_is_left_handed_do_not() {
    let (a, b, c) = (diner(X, Y), diner(Y, TURN), diner(X, TURN));
    check(Program::new(&[&a, &b, &c]), None, [635, 635, 571]);
}

#[test]
fn two_that_give_way_for_ever() {
    // Each waits for the other's flag, which nobody sets: spinning.
    let a = [Op::Load(0, X), Op::JumpEq(0, 0, 0), Op::StoreImm(Y, 1)];
    let b = [Op::Load(0, Y), Op::JumpEq(0, 0, 0), Op::StoreImm(X, 1)];
    check(Program::new(&[&a, &b]), Some((What::Livelock, 0, 0)), [3, 1, 1]);
}

#[test]
fn a_handshake_ends() {
    let a = [Op::StoreImm(X, 1), Op::Load(0, Y), Op::JumpEq(0, 0, 1)];
    let b = [Op::Load(0, X), Op::JumpEq(0, 0, 0), Op::StoreImm(Y, 1)];
    check(Program::new(&[&a, &b]), None, [14, 14, 14]);
}

#[test]
fn an_observer_sees_both_stores() {
    let (a, b) =
        ([Op::StoreImm(X, 1), Op::StoreImm(X, 0)], [Op::StoreImm(Y, 1), Op::StoreImm(Y, 0)]);
    let program = Program::new(&[&a, &b]).never(&[(X, 1), (Y, 1)]);
    check(program, Some((What::Bad(Bad::Invariant), 1, 2)), [9, 9, 9]);
}

#[test]
fn independent_agents_are_not_interleaved() {
    // Two pairs share a word each; one pair's steps come before the other's.
    let agent =
        |word| [Op::FetchAdd(0, word, 1), Op::FetchAdd(0, word, 1), Op::FetchAdd(0, word, 1)];
    let (a, b) = (agent(X), agent(Y));
    check(Program::new(&[&a, &a, &b, &b]), None, [1849, 1849, 1825]);
}

#[test]
fn readers_of_what_no_longer_changes_are_not_interleaved() {
    let publish = [Op::StoreImm(X, 1), Op::StoreImm(Y, 1)];
    let read = [Op::Wait(Y, 1), Op::Load(0, X), Op::Load(1, X), Op::Load(2, X), Op::Load(0, X)];
    check(Program::new(&[&publish, &read, &read, &read]), None, [218, 218, 18]);
}

#[test]
fn a_program_of_discarded_runs_has_no_end() {
    let found = run(&mut Program::new(&[&[Op::AssumeNe(0, 0)]]), Way::Reduced);
    assert_eq!(found.verdict, Verdict::Pass);
    assert_eq!(found.stats.ends, 0);
}
