//! What one CPU finds decides what it touches next, which another one finds, and so on: which words are shared,
//! and what is touched where, comes out over several rounds of a search.

use crate::generate::build::Build;
use crate::generate::interrupts::SENT;
use crate::program::{Check, Handler, Op, Place, Program, RAX, RBX, RCX};
use crate::random::Random;

/// Words that are used.
const WORDS: u64 = 4;

/// Values that are carried from word to word, behind conditions and choices.
pub(super) fn carried(random: &mut Random) -> Program {
    let mut program = Program::default();
    let handled = random.percent(25);
    if handled {
        let mut build = Build::new(random, 0, WORDS);
        phrase(&mut build, 1);
        let code = build.end_handler(false);
        program.handlers.push(Handler { vector: SENT, raw: false, code });
    }
    let cpus = if handled { 2 } else { random.one(&[2, 2, 3]) };
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, WORDS);
        if handled && cpu == 1 {
            build.send(0, SENT);
        }
        let phrases = if cpus == 3 || handled { 1 } else { 1 + build.random.below(2) };
        for _ in 0..phrases {
            phrase(&mut build, 2);
        }
        program.cpus.push(build.end());
    }
    if random.percent(15) {
        program.always.push(check(random, 0));
    }
    program
}

/// Programs with invariants and final checks.
pub(super) fn checks(random: &mut Random) -> Program {
    let mut program = match random.below(3) {
        0 => carried(random),
        1 => super::memory::plain(random, false),
        _ => super::interrupts::called(random),
    };
    program.always.clear();
    for property in 0..random.below(3) {
        program.always.push(check(random, property));
    }
    let few = program.always.is_empty();
    for property in 0..random.below(2) + u64::from(few) {
        program.finally.push(check(random, 2 + property));
    }
    program
}

/// Where a word has some value, another has one.
pub(super) fn check(random: &mut Random, property: u64) -> Check {
    let mut word = || random.below(3) as u8;
    let (when, then) = (word(), word());
    let when = (when, random.one(&[0, 1, 1, 2, 3, 6]));
    let then = (then, random.one(&[0, 1, 1, 2]));
    Check { when, then, property: random.percent(70).then_some(property) }
}

fn word(build: &mut Build<'_>) -> Place {
    Place::Data(8 * build.random.below(WORDS) as u16)
}

/// Something of that depth.
fn phrase(build: &mut Build<'_>, depth: u32) {
    match build.random.below(if depth == 0 { 5 } else { 14 }) {
        0 => {
            let value = 1 + build.random.below(2) as i32;
            let place = word(build);
            build.push(Op::StoreImm(value, 8, place));
        }
        1 | 2 | 5 => {
            let (from, to) = (word(build), word(build));
            build.push(Op::Load(RBX, 8, from));
            build.push(Op::Store(RBX, 8, to));
        }
        3 => {
            let (to, place) = (build.result(), word(build));
            build.push(Op::Load(to, 8, place));
            if build.random.percent(12) {
                build.require(to, 1, 3);
            }
        }
        4 => {
            let place = word(build);
            build.rmw(8, place);
        }
        6 => {
            // What is chosen decides.
            build.choose(2);
            build.push(Op::Lea(RCX, RAX, 0));
            behind(build, depth);
        }
        7 => {
            // Twice: what was there may be there no longer, or only now.
            let place = word(build);
            build.push(Op::Load(RCX, 8, place));
            let over = build.ops.len();
            build.push(Op::Jrcxz(over));
            phrase(build, depth - 1);
            let twice = build.ops.len();
            build.ops[over] = Op::Jrcxz(twice);
            phrase(build, depth - 1);
        }
        8 => {
            let place = word(build);
            let value = 1 + build.random.below(2) as i32;
            build.push(Op::StoreImm(value, 8, place));
            phrase(build, depth - 1);
        }
        9 if build.random.percent(40) => {
            let word = build.random.below(WORDS) as u16;
            build.wait(word);
            phrase(build, depth - 1);
        }
        _ => {
            let place = word(build);
            build.push(Op::Load(RCX, 8, place));
            behind(build, depth);
        }
    }
}

/// Where RCX is not 0, something.
fn behind(build: &mut Build<'_>, depth: u32) {
    let over = build.ops.len();
    build.push(Op::Jrcxz(over));
    phrase(build, depth - 1);
    let end = build.ops.len();
    build.ops[over] = Op::Jrcxz(end);
}
