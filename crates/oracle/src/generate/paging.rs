//! Programs that change page tables under each other's feet.

use abi::hypercall::Hypercall;

use crate::assemble::{descriptor, frame_pa};
use crate::generate::build::Build;
use crate::program::{
    DATA, Handler, Op, Place, Program, RAX, RBX, RCX, RDI, RDX, RSI, Rmw, Tables, VALUES,
};
use crate::random::Random;
use crate::search::heap;

const P: u64 = 1;
pub(super) const RW: u64 = 1 << 1;
const US: u64 = 1 << 2;
pub(super) const A: u64 = 1 << 5;
pub(super) const D: u64 = 1 << 6;
const G: u64 = 1 << 8;
const XD: u64 = 1 << 63;
pub(super) const USER: u64 = P | RW | US | A | D;
/// Frames: the tables from the root on, another page table, pages.
const PD: usize = 2;
pub(super) const PT: usize = 3;
const OTHER_PT: usize = 4;
pub(super) const PAGES: [usize; 2] = [5, 6];
/// Two pages of one page table.
pub(super) const VAS: [u64; 2] = [0x40_0000, 0x40_1000];
const VECTOR: u8 = 0x41;

/// What of it a program uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One PCID, entries and INVLPG.
    Pages,
    /// Several PCIDs, MOV to CR3, INVPCID, global pages.
    Pcids,
    /// Pointers with tags.
    Lam,
    /// Rights at every level, SMEP.
    Rights,
    /// CR2 and handlers.
    Cr2,
}

pub(super) fn tables(random: &mut Random, kind: Kind) -> Program {
    let global = if kind == Kind::Pcids && random.percent(40) { G } else { 0 };
    let pa = |frame| frame_pa(heap(), frame);
    let mut entries = vec![
        (0, 0, pa(1) | USER),
        (1, 0, pa(PD) | USER),
        (PD, 2, pa(PT) | USER),
        (PT, 0, pa(PAGES[0]) | USER | global),
        (OTHER_PT, 0, pa(PAGES[1]) | USER),
        (OTHER_PT, 1, 0),
    ];
    let second = random.percent(50);
    entries.push((PT, 1, if second { pa(PAGES[1]) | USER } else { 0 }));
    if kind == Kind::Rights && random.percent(50) {
        let level = random.below(4) as usize;
        entries[level].2 &= !random.one(&[RW, US]);
        if random.percent(30) {
            entries[level].2 |= XD;
        }
    }
    let descriptors = vec![(1, VAS[0]), (2, VAS[0]), (2, VAS[1]), (1, VAS[1])];
    let words = vec![(PAGES[0], 0, 0x11), (PAGES[1], 0, 0x22)];
    let remote = random.percent(if kind == Kind::Cr2 { 80 } else { 40 });
    // Where a handler may come before CR3 is loaded it is loaded already.
    let cr3 = if remote || random.percent(30) { pa(0) | 1 } else { 0 };
    let later = match cr3 != 0 && random.percent(30) {
        true => vec![random.one(&[
            (PT, 0, pa(PAGES[1]) | USER),
            (PT, 0, 0),
            (PD, 2, pa(OTHER_PT) | USER),
        ])],
        false => Vec::new(),
    };
    let pages = VAS.to_vec();
    let unaccessed = false;
    let tables = Tables { frames: 7, entries, later, cr3, words, descriptors, pages, unaccessed };
    let mut program = Program { tables: Some(tables), ..Program::default() };
    if remote {
        let mut build = Build::new(random, 0, 1);
        if kind == Kind::Cr2 && build.random.percent(60) {
            access(&mut build, kind, 0, false);
        } else {
            flush(&mut build, kind);
        }
        build.push(Op::StoreImm(1, 8, Place::Data(0)));
        let code = build.end_handler(false);
        program.handlers.push(Handler { vector: VECTOR, raw: false, code });
    }
    if let Some(pattern) = pattern(random, kind) {
        return pattern(program, random);
    }
    let mut build = Build::new(random, 0, 1);
    user(&mut build, kind, remote);
    program.cpus.push(build.end());
    if random.percent(80) {
        let mut build = Build::new(random, 1, 1);
        kernel(&mut build, kind, remote);
        program.cpus.push(build.end());
    } else if remote {
        program.cpus.push(vec![
            Op::Set(RDI, 0),
            Op::Set(RSI, u64::from(VECTOR)),
            Op::Call(Hypercall::SendIpi),
            Op::Ret,
        ]);
    }
    program
}

/// What makes a program of its own of tables.
type Pattern = fn(Program, &mut Random) -> Program;

/// Sometimes one of these.
fn pattern(random: &mut Random, kind: Kind) -> Option<Pattern> {
    let all: [(Kind, u64, Pattern); 7] = [
        (Kind::Pages, 12, freed_by_request),
        (Kind::Pages, 8, stale_path),
        (Kind::Pages, 6, one_instruction),
        (Kind::Pages, 4, stored_entry),
        (Kind::Pages, 4, passing_table),
        (Kind::Pages, 8, two_entries),
        (Kind::Pcids, 5, spurious_fault),
    ];
    let mut of_kind = all.into_iter().filter(|(of, ..)| *of == kind);
    of_kind.find(|(_, chances, _)| random.percent(*chances)).map(|(.., pattern)| pattern)
}

/// A CPU uses a page and then asks another one to free it; what it has stored may be on its way still.
fn freed_by_request(mut program: Program, random: &mut Random) -> Program {
    let free =
        vec![Op::Set(RDI, frame_pa(heap(), PAGES[0])), Op::Call(Hypercall::FrameFree), Op::Ret];
    program.handlers = vec![Handler { vector: VECTOR, raw: false, code: free }];
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = frame_pa(heap(), 0) | 1;
    }
    let mut build = Build::new(random, 0, 1);
    access(&mut build, Kind::Rights, 0, false);
    if build.random.percent(50) {
        build.push(Op::Mfence);
        build.push(Op::Lfence);
    }
    build.wrmsr(0x830, u64::from(VECTOR), 1);
    program.cpus = vec![build.end(), vec![Op::Ret]];
    program
}

/// A table to which only an entry leads that is gone, and an entry of it that was there for a moment.
fn stale_path(mut program: Program, random: &mut Random) -> Program {
    let pa = |frame| frame_pa(heap(), frame);
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = pa(0) | 1;
        // Nothing else leads from this address to a page.
        tables.entries.retain(|(frame, word, _)| (*frame, *word) != (PT, 1));
        tables.entries.push((PT, 1, 0));
    }
    program.handlers.clear();
    let mut build = Build::new(random, 0, 1);
    store(&mut build, 1, 0, 0);
    store(&mut build, PD, 2, pa(OTHER_PT) | USER);
    store(&mut build, OTHER_PT, 1, pa(PAGES[1]) | USER);
    if build.random.percent(30) {
        build.push(Op::Set(RSI, VAS[1]));
        build.push(Op::Invlpg(RSI));
    }
    match build.random.below(3) {
        0 | 1 => store(&mut build, OTHER_PT, 1, 0),
        _ => {
            build.push(Op::Set(RDI, pa(OTHER_PT)));
            build.push(Op::Call(Hypercall::FrameFree));
        }
    }
    if build.random.percent(50) {
        build.drain();
    }
    user_access(&mut build, Hypercall::UserRead, VAS[1], VALUES);
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data((VALUES - DATA) as u16)));
    program.cpus = vec![build.end()];
    program
}

/// Accesses 8 bytes at `va` at CPL 3 and keeps the outcome as a result. `operand` is the value to write, or the
/// address that receives the value read.
fn user_access(build: &mut Build<'_>, call: Hypercall, va: u64, operand: u64) {
    build.push(Op::Set(RDI, va));
    build.push(Op::Set(RSI, 8));
    build.push(Op::Set(RDX, operand));
    build.push(Op::Call(call));
    let to = build.result();
    build.push(Op::Lea(to, RAX, 0));
}

/// A page whose entry the same CPU has just stored.
fn stored_entry(mut program: Program, random: &mut Random) -> Program {
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = frame_pa(heap(), 0) | 1;
        tables.entries.retain(|(frame, word, _)| (*frame, *word) != (PT, 1));
        tables.entries.push((PT, 1, 0));
    }
    program.handlers.clear();
    let mut build = Build::new(random, 0, 1);
    store(&mut build, PT, 1, frame_pa(heap(), PAGES[1]) | USER);
    if build.random.percent(20) {
        build.push(Op::Mfence);
    }
    build.push(Op::Set(RDI, VAS[1]));
    let to = build.result();
    let locked = build.random.percent(70);
    let how = build.random.one(&[Rmw::Add, Rmw::Xadd, Rmw::Xchg]);
    build.push(Op::Rmw(how, locked || how == Rmw::Xchg, to, 8, Place::At(RDI)));
    program.cpus = vec![build.end()];
    program
}

/// A table that comes and goes, with all that may be cached of it, while no other CPU looks.
fn passing_table(mut program: Program, random: &mut Random) -> Program {
    let pa = |frame| frame_pa(heap(), frame);
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = pa(0) | 1;
        tables.entries.retain(|(frame, word, _)| (*frame, *word) != (OTHER_PT, 1));
        tables.entries.push((OTHER_PT, 1, pa(PAGES[1]) | USER));
    }
    program.handlers.clear();
    let mut build = Build::new(random, 0, 1);
    let exchange = |build: &mut Build<'_>, frame, word, value| {
        store(build, frame, word, value);
        build.ops.pop();
        build.push(Op::Rmw(Rmw::Xchg, true, RSI, 8, Place::At(RDX)));
    };
    exchange(&mut build, PD, 2, pa(OTHER_PT) | USER);
    exchange(&mut build, OTHER_PT, 1, 0);
    user_access(&mut build, Hypercall::UserRead, VAS[1], VALUES);
    exchange(&mut build, PD, 2, pa(PT) | USER);
    let page = build.random.one(&VAS);
    build.push(Op::Set(RSI, page));
    build.push(Op::Invlpg(RSI));
    program.cpus = vec![build.end()];
    program
}

/// Two entries that change at once, by CMPXCHG16B, while another CPU uses the pages.
fn two_entries(mut program: Program, random: &mut Random) -> Program {
    let pa = |frame| frame_pa(heap(), frame);
    let old = [pa(PAGES[0]) | USER, pa(PAGES[1]) | USER];
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = pa(0) | 1;
        tables.entries.retain(|(frame, _, _)| *frame != PT);
        tables.entries.extend([(PT, 0, old[0]), (PT, 1, old[1])]);
    }
    program.handlers.clear();
    let mut build = Build::new(random, 0, 1);
    let to = build.result();
    build.push(Op::Load(to, 8, Place::Data(0)));
    if build.random.percent(30) {
        access(&mut build, Kind::Pages, 0, true);
    } else {
        // The second of the two.
        user_access(&mut build, Hypercall::UserRead, VAS[1], VALUES);
    }
    let uses = build.end();
    let mut build = Build::new(random, 1, 1);
    let new = build.random.one(&[[0, 0], [0, 0], [old[1], old[0]], [old[0], 0]]);
    let expected = if build.random.percent(85) { old } else { [old[0], 0] };
    let values = [expected[0], expected[1], new[0], new[1]];
    for (reg, value) in [RAX, RDX, RBX, RCX].into_iter().zip(values) {
        build.push(Op::Set(reg, value));
    }
    build.push(Op::Set(RSI, heap() + 4096 * PT as u64));
    let locked = build.random.percent(70);
    build.push(Op::Cmpxchg16b(locked, Place::At(RSI)));
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    program.cpus = vec![uses, build.end()];
    program
}

/// Two writes to a page that has got the right to be written, of which the first may fault.
fn spurious_fault(mut program: Program, random: &mut Random) -> Program {
    let pa = |frame| frame_pa(heap(), frame);
    let entry = pa(PAGES[0]) | USER | random.one(&[G, G, 0]);
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = pa(0) | 1;
        tables.entries.retain(|(frame, word, _)| (*frame, *word) != (PT, 0));
        tables.entries.push((PT, 0, entry & !RW));
    }
    program.handlers.clear();
    let mut build = Build::new(random, 0, 1);
    store(&mut build, PT, 0, entry);
    build.drain();
    if build.random.percent(60) {
        build.push(Op::Set(RAX, pa(0) | 2 | 1 << 63));
        build.push(Op::ToCr(3, RAX));
    }
    for value in [0x44, 0x55] {
        user_access(&mut build, Hypercall::UserWrite, VAS[0], value);
    }
    program.cpus = vec![build.end()];
    program
}

/// A handler stores to a word and to a page, of which the code below looks at one after the other: it may
/// come between them.
fn one_instruction(mut program: Program, random: &mut Random) -> Program {
    if let Some(tables) = &mut program.tables {
        tables.later.clear();
        tables.cr3 = frame_pa(heap(), 0) | 1;
    }
    let mut build = Build::new(random, 0, 1);
    build.push(Op::StoreImm(1, 8, Place::Data(0)));
    build.push(Op::Set(RDX, heap() + 4096 * PAGES[0] as u64));
    build.push(Op::StoreImm(0x33, 8, Place::At(RDX)));
    let code = build.end_handler(false);
    program.handlers = vec![Handler { vector: VECTOR, raw: false, code }];
    let mut build = Build::new(random, 0, 1);
    build.send(0, VECTOR);
    build.push(Op::Set(RDI, VAS[0]));
    let first = build.random.percent(50);
    for word in [first, !first] {
        let to = build.result();
        let place = if word { Place::Data(0) } else { Place::At(RDI) };
        build.push(Op::Load(to, 8, place));
    }
    program.cpus = vec![build.end()];
    program
}

/// Loads CR3: PCID 1 or 2, flushing or not, with LAM or not.
fn load_cr3(build: &mut Build<'_>, kind: Kind, first: bool) {
    let mut value = frame_pa(heap(), 0) | 1;
    if kind == Kind::Pcids {
        value = value & !1 | (1 + build.random.below(2));
        if !first && build.random.percent(60) {
            value |= 1 << 63;
        }
    }
    if kind == Kind::Lam {
        value |= build.random.below(4) << 61;
    }
    build.push(Op::Set(RAX, value));
    build.push(Op::ToCr(3, RAX));
}

fn user(build: &mut Build<'_>, kind: Kind, remote: bool) {
    load_cr3(build, kind, true);
    let toggle = kind == Kind::Pcids && build.random.percent(25);
    if toggle {
        // CR4.PGE is cleared.
        build.push(Op::FromCr(RAX, 4));
        build.push(Op::Lea(RAX, RAX, -(1 << 7)));
        build.push(Op::ToCr(4, RAX));
    }
    if kind == Kind::Pcids && !remote && build.random.percent(40) {
        return stale_elsewhere(build);
    }
    if kind == Kind::Rights && !remote && build.random.percent(20) {
        // What was there before must be forgotten with CR4.SMEP.
        change(build);
        set_smep(build);
        return access(build, kind, 0, true);
    }
    let accesses = if remote { 1 } else { 1 + build.random.below(2) };
    for number in 0..accesses {
        if number > 0 || build.random.percent(30) {
            match build.random.below(4) {
                0 => flush(build, kind),
                1 => change(build),
                2 if kind == Kind::Rights => set_smep(build),
                _ if kind == Kind::Pcids || kind == Kind::Lam => load_cr3(build, kind, false),
                _ => {}
            }
        }
        access(build, kind, 0, true);
    }
}

fn set_smep(build: &mut Build<'_>) {
    build.push(Op::FromCr(RAX, 4));
    build.push(Op::Lea(RAX, RAX, 1 << 20));
    build.push(Op::ToCr(4, RAX));
}

/// An entry changes under one PCID, something is dropped there or under the other, and both are looked at.
fn stale_elsewhere(build: &mut Build<'_>) {
    change(build);
    flush(build, Kind::Pcids);
    if build.random.percent(60) {
        load_cr3(build, Kind::Pcids, false);
    }
    access(build, Kind::Pcids, 0, true);
}

/// Another CPU changes an entry, makes others forget it or not, and uses the frame again or frees it.
fn kernel(build: &mut Build<'_>, kind: Kind, remote: bool) {
    change(build);
    match build.random.below(5) {
        0 => build.push(Op::Mfence),
        1 => flush(build, kind),
        _ => {}
    }
    if remote {
        build.send(0, VECTOR);
        if build.random.percent(70) {
            build.wait(0);
        }
    }
    let frame = build.random.one(&[PAGES[0], PAGES[0], PAGES[1], PT]);
    match build.random.below(4) {
        0 => {
            build.push(Op::Set(RDI, frame_pa(heap(), frame)));
            build.push(Op::Call(Hypercall::FrameFree));
            if build.random.percent(5) {
                build.push(Op::Set(RDI, frame_pa(heap(), frame)));
                build.push(Op::Call(Hypercall::FrameFree));
            }
        }
        1 | 2 => {
            let page = build.random.one(&PAGES);
            build.push(Op::Set(RDX, heap() + 4096 * page as u64));
            build.push(Op::StoreImm(0x33, 8, Place::At(RDX)));
        }
        _ => {}
    }
}

/// A store to an entry.
fn change(build: &mut Build<'_>) {
    let pa = |frame| frame_pa(heap(), frame);
    let global = if build.random.percent(25) { G } else { 0 };
    let (frame, word, value) = match build.random.below(8) {
        0 | 1 => (PT, 0, 0),
        2 | 3 => (PT, 0, pa(PAGES[1]) | USER | global),
        4 => (PT, 0, pa(PAGES[0]) | USER & !RW | global),
        5 => (PD, 2, pa(OTHER_PT) | USER),
        6 => (PD, 2, 0),
        _ => (PT, 1, pa(PAGES[0]) | USER),
    };
    store(build, frame, word, value);
}

fn store(build: &mut Build<'_>, frame: usize, word: usize, value: u64) {
    build.push(Op::Set(RSI, value));
    build.push(Op::Set(RDX, heap() + (4096 * frame + 8 * word) as u64));
    build.push(Op::Store(RSI, 8, Place::At(RDX)));
}

/// Makes this CPU forget something.
fn flush(build: &mut Build<'_>, kind: Kind) {
    let va = build.random.one(&[VAS[0], VAS[0], VAS[0], VAS[1]]);
    match build.random.below(6) {
        0..=2 if kind == Kind::Pcids => {
            let number = build.random.below(4) as u8;
            let type_ = build.random.below(4);
            build.push(Op::Set(RSI, type_));
            let place = Place::Data((descriptor(number) - DATA) as u16);
            build.push(Op::Invpcid(RSI, place));
        }
        _ => {
            let tag = if kind == Kind::Lam { build.random.one(&[0, 0x2a << 57]) } else { 0 };
            build.push(Op::Set(RSI, va | tag));
            build.push(Op::Invlpg(RSI));
        }
    }
}

/// An access at CPL 3, or the kernel's own.
pub(super) fn access(build: &mut Build<'_>, kind: Kind, cpu: u64, results: bool) {
    let mut va = build.random.one(&[VAS[0], VAS[0], VAS[1]]);
    if kind == Kind::Lam {
        va |= build.random.one(&[0, 0x2a << 57, 0x7f << 48, 1 << 47, 0x7fff << 48]);
    }
    build.push(Op::Set(RDI, va));
    if kind != Kind::Cr2 && build.random.percent(25) {
        let reg = if results { build.result() } else { RSI };
        if build.random.percent(50) {
            build.push(Op::Load(reg, 8, Place::At(RDI)));
            return;
        }
        build.push(Op::Set(reg, 5));
        let how = build.random.one(&[Rmw::Xadd, Rmw::Xchg]);
        build.push(Op::Rmw(how, true, reg, 8, Place::At(RDI)));
        return;
    }
    build.push(Op::Set(RSI, 8));
    match build.random.below(if kind == Kind::Rights { 4 } else { 3 }) {
        0 => {
            build.push(Op::Set(RDX, 0x44));
            build.push(Op::Call(Hypercall::UserWrite));
        }
        3 => build.push(Op::Call(Hypercall::UserExecute)),
        _ => {
            build.push(Op::Set(RDX, VALUES + 8 * cpu));
            build.push(Op::Call(Hypercall::UserRead));
            if results {
                let reg = build.result();
                build.push(Op::Load(reg, 8, Place::Data((VALUES + 8 * cpu - DATA) as u16)));
            }
        }
    }
    if results {
        let reg = build.result();
        build.push(Op::Lea(reg, RAX, 0));
        if kind == Kind::Cr2 {
            let reg = build.result();
            build.push(Op::FromCr(reg, 2));
        }
    }
}
