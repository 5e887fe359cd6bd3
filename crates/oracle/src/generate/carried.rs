//! What one CPU finds decides what it touches next, which another one finds, and so on: which words are shared,
//! and what is touched where, comes out over several rounds of a search.

use crate::generate::build::Build;
use crate::generate::interrupts::SENT;
use crate::program::{Check, Handler, Op, Place, Program, RAX, RBX, RCX, Rmw};
use crate::random::Random;

/// Words that are used.
const WORDS: u64 = 4;

/// Values that are carried from word to word, behind conditions and choices.
pub(super) fn carried(random: &mut Random) -> Program {
    if random.percent(4) {
        return handlers_alone(random);
    }
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

/// Handlers on two CPUs share a word that one of them sets for a moment; what the other one touches only then
/// comes out when all else is known.
fn handlers_alone(random: &mut Random) -> Program {
    let mut program = Program::default();
    let vectors = [0x41, 0x45];
    let mut build = Build::new(random, 0, WORDS);
    build.push(Op::StoreImm(1, 8, Place::Data(24)));
    if build.random.percent(30) {
        build.push(Op::Mfence);
    }
    build.push(Op::StoreImm(0, 8, Place::Data(24)));
    let sets = build.end_handler(false);
    let mut build = Build::new(random, 0, WORDS);
    build.push(Op::Load(RCX, 8, Place::Data(24)));
    build.push(Op::Jrcxz(5));
    build.push(Op::Load(RBX, 8, Place::Data(8)));
    build.push(Op::Lea(RBX, RBX, 5));
    build.push(Op::Store(RBX, 8, Place::Data(16)));
    let looks = build.end_handler(false);
    for (vector, code) in vectors.into_iter().zip([sets, looks]) {
        program.handlers.push(Handler { vector, raw: false, code });
    }
    let mut build = Build::new(random, 0, WORDS);
    build.send(0, vectors[0]);
    build.send(1, vectors[1]);
    build.push(Op::StoreImm(1, 8, Place::Data(8)));
    program.cpus.push(build.end());
    let mut build = Build::new(random, 1, WORDS);
    build.push(Op::Cli);
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(8)));
    build.push(Op::Sti);
    program.cpus.push(build.end());
    program
}

/// A word has a value for a moment, at which an invariant discards the run or not, and one later at which it
/// finds fault.
fn passes_by(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 2);
    if build.random.percent(50) {
        build.push(Op::StoreImm(1, 8, Place::Data(0)));
    }
    build.push(Op::StoreImm(2, 8, Place::Data(0)));
    let mut cpus = vec![build.end()];
    if random.percent(40) {
        let mut build = Build::new(random, 1, 2);
        build.access();
        cpus.push(build.end());
    }
    let seen = random.one(&[0, 1, 1, 5]);
    let mut always = vec![
        Check { when: (0, 2), then: (3, 1), property: Some(0) },
        Check { when: (0, seen), then: (3, 1), property: None },
    ];
    if random.percent(50) {
        always.reverse();
    }
    Program { cpus, always, ..Program::default() }
}

/// Programs with invariants and final checks.
pub(super) fn checks(random: &mut Random) -> Program {
    if random.percent(6) {
        return passes_by(random);
    }
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

/// Programs that go wrong where words end with rare values, so that it takes a certain order.
pub(super) fn switches(random: &mut Random) -> Program {
    let mut program = Program::default();
    let cpus = random.one(&[2, 3, 3]);
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 2);
        // Others see where each CPU begins.
        build.push(Op::Load(RBX, 8, Place::Data(0)));
        if cpu == 0 {
            build.push(Op::StoreImm(1, 8, Place::Data(0)));
        }
        for _ in 0..=build.random.below(if cpus == 3 { 1 } else { 3 }) {
            let words = [0, 8, 16].map(Place::Data);
            let (from, to) = (build.random.one(&words), build.random.one(&words));
            match build.random.below(8) {
                0..=3 => {
                    build.push(Op::Load(RBX, 8, from));
                    let more = build.random.one(&[0, 1, 3]);
                    if more > 0 {
                        build.push(Op::Lea(RBX, RBX, more));
                    }
                    build.push(Op::Store(RBX, 8, to));
                }
                4 | 5 => {
                    let value = build.random.below(3) as i32;
                    build.push(Op::StoreImm(value, 8, to));
                }
                6 => build.push(Op::Mfence),
                _ => {
                    build.push(Op::Set(RBX, 2));
                    build.push(Op::Rmw(Rmw::Xadd, true, RBX, 8, to));
                }
            }
        }
        program.cpus.push(build.end());
    }
    let when = (random.below(3) as u8, random.below(7) as u32);
    let then = (random.below(3) as u8, random.below(7) as u32);
    program.finally = vec![Check { when, then, property: Some(0) }];
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
