//! The entries that each operation must drop and must leave, cell by cell (SDM vol. 3 §4.10.4.1).

mod common;

use common::{Memory, OPEN, paging};
use mmu::bits::{
    CR0_PG, CR0_WP, CR3_LAM_U57, CR3_NOFLUSH, CR4_LAM_SUP, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_SMAP,
    CR4_SMEP, ENTRY_G, ENTRY_RW,
};
use mmu::{Fill, Invpcid, Kind, Now, Paging, Physical, Request, Tag, Tlb};

const OWN: u16 = 1;
const OTHER: u16 = 2;
const ROOT: u64 = 0x1000;
/// The address that operations name, and one that shares no table below the root with it.
const HERE: u64 = 0x1000;
const THERE: u64 = 1 << 39 | 0x1000;

/// The columns: entries that may be cached.
const CELLS: [&str; 8] = [
    "translation, current PCID, this page",
    "translation, current PCID, other page",
    "translation, other PCID, this page",
    "translation, global, this page",
    "translation, global, other page",
    "paging-structure entry, current PCID, this address",
    "paging-structure entry, current PCID, other address",
    "paging-structure entry, other PCID, this address",
];

/// The rows: name, current PCID, CR4 bits that are toggled before, operation, and for each cell whether
/// it must go.
type Row = (&'static str, u16, u64, fn(&mut Tlb, &Now<'_, Memory>), [u8; 8]);

const ROWS: &[Row] = &[
    ("INVLPG", OWN, 0, |t, n| assert!(t.invlpg(n, HERE | 0x123)), [1, 0, 0, 1, 0, 1, 1, 0]),
    ("INVLPG, tagged", OWN, 0, |t, n| assert!(!t.invlpg(n, 1 << 57 | HERE)), [0; 8]),
    ("INVPCID 0, current", OWN, 0, |t, n| invpcid(t, n, 0, OWN), [1, 0, 0, 0, 0, 1, 0, 0]),
    ("INVPCID 0, other", OWN, 0, |t, n| invpcid(t, n, 0, OTHER), [0, 0, 1, 0, 0, 0, 0, 1]),
    ("INVPCID 1, current", OWN, 0, |t, n| invpcid(t, n, 1, OWN), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("INVPCID 1, other", OWN, 0, |t, n| invpcid(t, n, 1, OTHER), [0, 0, 1, 0, 0, 0, 0, 1]),
    ("INVPCID 2", OWN, 0, |t, n| invpcid(t, n, 2, 7), [1; 8]),
    ("INVPCID 3", OWN, 0, |t, n| invpcid(t, n, 3, 7), [1, 1, 1, 0, 0, 1, 1, 1]),
    ("MOV CR3, no PCIDs", 0, CR4_PCIDE, |t, n| t.mov_cr3(n, ROOT | 2), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("MOV CR3, same PCID", OWN, 0, |t, n| t.mov_cr3(n, 0x9001), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("MOV CR3, other PCID", OWN, 0, |t, n| t.mov_cr3(n, 0x9002), [0, 0, 1, 0, 0, 0, 0, 1]),
    ("MOV CR3, LAM", OWN, 0, |t, n| t.mov_cr3(n, ROOT | 1 | CR3_LAM_U57), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("MOV CR3, no flush", OWN, 0, |t, n| t.mov_cr3(n, 0x9001 | CR3_NOFLUSH), [0; 8]),
    ("MOV CR4, PGE cleared", OWN, 0, |t, n| toggle_cr4(t, n, CR4_PGE), [1; 8]),
    ("MOV CR4, PGE set", OWN, CR4_PGE, |t, n| toggle_cr4(t, n, CR4_PGE), [1; 8]),
    ("MOV CR4, PCIDE cleared", OWN, 0, |t, n| toggle_cr4(t, n, CR4_PCIDE), [1; 8]),
    ("MOV CR4, PCIDE set", 0, CR4_PCIDE, |t, n| toggle_cr4(t, n, CR4_PCIDE), [0; 8]),
    ("MOV CR4, PAE", OWN, 0, |t, n| toggle_cr4(t, n, CR4_PAE), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("MOV CR4, SMEP set", OWN, 0, |t, n| toggle_cr4(t, n, CR4_SMEP), [1, 1, 0, 0, 0, 1, 1, 0]),
    ("MOV CR4, SMEP cleared", OWN, CR4_SMEP, |t, n| toggle_cr4(t, n, CR4_SMEP), [0; 8]),
    ("MOV CR4, SMAP", OWN, 0, |t, n| toggle_cr4(t, n, CR4_SMAP), [0; 8]),
    ("MOV CR4, LAM", OWN, 0, |t, n| toggle_cr4(t, n, CR4_LAM_SUP), [0; 8]),
    ("MOV CR0, PG cleared", OWN, 0, |t, n| t.mov_cr0(n, n.paging.cr0 & !CR0_PG), [1; 8]),
    ("MOV CR0, WP cleared", OWN, 0, |t, n| t.mov_cr0(n, n.paging.cr0 & !CR0_WP), [0; 8]),
    ("#PF of a read", OWN, 0, |t, n| fault(t, n, Kind::Read), [1, 0, 0, 0, 0, 1, 0, 0]),
    ("#PF of a write", OWN, 0, |t, n| fault(t, n, Kind::Write), [1, 0, 0, 1, 0, 1, 0, 0]),
];

#[test]
fn each_operation_drops_what_it_must_and_nothing_else() {
    let mut wrong = Vec::new();
    for (name, current, toggled, operation, expected) in ROWS {
        let (memory, mut tlb) = filled(*current);
        assert_eq!(cells(&tlb, *current), [true; 8], "{name}: all cells are filled before");
        let base = paging(ROOT, u64::from(*current));
        let now = now(&memory, Paging { cr4: base.cr4 ^ toggled, ..base });
        operation(&mut tlb, &now);
        let after = cells(&tlb, *current);
        for ((cell, stays), goes) in CELLS.iter().zip(after).zip(expected) {
            if stays == (*goes == 1) {
                wrong.push(format!("{name}: {cell}: {}", if stays { "stays" } else { "goes" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_address_in_a_large_page_drops_the_page() {
    let (memory, _) = filled(OWN);
    let base = paging(0x8000, u64::from(OWN));
    let now = now(&memory, base);
    for operation in [
        |tlb: &mut Tlb, now: &Now<'_, Memory>| assert!(tlb.invlpg(now, 0x1f_f000)),
        |tlb: &mut Tlb, now: &Now<'_, Memory>| {
            tlb.invpcid(now, Invpcid::Address { pcid: OWN, va: 0x1f_f000 });
        },
    ] {
        let mut tlb = Tlb::new();
        access(&mut tlb, &memory, base, 0x3000);
        assert_eq!(tlb.entries().len(), 1);
        operation(&mut tlb, &now);
        assert_eq!(tlb.entries(), []);
    }
}

#[test]
fn invpcid_refuses_illegal_operands() {
    let with = paging(ROOT, 1);
    let without = Paging { cr4: with.cr4 & !CR4_PCIDE, ..with };
    for kind in 0..4 {
        assert!(Invpcid::new(kind, [0xfff, HERE], &with).is_some(), "type {kind}");
        assert_eq!(Invpcid::new(kind, [1 << 12, HERE], &with), None, "type {kind}");
        assert_eq!(Invpcid::new(kind, [1, HERE], &without).is_some(), kind > 1, "type {kind}");
        assert_eq!(Invpcid::new(kind, [0, 1 << 47], &with).is_some(), kind > 0, "type {kind}");
    }
    assert_eq!(Invpcid::new(4, [0, 0], &with), None);
    assert_eq!(Invpcid::new(0, [5, HERE], &with), Some(Invpcid::Address { pcid: 5, va: HERE }));
    assert_eq!(Invpcid::new(1, [5, 1 << 47], &with), Some(Invpcid::Context { pcid: 5 }));
}

/// Creates a set with all eight cells. The global translations may be read, but not written.
fn filled(current: u16) -> (Memory, Tlb) {
    let mut memory = Memory::default();
    for (table, index, next) in [
        (0x1000, 0, 0x2000),
        (0x2000, 0, 0x3000),
        (0x3000, 0, 0x4000),
        (0x1000, 1, 0x5000),
        (0x5000, 0, 0x6000),
        (0x6000, 0, 0x7000),
        (0x4000, 1, 0x1_0000),
        (0x7000, 1, 0x1_1000),
        (0x8000, 0, 0x9000),
        (0x9000, 0, 0xa000),
        (0xa000, 0, 1 << 7),
    ] {
        memory.store(table + index * 8, next | OPEN);
    }
    let mut tlb = Tlb::new();
    let own = paging(ROOT, u64::from(current));
    access(&mut tlb, &memory, own, HERE);
    access(&mut tlb, &memory, own, THERE);
    access(&mut tlb, &memory, paging(ROOT, u64::from(OTHER)), HERE);
    for pte in [0x4008, 0x7008] {
        let entry = memory.entry(pte).expect("memory");
        memory.store(pte, (entry | ENTRY_G) & !ENTRY_RW);
    }
    access(&mut tlb, &memory, own, HERE);
    access(&mut tlb, &memory, own, THERE);
    (memory, tlb)
}

/// Reads `va` by a fresh walk, which is then cached.
fn access(tlb: &mut Tlb, memory: &Memory, paging: Paging, va: u64) {
    let now = now(memory, paging);
    let fresh = tlb.candidates(&now, va)[0];
    assert!(fresh.result.is_ok());
    tlb.used(&now, &fresh, Kind::Read);
}

fn cells(tlb: &Tlb, current: u16) -> [bool; 8] {
    let entry = |tag, va| {
        tlb.entries().iter().any(|entry| entry.tag == tag && entry.translation.covers(va))
    };
    let table = |pcid, va| {
        let levels: Vec<u8> = tlb
            .tables()
            .iter()
            .filter(|table| table.pcid == pcid && table.covers(va))
            .map(|table| table.level)
            .collect();
        assert!(levels.is_empty() || levels == [2, 3, 4], "levels go together: {levels:?}");
        !levels.is_empty()
    };
    [
        entry(Tag::Pcid(current), HERE),
        entry(Tag::Pcid(current), THERE),
        entry(Tag::Pcid(OTHER), HERE),
        entry(Tag::Global, HERE),
        entry(Tag::Global, THERE),
        table(current, HERE),
        table(current, THERE),
        table(OTHER, HERE),
    ]
}

fn now(memory: &Memory, paging: Paging) -> Now<'_, Memory> {
    Now { memory, paging, fill: Fill::Retain }
}

fn invpcid(tlb: &mut Tlb, now: &Now<'_, Memory>, kind: u64, pcid: u16) {
    let operation = Invpcid::new(kind, [u64::from(pcid), HERE], &now.paging);
    tlb.invpcid(now, operation.expect("valid operands"));
}

fn toggle_cr4(tlb: &mut Tlb, now: &Now<'_, Memory>, bits: u64) {
    tlb.mov_cr4(now, now.paging.cr4 ^ bits);
}

fn fault(tlb: &mut Tlb, now: &Now<'_, Memory>, kind: Kind) {
    tlb.page_fault(now, &Request { va: HERE, kind, user: false, ac: false });
}
