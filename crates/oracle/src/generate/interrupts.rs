//! Programs with handlers.

use abi::hypercall::Hypercall;

use crate::generate::build::Build;
use crate::program::{Handler, Op, Place, Program, RAX, RBX, RCX, RDI, RDX, Rmw};
use crate::random::Random;

/// Vectors of three priority classes, two of one.
const VECTORS: [u8; 4] = [0x30, 0x41, 0x45, 0x62];
/// The vector of programs that have one.
pub(super) const SENT: u8 = VECTORS[1];
/// SDM vol. 3 table 10-6: the x2APIC's EOI, ICR and SELF IPI.
const EOI: u64 = 0x80b;
const ICR: u64 = 0x830;
const SELF_IPI: u64 = 0x83f;

/// The most messages of one vector to one CPU: fewer than are told apart.
const EQUAL: usize = 3;

/// A handler whose entry code is not part of the program.
pub(super) fn called_code(random: &mut Random, words: u64) -> Vec<Op> {
    let mut build = Build::new(random, 0, words);
    for _ in 0..=build.random.below(2) {
        simple(&mut build);
    }
    build.end_handler(false)
}

/// An access without a result of its own.
fn simple(build: &mut Build<'_>) {
    let (width, place) = build.place();
    let other = build.place().1;
    match build.random.below(5) {
        0 | 1 => {
            let value = build.value() + 4;
            build.push(Op::StoreImm(value, width, place));
        }
        2 => {
            build.push(Op::Set(RDX, 1));
            let locked = build.random.percent(40);
            build.push(Op::Rmw(Rmw::Add, locked, RDX, width, place));
        }
        3 => {
            build.push(Op::Load(RBX, width, place));
            build.push(Op::Store(RBX, width, other));
        }
        _ => {
            build.push(Op::Load(RBX, width, place));
            build.push(Op::Lea(RBX, RBX, 3));
            build.push(Op::Store(RBX, width, place));
        }
    }
}

/// Accesses with interrupts on and off.
pub(super) fn window(build: &mut Build<'_>) {
    match build.random.below(9) {
        0 => {
            build.push(Op::Cli);
            simple(build);
            build.push(Op::Sti);
        }
        1 => {
            build.push(Op::Pushf);
            build.push(Op::Cli);
            simple(build);
            build.push(Op::Popf);
        }
        2 => {
            build.push(Op::Cli);
            build.push(Op::Sti);
            simple(build);
        }
        3 => build.push(Op::Sti),
        4 => {
            // Two windows, and one between STI and CLI that is none.
            build.push(Op::Cli);
            simple(build);
            build.push(Op::Sti);
            if build.random.percent(50) {
                build.push(Op::Nop);
            }
            build.push(Op::Cli);
            simple(build);
            build.push(Op::Sti);
        }
        5 => {
            let to = build.result();
            let place = build.place().1;
            build.push(Op::Load(to, 8, place));
        }
        _ => simple(build),
    }
}

/// What CPU 0 has stored when a handler begins or ends there, as CPU 1 sees it: it stores and looks back.
fn in_order(random: &mut Random, raw: bool, stores: bool) -> Program {
    let mut build = Build::new(random, 0, 2);
    if stores {
        // The code that is interrupted looks whether the handler has stored, and what CPU 1 has.
        build.push(Op::StoreImm(1, 8, Place::Data(0)));
    } else {
        build.push(Op::Load(RBX, 8, Place::Data(0)));
        build.push(Op::Store(RBX, 8, Place::Data(16)));
        build.push(Op::Load(RBX, 8, Place::Data(8)));
        build.push(Op::Store(RBX, 8, Place::Data(24)));
    }
    let code = build.end_handler(raw);
    let handlers = vec![Handler { vector: VECTORS[1], raw, code }];
    let mut build = Build::new(random, 0, 2);
    if stores || build.random.percent(50) {
        build.send(0, VECTORS[1]);
    }
    if stores {
        for word in [0, 8] {
            let to = build.result();
            build.push(Op::Load(to, 8, Place::Data(word)));
        }
    } else {
        build.push(Op::StoreImm(1, 8, Place::Data(0)));
    }
    let interrupted = build.end();
    let mut build = Build::new(random, 1, 2);
    if !interrupted.contains(&Op::Call(Hypercall::SendIpi)) {
        build.send(0, VECTORS[1]);
    }
    build.push(Op::StoreImm(1, 8, Place::Data(8)));
    if build.random.percent(80) {
        build.push(Op::Mfence);
    }
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(0)));
    Program { handlers, cpus: vec![interrupted, build.end()], ..Program::default() }
}

/// Interrupts by hypercall with called handlers.
pub(super) fn called(random: &mut Random) -> Program {
    if random.percent(6) {
        let stores = random.percent(50);
        return in_order(random, false, stores);
    }
    let mut program = Program::default();
    let words = 2;
    let vectors = &VECTORS[..1 + random.below(2) as usize];
    for vector in vectors {
        let code = called_code(random, words);
        program.handlers.push(Handler { vector: *vector, raw: false, code });
    }
    match random.below(100) {
        0..4 => return equal(program, random),
        4..7 => return window_only(random),
        _ => {}
    }
    let cpus = 1 + random.below(2) as u8;
    let mut sent = Vec::new();
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, words);
        for _ in 0..=build.random.below(if cpus == 1 { 4 } else { 2 }) {
            if vectors.len() > 1 && build.random.percent(10) {
                // Either may come first, as both are on their way.
                build.push(Op::Cli);
                send(&mut build, &mut sent, cpus, vectors);
                send(&mut build, &mut sent, cpus, vectors);
                build.push(Op::Sti);
            } else if build.random.percent(35) {
                send(&mut build, &mut sent, cpus, vectors);
            } else if cpu > 0 && build.random.percent(40) {
                build.store_and_load();
            } else {
                window(&mut build);
            }
        }
        if sent.is_empty() {
            send(&mut build, &mut sent, cpus, vectors);
        }
        program.cpus.push(build.end());
    }
    program
}

/// A message that can come in one short window alone, or, where there is none, never: other runs do not
/// count.
fn window_only(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 2);
    build.push(Op::StoreImm(1, 8, Place::Data(8)));
    let handler = Handler { vector: VECTORS[1], raw: false, code: build.end_handler(false) };
    let mut build = Build::new(random, 0, 2);
    build.push(Op::Cli);
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    build.push(Op::Sti);
    if build.random.percent(75) {
        build.push(Op::Nop);
    }
    build.push(Op::Cli);
    build.push(Op::Load(RDI, 8, Place::Data(8)));
    build.push(Op::Call(Hypercall::Assume));
    build.push(Op::Sti);
    let waits = build.end();
    let mut build = Build::new(random, 1, 2);
    build.wait(0);
    build.send(0, VECTORS[1]);
    Program { handlers: vec![handler], cpus: vec![waits, build.end()], ..Program::default() }
}

/// As many equal messages as are told apart in all programs; how often their handler has run can be seen.
fn equal(mut program: Program, random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 2);
    build.push(Op::Load(RBX, 8, Place::Data(0)));
    build.push(Op::Lea(RBX, RBX, 1));
    build.push(Op::Store(RBX, 8, Place::Data(0)));
    program.handlers.truncate(1);
    program.handlers[0].code = build.end_handler(false);
    let mut build = Build::new(random, 0, 2);
    for _ in 0..EQUAL {
        build.send(0, VECTORS[0]);
    }
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(0)));
    program.cpus.push(build.end());
    program
}

/// A message by hypercall, if there may be one more.
fn send(build: &mut Build<'_>, sent: &mut Vec<(u64, u8)>, cpus: u8, vectors: &[u8]) {
    let message = (build.random.below(u64::from(cpus)), build.random.one(vectors));
    if sent.iter().filter(|other| **other == message).count() < EQUAL && sent.len() < 3 {
        sent.push(message);
        build.send(message.0, message.1);
    }
}

/// CPUs that sleep until they are woken.
pub(super) fn halt(random: &mut Random) -> Program {
    let mut program = Program::default();
    let code = called_code(random, 2);
    program.handlers.push(Handler { vector: VECTORS[1], raw: false, code });
    let nmi = random.percent(20);
    if nmi {
        let code = called_code(random, 2);
        program.nmi = Some(Handler { vector: 2, raw: false, code });
        program.nmi_budget = u8::from(random.percent(40));
    }
    let mut build = Build::new(random, 0, 2);
    let careful = build.random.percent(60);
    sleeper(&mut build, careful);
    program.cpus.push(build.end());
    let mut build = Build::new(random, 1, 2);
    if careful {
        build.push(Op::StoreImm(1, 8, Place::Data(0)));
    } else if build.random.percent(50) {
        simple(&mut build);
    }
    match build.random.below(10) {
        0 if !careful => {}
        1 if nmi => build.send_nmi(0),
        2 if nmi => {
            build.send_nmi(0);
            build.send(0, VECTORS[1]);
        }
        3 => {
            build.send(0, VECTORS[1]);
            build.send(0, VECTORS[1]);
        }
        _ => build.send(0, VECTORS[1]),
    }
    if build.random.percent(30) {
        simple(&mut build);
    }
    program.cpus.push(build.end());
    program
}

/// Ways to fall asleep, right and wrong.
fn sleeper(build: &mut Build<'_>, careful: bool) {
    match if careful { 6 } else { build.random.below(7) } {
        0 => build.push(Op::Hlt),
        1 => {
            build.push(Op::Cli);
            simple(build);
            build.push(Op::Sti);
            build.push(Op::Hlt);
        }
        2 => {
            build.push(Op::Cli);
            if build.random.percent(30) {
                build.push(Op::Hlt);
            }
            // Without it, it ends with interrupts off.
            if build.random.percent(75) {
                build.push(Op::Sti);
            }
        }
        kind => {
            // Asks with interrupts off, sleeps, asks again.
            let top = build.ops.len();
            if kind > 3 {
                build.push(Op::Cli);
            }
            build.push(Op::Load(RCX, 8, Place::Data(0)));
            let sleep = build.ops.len() + 2;
            build.push(Op::Jrcxz(sleep));
            let jump = build.ops.len();
            build.push(Op::Jmp(0));
            if kind > 3 {
                build.push(Op::Sti);
                if !careful && build.random.percent(25) {
                    build.push(Op::Nop);
                }
            }
            build.push(Op::Hlt);
            if careful && build.random.percent(50) {
                build.push(Op::Sti);
            }
            build.push(Op::Jmp(top));
            build.ops[jump] = Op::Jmp(build.ops.len());
            build.push(Op::Sti);
        }
    }
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(8)));
}

/// A handler that looks at what it interrupts, and leaves it as it was.
fn raw_code(random: &mut Random, eoi: bool) -> Vec<Op> {
    let mut build = Build::new(random, 0, 2);
    build.push(Op::Push(RBX));
    let word = 2 + build.random.below(2) as u16;
    let place = Place::Data(8 * word);
    for _ in 0..=build.random.below(2) {
        match build.random.below(5) {
            0 => {
                build.push(Op::Frame(RBX, 1));
                build.push(Op::Store(RBX, 8, place));
            }
            1 => {
                build.push(Op::Frame(RBX, 3));
                build.push(Op::And(RBX, 0x200));
                build.push(Op::Store(RBX, 8, place));
            }
            2 => {
                let reg = build.random.one(&[8, 9, RAX, RDX]);
                build.push(Op::Store(reg, 8, place));
            }
            3 => {
                let place = build.place().1;
                build.push(Op::StoreImm(9, 8, place));
            }
            _ => {
                let place = build.place().1;
                build.push(Op::Load(RBX, 8, place));
                build.push(Op::Lea(RBX, RBX, 5));
                build.push(Op::Store(RBX, 8, place));
            }
        }
    }
    if eoi {
        let saved = [RAX, RCX, RDX];
        saved.iter().for_each(|reg| build.push(Op::Push(*reg)));
        build.wrmsr(EOI, 0, 0);
        saved.iter().rev().for_each(|reg| build.push(Op::Pop(*reg)));
    }
    build.push(Op::Pop(RBX));
    build.end_handler(true)
}

/// Raw handlers.
pub(super) fn raw(random: &mut Random) -> Program {
    if random.percent(6) {
        let stores = random.percent(70);
        return in_order(random, true, stores);
    }
    let mut program = Program::default();
    let eoi = random.percent(40);
    let code = raw_code(random, eoi);
    program.handlers.push(Handler { vector: VECTORS[1], raw: true, code });
    let cpus = 1 + random.below(2) as u8;
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 2);
        for _ in 0..=build.random.below(if cpus == 1 { 4 } else { 1 }) {
            match build.random.below(3) {
                0 => build.access(),
                _ => window(&mut build),
            }
        }
        if cpu + 1 == cpus {
            build.send(0, VECTORS[1]);
            if build.random.percent(50) {
                window(&mut build);
            }
        }
        program.cpus.push(build.end());
    }
    program
}

/// Vectors that are in service together, as their handlers leave EOI to the code below: which one EOI ends
/// shows in what is delivered then, and in what never is.
fn in_service(random: &mut Random) -> Program {
    let vectors = [VECTORS[0], VECTORS[1], VECTORS[3]];
    let mut program = Program::default();
    for (word, vector) in (0..).zip(vectors) {
        let mut build = Build::new(random, 0, 2);
        build.push(Op::StoreImm(1, 8, Place::Data(8 * word)));
        let code = build.end_handler(true);
        program.handlers.push(Handler { vector, raw: true, code });
    }
    let mut build = Build::new(random, 0, 2);
    for number in [0, 2] {
        build.wrmsr(SELF_IPI, u64::from(vectors[number]), 0);
        build.wait(number as u16);
    }
    build.wrmsr(EOI, 0, 0);
    let next = build.random.one(&[0, 1, 2]);
    build.wrmsr(SELF_IPI, u64::from(vectors[next]), 0);
    if build.random.percent(40) {
        build.wrmsr(EOI, 0, 0);
    }
    program.cpus.push(build.end());
    program
}

/// Messages by the x2APIC, priorities, EOI.
pub(super) fn apic(random: &mut Random) -> Program {
    if random.percent(6) {
        return in_service(random);
    }
    let mut program = Program::default();
    let first = random.one(&[0, 1, 1, 2]);
    let vectors = &VECTORS[first..first + 1 + random.below(2) as usize];
    for vector in vectors {
        let raw = random.percent(50);
        let eoi = random.percent(75);
        let code = if raw { raw_code(random, eoi) } else { called_code(random, 2) };
        program.handlers.push(Handler { vector: *vector, raw, code });
    }
    let cpus = 1 + random.below(2) as u8;
    let mut sent = 0;
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 2);
        let phrases = build.random.below(if cpus == 1 { 3 } else { 2 });
        for _ in 0..=phrases {
            if sent < 2 && build.random.percent(60) {
                sent += 1;
                by_apic(&mut build, cpus, vectors);
            } else {
                window(&mut build);
            }
        }
        program.cpus.push(build.end());
    }
    program
}

/// A store, maybe a fence, and a message.
fn by_apic(build: &mut Build<'_>, cpus: u8, vectors: &[u8]) {
    if build.random.percent(70) {
        let place = build.place().1;
        build.push(Op::StoreImm(6, 8, place));
    }
    match build.random.below(6) {
        0 => build.push(Op::Mfence),
        1 => build.push(Op::Lfence),
        2 | 3 => {
            build.push(Op::Mfence);
            build.push(Op::Lfence);
        }
        _ => {}
    }
    let vector = u64::from(build.random.one(vectors));
    match build.random.below(6) {
        0 => build.wrmsr(SELF_IPI, vector, 0),
        1 => {
            let shorthand = 1 + build.random.below(3);
            build.wrmsr(ICR, vector | shorthand << 18, 0);
        }
        _ => {
            let to = build.random.below(u64::from(cpus));
            build.wrmsr(ICR, vector, to);
        }
    }
}

/// MOV to SS, by itself or beside what holds interrupts back, too.
fn shadows(build: &mut Build<'_>) {
    build.push(Op::Set(RDX, 0x18));
    let load = Op::MovSs(RDX);
    let before = match build.random.below(5) {
        0 => vec![load],
        1 => vec![Op::Cli, Op::Sti],
        _ => Vec::new(),
    };
    before.into_iter().for_each(|op| build.push(op));
    build.push(load);
    if build.random.percent(20) {
        build.push(Op::Cli);
        build.push(Op::Sti);
    }
    simple(build);
}

/// Loads of SS one after the other, and where an NMI comes between them.
fn loads_of_ss(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 2);
    build.push(Op::Push(RBX));
    build.push(Op::Frame(RBX, 1));
    build.push(Op::Store(RBX, 8, Place::Data(16)));
    build.push(Op::Pop(RBX));
    let nmi = Some(Handler { vector: 2, raw: true, code: build.end_handler(true) });
    let mut build = Build::new(random, 0, 2);
    build.push(Op::Set(RDX, 0x18));
    for _ in 0..2 + build.random.below(2) {
        build.push(Op::MovSs(RDX));
    }
    simple(&mut build);
    Program { nmi, nmi_budget: 1, cpus: vec![build.end()], ..Program::default() }
}

/// A CPU waits for what an NMI does that nobody need send.
fn waits_for_nmi(random: &mut Random) -> Program {
    let mut build = Build::new(random, 0, 2);
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    let nmi = Some(Handler { vector: 2, raw: false, code: build.end_handler(false) });
    let mut build = Build::new(random, 0, 2);
    build.wait(0);
    let mut cpus = vec![build.end()];
    if random.percent(50) {
        let mut build = Build::new(random, 1, 2);
        let value = build.random.below(2) as i32;
        build.push(Op::StoreImm(value, 8, Place::Data(0)));
        cpus.push(build.end());
    }
    Program { nmi, nmi_budget: 1, cpus, ..Program::default() }
}

/// NMIs.
pub(super) fn nmi(random: &mut Random) -> Program {
    match random.below(100) {
        0..4 => return loads_of_ss(random),
        4..8 => return waits_for_nmi(random),
        _ => {}
    }
    let mut program = Program::default();
    let raw = random.percent(35);
    let code = if raw { raw_code(random, false) } else { called_code(random, 2) };
    program.nmi = Some(Handler { vector: 2, raw, code });
    program.nmi_budget = u8::from(random.percent(50));
    let interrupts = random.percent(50);
    if interrupts {
        let code = called_code(random, 2);
        program.handlers.push(Handler { vector: VECTORS[0], raw: false, code });
    }
    let cpus = 1 + random.below(2) as u8;
    for cpu in 0..cpus {
        let mut build = Build::new(random, cpu, 2);
        for _ in 0..=build.random.below(2) {
            match build.random.below(5) {
                0 if program.nmi_budget == 0 => {
                    let to = build.random.below(u64::from(cpus));
                    build.send_nmi(to);
                }
                1 => shadows(&mut build),
                2 => build.access(),
                _ => window(&mut build),
            }
        }
        if interrupts && cpu == 0 {
            build.send(0, VECTORS[0]);
        }
        if program.nmi_budget == 0 && cpu + 1 == cpus {
            let to = build.random.below(u64::from(cpus));
            build.send_nmi(to);
        }
        program.cpus.push(build.end());
    }
    program
}
