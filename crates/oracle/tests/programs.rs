//! Programs by hand: both sides say the same of each, however it is searched.

use std::collections::BTreeSet;

use abi::hypercall::Hypercall;
use oracle::assemble::frame_pa;
use oracle::program::{
    Check, DATA, Handler, KEEPS, Op, Place, Program, R8, RAX, RCX, RDI, RDX, RSI, Rmw,
    SHARED_WORDS, Strings, Tables, VALUES,
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

/// What an invariant discards is no run, though the search begins with steps so long that it passes by that
/// state.
#[test]
fn invariant_discards_the_first_state() {
    let program = Program {
        cpus: vec![vec![Op::StoreImm(2, 8, Place::Data(0)), Op::Ret]],
        always: vec![
            Check { when: (0, 2), then: (1, 1), property: Some(0) },
            Check { when: (0, 0), then: (1, 1), property: None },
        ],
        ..Program::default()
    };
    let outcome = agreed(&program);
    assert!(outcome.bad.is_empty() && outcome.ends.is_empty(), "{outcome:?}");
}

/// Interrupts come between the iterations of a string instruction, and other CPUs see its stores one by one.
#[test]
fn string_is_interrupted_between_iterations() {
    let string = vec![
        Op::Set(RDI, DATA),
        Op::Set(RCX, 2),
        Op::Set(RAX, 7),
        Op::Rep(Strings::Stos, 8),
        Op::Ret,
    ];
    let handler = vec![
        Op::Load(R8, 8, Place::Data(0)),
        Op::Keep(R8, 0),
        Op::Load(R8, 8, Place::Data(8)),
        Op::Keep(R8, 1),
        Op::Ret,
    ];
    let sender = vec![Op::Set(RDI, 0), Op::Set(RSI, 0x41), Op::Call(Hypercall::SendIpi), Op::Ret];
    let handlers = vec![Handler { vector: 0x41, raw: false, code: handler }];
    let program = Program { cpus: vec![string, sender], handlers, ..Program::default() };
    let seen: BTreeSet<(u64, u64)> = agreed(&program)
        .ends
        .iter()
        .map(|end| (end[SHARED_WORDS], end[SHARED_WORDS + 1]))
        .collect();
    assert_eq!(seen, BTreeSet::from([(0, 0), (7, 0), (7, 7)]));
}
