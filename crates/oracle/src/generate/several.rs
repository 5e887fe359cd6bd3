//! Instructions that make several accesses: repeated string instructions and CMPXCHG16B.

use crate::generate::build::Build;
use crate::generate::interrupts::{SENT, called_code, window};
use crate::program::{
    DATA, Handler, Op, Place, Program, RAX, RBX, RCX, RDI, RDX, RSI, SHARED_WORDS, Strings,
};
use crate::random::Random;

/// Strings and pairs on two CPUs, with a handler in some programs.
pub(super) fn several(random: &mut Random) -> Program {
    let mut program = Program { initial: [1, 2, 0, 0, 3, 0], ..Program::default() };
    let handled = random.percent(35);
    if handled {
        let code = called_code(random, 3);
        program.handlers.push(Handler { vector: SENT, raw: false, code });
    }
    let pairs = random.percent(40);
    let cpus = if handled && random.percent(50) { 1 } else { 2 };
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 4);
        if handled && cpu + 1 == cpus {
            build.send(0, SENT);
        }
        for _ in 0..=build.random.below(2) {
            match build.random.below(8) {
                0..=3 if pairs => pair(&mut build),
                0..=3 => string(&mut build),
                4 if handled && cpu == 0 => window(&mut build),
                5 if !pairs => pair(&mut build),
                _ => build.access(),
            }
        }
        program.cpus.push(build.end());
    }
    program
}

/// STOS or MOVS, repeated up to three times.
fn string(build: &mut Build<'_>) {
    let how = build.random.one(&[Strings::Stos, Strings::Movs]);
    let width = build.random.one(&[8, 8, 8, 4, 2, 1]);
    let counts: &[u64] = if width == 8 { &[0, 1, 2, 2, 3] } else { &[1, 2, 3] };
    let count = build.random.one(counts);
    let place = |build: &mut Build<'_>| {
        // All of it is within the shared words.
        let words = SHARED_WORDS as u64 - if width == 8 { 3 } else { 2 };
        let within = if build.random.percent(30) { build.random.below(8) } else { 0 };
        DATA + 8 * build.random.below(words) + within
    };
    let (from, to) = (place(build), place(build));
    match how {
        Strings::Movs => build.push(Op::Set(RSI, from)),
        Strings::Stos => {
            let value = 5 + build.random.below(2);
            build.push(Op::Set(RAX, value * 0x0101_0101));
        }
    }
    build.push(Op::Set(RDI, to));
    build.push(Op::Set(RCX, count));
    build.push(Op::Rep(how, width));
}

/// CMPXCHG16B of two words, with what they may have or not.
pub(super) fn pair(build: &mut Build<'_>) {
    let at = build.random.one(&[0, 0, 16, 16, 16, 32]);
    // It faults where it is not aligned.
    let at = if build.random.percent(2) { at + 8 } else { at };
    let expected = build.random.one(&[(1, 2), (1, 2), (0, 0), (0, 0), (7, 8)]);
    let new = build.random.one(&[(7, 8), (3, 4), (0, 0)]);
    for (reg, value) in [(RAX, expected.0), (RDX, expected.1), (RBX, new.0), (RCX, new.1)] {
        build.push(Op::Set(reg, value));
    }
    let locked = build.random.percent(60);
    build.push(Op::Cmpxchg16b(locked, Place::Data(at)));
    if build.random.percent(40) {
        let reg = build.random.one(&[RAX, RDX]);
        let to = build.result();
        build.push(Op::Lea(to, reg, 0));
    }
}
