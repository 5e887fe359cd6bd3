//! The flags A and D of page-table entries: who sets them, who finds them, and what may be cached without.

use abi::hypercall::Hypercall;

use crate::assemble::frame_pa;
use crate::generate::build::Build;
use crate::generate::paging::{A, D, Kind, PAGES, PT, RW, USER, VAS, access};
use crate::program::{Op, Place, Program, RDI, RDX, RSI, Rmw, Tables};
use crate::random::Random;
use crate::search::heap;

/// One CPU uses pages, another one looks at their entries and changes them.
pub(super) fn flags(random: &mut Random) -> Program {
    let pa = |frame| frame_pa(heap(), frame);
    let mut entries = vec![
        (0, 0, pa(1) | USER),
        (1, 0, pa(2) | USER),
        (2, 2, pa(PT) | USER),
        (PT, 0, pa(PAGES[0]) | USER),
        (PT, 1, pa(PAGES[1]) | USER),
    ];
    let clear = random.one(&[D, D, A | D, A | D, 0]);
    entries[3].2 &= !clear;
    if random.percent(25) {
        entries[4].2 &= !random.one(&[D, A | D]);
    }
    // Where A is clear at two levels and one of the entries is stored to, what has set it at the other one
    // could be seen.
    let above = random.percent(25);
    if above {
        let level = random.below(3) as usize;
        entries[level].2 &= !A;
    }
    if random.percent(10) {
        entries[3].2 &= !RW;
    }
    // What becomes of them is looked at in the end.
    let mut words = vec![(PAGES[0], 0, 0x11), (PAGES[1], 0, 0x22)];
    words.extend(&entries[2..]);
    let tables = Tables {
        frames: 7,
        entries,
        cr3: pa(0) | 1,
        words,
        pages: VAS.to_vec(),
        unaccessed: true,
        ..Tables::default()
    };
    let mut program = Program { tables: Some(tables), ..Program::default() };
    let mut build = Build::new(random, 0, 1);
    for _ in 0..=build.random.below(2) {
        uses(&mut build, above);
    }
    program.cpus.push(build.end());
    let mut build = Build::new(random, 1, 1);
    for _ in 0..=build.random.below(2) {
        looks(&mut build, above);
    }
    if build.random.percent(80) {
        program.cpus.push(build.end());
    }
    program
}

fn uses(build: &mut Build<'_>, above: bool) {
    match build.random.below(8) {
        0 => {
            let va = build.random.one(&VAS);
            build.push(Op::Set(RSI, va));
            build.push(Op::Invlpg(RSI));
        }
        1 => looks(build, above),
        2 => {
            build.push(Op::Set(RDI, VAS[0]));
            build.push(Op::StoreImm(0x55, 8, Place::At(RDI)));
        }
        3 => {
            let to = build.result();
            build.push(Op::Load(to, 8, Place::Data(0)));
        }
        _ => access(build, Kind::Pages, 0, true),
    }
}

/// Looks at an entry, or changes it, unless A is clear `above`.
fn looks(build: &mut Build<'_>, above: bool) {
    let pa = |frame| frame_pa(heap(), frame);
    let entries: &[_] = match above {
        true => &[(PT, 0), (PT, 1), (2, 2), (1, 0)],
        false => &[(PT, 0), (PT, 0), (PT, 0), (PT, 1)],
    };
    let (frame, word) = build.random.one(entries);
    let target =
        if word == 0 { build.random.one(&[PAGES[0], PAGES[0], PAGES[1]]) } else { PAGES[1] };
    let flags = build.random.one(&[0, A, A | D, D]);
    let value = pa(target) | USER & !(A | D) | flags;
    let value = if build.random.percent(25) { 0 } else { value };
    build.push(Op::Set(RDX, heap() + (4096 * frame + 8 * word) as u64));
    match build.random.below(if above { 2 } else { 7 }) {
        0 | 1 => {
            let to = build.result();
            build.push(Op::Load(to, 8, Place::At(RDX)));
        }
        2 | 3 => {
            build.push(Op::Set(RSI, value));
            build.push(Op::Store(RSI, 8, Place::At(RDX)));
            build.push(Op::StoreImm(1, 8, Place::Data(0)));
        }
        4 | 5 => {
            // What was there is found at the same time.
            let to = build.result();
            build.push(Op::Set(to, value));
            build.push(Op::Rmw(Rmw::Xchg, true, to, 8, Place::At(RDX)));
            if build.random.percent(50) {
                build.push(Op::StoreImm(1, 8, Place::Data(0)));
            }
        }
        _ => {
            build.push(Op::Set(RDI, pa(PAGES[1])));
            build.push(Op::Call(Hypercall::FrameFree));
        }
    }
}
