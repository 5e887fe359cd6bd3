//! Programs without interrupts.

use abi::hypercall::Hypercall;

use crate::generate::build::Build;
use crate::program::{Op, Place, Program, RAX, RCX, RDI, RDX, Rmw, SHARED_WORDS};
use crate::random::Random;

/// A few accesses on each of two or three CPUs.
pub(super) fn plain(random: &mut Random, mixed: bool) -> Program {
    if !mixed && random.percent(6) {
        return answer(random);
    }
    let cpus = if random.percent(25) { 3 } else { 2 };
    let words = if mixed { random.below(2) + 1 } else { random.below(2) + 2 };
    let mut program = Program::default();
    if random.percent(30) {
        program.initial[0] = random.below(3);
    }
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, words);
        build.mixed = mixed;
        let most = if cpus == 3 { 2 } else { 4 };
        if mixed && cpus == 2 && build.random.percent(10) {
            overlapping(&mut build);
        } else if words > 1 && cpus == 2 && build.random.percent(30) {
            build.store_and_load();
        } else {
            (0..=build.random.below(most)).for_each(|_| build.access());
        }
        if build.random.percent(8) {
            build.choose(2);
            build.push(Op::Store(RAX, 8, Place::Data(0)));
        }
        if build.random.percent(8) {
            let reg = build.known();
            build.push(Op::Lea(RDI, reg, 0));
            build.push(Op::Call(Hypercall::Assume));
        }
        program.cpus.push(build.end());
    }
    program
}

/// Stores to parts of a word, a load that waits for one of them, and a load of another word.
fn overlapping(build: &mut Build<'_>) {
    let value = build.value();
    for at in build.random.one(&[[4, 0], [0, 4], [5, 2]]) {
        let width = build.random.one(&[1, 1, 2]);
        build.push(Op::StoreImm(value, width, Place::Data(at)));
    }
    let to = build.result();
    let width = build.random.one(&[2, 4]);
    build.push(Op::Load(to, width, Place::Data(4)));
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(8)));
}

/// One CPU answers what another one has said, which looks for the answer at once.
fn answer(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 3);
    if build.random.percent(70) {
        build.push(Op::StoreImm(1, 8, Place::Data(16)));
    }
    match build.random.below(5) {
        0 | 1 => build.drain(),
        2 => build.push(Op::Lfence),
        3 => build.access(),
        _ => {}
    }
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(8)));
    let says = build.end();
    let mut build = Build::new(random, 1, 3);
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(0)));
    build.push(Op::Store(to, 8, Place::Data(8)));
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(16)));
    Program { cpus: vec![says, build.end()], ..Program::default() }
}

/// A flag that only he looks at who has seen another word change between two loads: which words are shared
/// comes out one by one.
fn late(random: &mut Random) -> Program {
    let place = |word: u16| Place::Data(8 * word);
    let mut build = Build::new(random, 0, 3);
    build.push(Op::StoreImm(1, 8, place(0)));
    for word in build.random.one(&[[1, 2], [1, 2], [2, 1]]) {
        build.push(Op::StoreImm(1, 8, place(word)));
    }
    let says = build.end();
    let mut build = Build::new(random, 1, 3);
    build.push(Op::Load(RCX, 8, place(0)));
    build.push(Op::Jrcxz(3));
    build.push(Op::Jmp(12));
    build.push(Op::Load(RCX, 8, place(0)));
    build.push(Op::Jrcxz(12));
    build.push(Op::Load(RCX, 8, place(2)));
    build.push(Op::Jrcxz(12));
    let to = build.result();
    build.push(Op::Load(to, 8, place(1)));
    build.require(to, 1, 2);
    debug_assert_eq!(build.ops.len(), 12, "where the jumps lead");
    let to = build.result();
    build.push(Op::Load(to, 8, place(1)));
    Program { cpus: vec![says, build.end()], ..Program::default() }
}

/// A CPU waits for a word that another one, which has something else to do, may never set.
fn put_off(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 3);
    build.push(Op::StoreImm(1, 8, Place::Data(8)));
    build.wait(0);
    let waits = build.end();
    let mut build = Build::new(random, 1, 3);
    build.choose(2);
    build.push(Op::Lea(RCX, RAX, 0));
    build.push(Op::Jrcxz(6));
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    debug_assert_eq!(build.ops.len(), 5, "where the jump leads");
    build.push(Op::Jmp(0));
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(8)));
    let value = build.random.one(&[5, 5, 1]);
    build.require(to, value, 3);
    let end = build.ops.len();
    build.ops[5] = Op::Jmp(end);
    Program { cpus: vec![waits, build.end()], ..Program::default() }
}

/// A loop of two accesses that is left from its top, and what is stored then.
fn left_from_the_top(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 3);
    let to = build.result();
    build.push(Op::Load(RCX, 8, Place::Data(0)));
    build.push(Op::Jrcxz(3));
    build.push(Op::Jmp(5));
    build.push(Op::Load(to, 8, Place::Data(8)));
    build.push(Op::Jmp(0));
    if build.random.percent(50) {
        build.push(Op::StoreImm(1, 8, Place::Data(16)));
    } else {
        build.push(Op::Set(RDX, 1));
        build.push(Op::Rmw(Rmw::Xchg, true, RDX, 8, Place::Data(16)));
    }
    let leaves = build.end();
    let mut build = Build::new(random, 1, 3);
    for word in build.random.one(&[[8, 0], [0, 8]]) {
        build.push(Op::StoreImm(1, 8, Place::Data(word)));
    }
    if build.random.percent(30) {
        build.push(Op::Mfence);
    }
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(16)));
    Program { cpus: vec![leaves, build.end()], ..Program::default() }
}

/// Locks, flags and what they guard.
pub(super) fn locks(random: &mut Random) -> Program {
    match random.below(100) {
        0..4 => return put_off(random),
        4..8 => return left_from_the_top(random),
        _ => {}
    }
    if random.percent(6) {
        return late(random);
    }
    let mut program = Program::default();
    // Two locks, free; then two flags; then what is guarded.
    program.initial[0] = 1;
    program.initial[1] = 1;
    let cpus = if random.percent(15) { 3 } else { 2 };
    let guarded = SHARED_WORDS as u16 - 2;
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 2);
        for _ in 0..=build.random.below(2) {
            phrase(&mut build, cpu, guarded);
        }
        program.cpus.push(build.end());
    }
    program
}

fn phrase(build: &mut Build<'_>, cpu: u8, guarded: u16) {
    let place = Place::Data(8 * guarded);
    match build.random.below(if cpu == 0 { 10 } else { 11 }) {
        0 | 1 | 8 | 9 => {
            let lock = build.random.below(2) as u16;
            build.lock(lock);
            guarded_part(build, place);
            let unlock = if build.random.percent(95) { lock } else { 1 - lock };
            build.push(Op::StoreImm(1, 8, Place::Data(8 * unlock)));
        }
        2 => {
            // Two locks, in one order or the other.
            let first = u16::from(build.random.percent(25));
            build.lock(first);
            build.lock(1 - first);
            guarded_part(build, place);
            build.push(Op::StoreImm(1, 8, Place::Data(8 * first)));
            build.push(Op::StoreImm(1, 8, Place::Data(8 * (1 - first))));
        }
        3 => {
            // A lock that is looked at first and then taken.
            build.wait(0);
            build.push(Op::StoreImm(0, 8, Place::Data(0)));
            guarded_part(build, place);
            build.push(Op::StoreImm(1, 8, Place::Data(0)));
        }
        4 | 5 => {
            // A message: data, then a flag.
            let flag = 2 + u16::from(build.random.percent(25));
            build.push(Op::StoreImm(7, 8, place));
            build.push(Op::StoreImm(1, 8, Place::Data(8 * flag)));
        }
        6 | 10 if cpu > 0 => {
            let flag = 2 + u16::from(build.random.percent(10));
            build.wait(flag);
            let to = build.result();
            build.push(Op::Load(to, 8, place));
            if build.random.percent(40) {
                build.require(to, 7, 0);
            }
        }
        _ => {
            // Mutual exclusion by flags alone.
            let (mine, other) = (2 + u16::from(cpu % 2), 3 - u16::from(cpu % 2));
            build.push(Op::StoreImm(1, 8, Place::Data(8 * mine)));
            if build.random.percent(50) {
                build.push(Op::Mfence);
            }
            build.push(Op::Load(RCX, 8, Place::Data(8 * other)));
            let over = build.ops.len() + 2;
            build.push(Op::Jrcxz(over));
            let out = build.ops.len() + 3;
            build.push(Op::Jmp(out));
            let to = build.result();
            build.push(Op::Load(to, 8, place));
            build.push(Op::StoreImm(i32::from(cpu) + 1, 8, place));
        }
    }
}

/// What happens under a lock.
fn guarded_part(build: &mut Build<'_>, place: Place) {
    match build.random.below(3) {
        0 => {
            build.push(Op::Set(RDX, 1));
            build.push(Op::Rmw(Rmw::Add, false, RDX, 8, place));
        }
        1 => {
            let to = build.result();
            build.push(Op::Load(to, 8, place));
            build.push(Op::Lea(RDX, to, 1));
            build.push(Op::Store(RDX, 8, place));
        }
        _ => {
            // Who comes in sees 0, and leaves 0.
            let to = build.result();
            build.push(Op::Load(to, 8, place));
            if build.random.percent(50) {
                build.require(to, 0, 1);
            }
            build.push(Op::StoreImm(1, 8, place));
            build.push(Op::StoreImm(0, 8, place));
        }
    }
}
