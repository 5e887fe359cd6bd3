//! Programs by hand: both sides say the same of each, however it is searched.

use abi::hypercall::Hypercall;
use oracle::assemble::frame_pa;
use oracle::program::{
    KEEPS, Op, Place, Program, R8, RDI, RDX, RSI, Rmw, SHARED_WORDS, Tables, VALUES,
};
use oracle::{Bad, Compared, Limits, Mode, Outcome, compare, heap, show_disagreement};

/// P, R/W, U/S, A and D.
const USER: u64 = 0x67;
/// Frame of the page table, and of the page at [`VA`].
const PT: usize = 3;
const PAGE: usize = 4;
const VA: u64 = 0x40_0000;

/// What all ways to search come to.
fn agreed(program: &Program) -> Outcome {
    match compare(program, &Mode::ALL, Limits::default()) {
        Compared::Agreed(outcome) => outcome,
        Compared::Skipped(why) => panic!("{why}"),
        Compared::Disagreed(it) => panic!("{}", show_disagreement(program, &it)),
    }
}

/// Tables with one page, which CPU 0 has in CR3 from the beginning on.
fn one_page() -> Tables {
    let pa = |frame| frame_pa(heap(), frame);
    let ways = [(0, 0, 1), (1, 0, 2), (2, 2, PT), (PT, 0, PAGE)];
    Tables {
        frames: 5,
        entries: ways.map(|(frame, word, to)| (frame, word, pa(to) | USER)).to_vec(),
        cr3: pa(0),
        words: vec![(PAGE, 0, 0x11)],
        pages: vec![VA],
        ..Tables::default()
    }
}

fn user_read() -> Vec<Op> {
    vec![
        Op::Set(RDI, VA),
        Op::Set(RSI, 8),
        Op::Set(RDX, VALUES),
        Op::Call(Hypercall::UserRead),
        Op::Ret,
    ]
}

#[test]
fn page_is_freed_before_a_translation_is_chosen() {
    let kernel = vec![
        Op::Set(RSI, 0),
        Op::Set(RDX, heap() + 4096 * PT as u64),
        Op::Store(RSI, 8, Place::At(RDX)),
        Op::Set(RDI, frame_pa(heap(), PAGE)),
        Op::Call(Hypercall::FrameFree),
        Op::Ret,
    ];
    let cpus = vec![user_read(), kernel];
    let program = Program { cpus, tables: Some(one_page()), ..Program::default() };
    assert!(agreed(&program).bad.contains(&Bad::Failed("freed-frame".into())));
}

/// A LOCKed access is translated once all earlier stores are visible, one to its entry included.
#[test]
fn locked_access_behind_a_store_to_its_entry() {
    let mut tables = one_page();
    tables.entries[3].2 = 0;
    let at = |how, locked| {
        let cpu = vec![
            Op::Set(RSI, frame_pa(heap(), PAGE) | USER),
            Op::Set(RDX, heap() + 4096 * PT as u64),
            Op::Store(RSI, 8, Place::At(RDX)),
            Op::Set(RDI, VA),
            Op::Rmw(how, locked, R8, 8, Place::At(RDI)),
            Op::Ret,
        ];
        let tables = Some(tables.clone());
        agreed(&Program { cpus: vec![cpu], tables, ..Program::default() }).bad
    };
    assert!(at(Rmw::Xchg, false).is_empty());
    assert!(at(Rmw::Add, true).is_empty());
    assert!(at(Rmw::Add, false).contains(&Bad::Fault(14)));
}

/// A load that waits for a store to some of its bytes does not wait for a younger one to others of the word.
#[test]
fn younger_store_to_other_bytes_of_the_word() {
    let first = vec![
        Op::StoreImm(1, 1, Place::Data(4)),
        Op::StoreImm(1, 1, Place::Data(0)),
        Op::Load(R8, 2, Place::Data(4)),
        Op::Load(R8, 8, Place::Data(8)),
        Op::Keep(R8, 0),
        Op::Ret,
    ];
    let second = vec![
        Op::StoreImm(1, 8, Place::Data(8)),
        Op::Mfence,
        Op::Load(R8, 1, Place::Data(0)),
        Op::Keep(R8, 1 << 4),
        Op::Ret,
    ];
    let ends = agreed(&Program { cpus: vec![first, second], ..Program::default() }).ends;
    let results = |end: &Vec<u64>| (end[SHARED_WORDS], end[SHARED_WORDS + KEEPS]);
    assert!(ends.iter().any(|end| results(end) == (0, 0)), "{ends:x?}");
}
