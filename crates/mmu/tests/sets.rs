//! The results that accesses may get, the entries that a set keeps, and the frames that it reaches.

mod common;

use common::{Memory, OPEN, paging};
use mmu::bits::{CR3_NOFLUSH, ENTRY_A, ENTRY_D, ENTRY_G, ENTRY_P, ENTRY_PS, ENTRY_RW};
use mmu::{Fill, Kind, Now, Outcome, Paging, Path, Physical, Request, Source, Tag, Tlb, updates};

/// A page at 0x5000 in the table at 0x4000, below 0x3000, 0x2000 and the root.
const ROOT: u64 = 0x1000;
const PTE: u64 = 0x4000 + 5 * 8;
const PAGE: u64 = 0x5000;
const OLD: u64 = 0x1_0000;
const NEW: u64 = 0x1_1000;

#[test]
fn a_translation_that_was_overwritten_is_used_until_it_is_invalidated() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    store(&mut tlb, &mut memory, PTE, NEW | OPEN);
    let now = now(&memory, Fill::Adversarial);
    let sources = [Source::Fresh, Source::Cached(Tag::Pcid(1))];
    assert_eq!(frames(&tlb, &now), [(sources[0], NEW), (sources[1], OLD)]);
    assert!(tlb.invlpg(&now, PAGE));
    assert_eq!(frames(&tlb, &now), [(Source::Fresh, NEW)]);
    assert_eq!(tlb, Tlb::new(), "nothing is left that a walk does not give");
}

#[test]
fn a_table_that_was_replaced_is_walked_until_it_is_invalidated() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(0x6000 + 5 * 8, NEW | OPEN);
    store(&mut tlb, &mut memory, 0x3000, 0x6000 | OPEN);
    store(&mut tlb, &mut memory, PTE, 0x1_2000 | OPEN);
    let now = now(&memory, Fill::Adversarial);
    let found = frames(&tlb, &now);
    let from = Source::From { level: 2 };
    let cached = Source::Cached(Tag::Pcid(1));
    assert_eq!(found, [(Source::Fresh, NEW), (from, 0x1_2000), (cached, OLD)]);

    // INVLPG of any address drops the walk from the old PDE; the translation for this one stays.
    assert!(tlb.invlpg(&now, 0x7000));
    assert_eq!(
        frames(&tlb, &now).iter().map(|(_, frame)| *frame).collect::<Vec<_>>(),
        [NEW, OLD, 0x1_2000]
    );
    assert!(tlb.tables().is_empty());
}

#[test]
fn the_same_result_by_other_tables_is_another_candidate() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(0x6000 + 5 * 8, OLD | OPEN);
    store(&mut tlb, &mut memory, 0x3000, 0x6000 | OPEN);
    let now = now(&memory, Fill::Adversarial);
    let from = Source::From { level: 2 };
    assert_eq!(frames(&tlb, &now), [(Source::Fresh, OLD), (from, OLD)]);
    let reach = tlb.walks_through(&now, 0x4000);
    assert!(reach.fresh.is_empty() && reach.later.is_empty());
    assert_eq!(reach.cached.len(), 1);
    assert_eq!(reach.cached[0].1, Path { level: 1, va: 0 });
}

#[test]
fn an_access_without_a_walk_leaves_a_clear() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    store(&mut tlb, &mut memory, PTE, (OLD | OPEN) & !ENTRY_A);
    let now = now(&memory, Fill::Adversarial);
    tlb.normalize(&now);
    let candidates = tlb.candidates(&now, PAGE);
    let sets_a = candidates.iter().map(|candidate| {
        candidate.walk.is_some_and(|walk| updates(&walk, Kind::Read).next().is_some())
    });
    assert_eq!(sets_a.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_walk_from_a_cached_entry_leaves_a_above_it_clear() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(PTE, 0);
    store(&mut tlb, &mut memory, ROOT, (0x2000 | OPEN) & !ENTRY_A);
    store(&mut tlb, &mut memory, PTE, NEW | OPEN);
    tlb.normalize(&now(&memory, Fill::Adversarial));
    let found = frames(&tlb, &now(&memory, Fill::Adversarial));
    assert_eq!(found, [(Source::Fresh, NEW), (Source::From { level: 4 }, NEW)]);
}

#[test]
fn a_write_sets_d_unless_the_translation_has_it() {
    let write = Request { va: PAGE, kind: Kind::Write, user: true, ac: false };
    let outcomes = |tlb: &Tlb, now: &Now<'_, Memory>| -> Vec<(bool, Outcome)> {
        let candidates = tlb.candidates(now, PAGE);
        candidates.iter().map(|c| (c.walk.is_some(), c.outcome(&now.paging, &write))).collect()
    };
    let access = |pa| Outcome::Access { pa };

    // D is cleared: with the old translation a write does not set it again.
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    store(&mut tlb, &mut memory, PTE, (OLD | OPEN) & !ENTRY_D);
    tlb.normalize(&now(&memory, Fill::Adversarial));
    let found = outcomes(&tlb, &now(&memory, Fill::Adversarial));
    assert_eq!(found, [(true, access(OLD)), (false, access(OLD))]);

    // A page with D clear is replaced: the old translation serves no write.
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(PTE, (OLD | OPEN) & !ENTRY_D);
    store(&mut tlb, &mut memory, PTE, NEW | OPEN);
    let found = outcomes(&tlb, &now(&memory, Fill::Adversarial));
    assert_eq!(found, [(true, access(NEW)), (false, Outcome::Rewalk)]);

    // If the new translation does not permit the write, either, the write faults.
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(PTE, (OLD | OPEN) & !ENTRY_D & !ENTRY_RW);
    store(&mut tlb, &mut memory, PTE, NEW | OPEN);
    let found = outcomes(&tlb, &now(&memory, Fill::Adversarial));
    assert_eq!(found, [(true, access(NEW)), (false, Outcome::Fault { code: 0b111 })]);
}

#[test]
fn of_entries_that_differ_in_d_one_is_kept() {
    let memory = mapped();
    let now = now(&memory, Fill::Retain);
    let mut clean = memory.clone();
    clean.store(PTE, (OLD | OPEN) & !ENTRY_D);
    let clean = Now { memory: &clean, ..now };
    let orders: [[(&Now<'_, Memory>, Kind); 2]; 3] = [
        [(&clean, Kind::Read), (&now, Kind::Read)],
        [(&now, Kind::Read), (&clean, Kind::Read)],
        [(&clean, Kind::Read), (&clean, Kind::Write)],
    ];
    for order in orders {
        let mut tlb = Tlb::new();
        for (moment, kind) in order {
            let fresh = tlb.candidates(moment, PAGE)[0];
            tlb.used(moment, &fresh, kind);
        }
        assert_eq!(tlb.entries().len(), 1);
        assert!(tlb.entries()[0].translation.dirty);
    }
}

#[test]
fn the_other_policies_fill_as_documented() {
    for (fill, expected) in [(Fill::Retain, 2), (Fill::Eager, 1)] {
        let (mut memory, mut tlb) = (mapped(), Tlb::new());
        let before = now(&memory, fill);
        tlb.before_store(&before, PTE);
        tlb.before_leaving(&before);
        assert_eq!(tlb, Tlb::new(), "{fill:?}: only accesses fill");
        let fresh = tlb.candidates(&before, PAGE)[0];
        tlb.used(&before, &fresh, Kind::Read);
        memory.store(PTE, NEW | OPEN);
        assert_eq!(frames(&tlb, &now(&memory, fill)).len(), expected, "{fill:?}");
    }
}

#[test]
fn leaving_keeps_everything_for_the_return() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    tlb.mov_cr3(&now(&memory, Fill::Adversarial), 0x8000 | 2 | CR3_NOFLUSH);
    let paging = paging(0x8000, 2);
    let away = Now { memory: &memory, paging, fill: Fill::Adversarial };
    assert_eq!(pages_holding(&tlb, OLD), [PAGE]);
    let reach = tlb.walks_through(&away, 0x4000);
    assert!(reach.fresh.is_empty() && reach.cached.is_empty() && !reach.is_empty());
    assert_eq!(reach.later.iter().map(|(table, _)| table.level).collect::<Vec<_>>(), [2, 3, 4]);

    let mut unchanged = tlb.clone();
    unchanged.mov_cr3(&away, ROOT | 1 | CR3_NOFLUSH);
    unchanged.normalize(&now(&memory, Fill::Adversarial));
    assert_eq!(unchanged, Tlb::new(), "there and back is as if nothing had been");

    // An entry that was changed while away is still there after the return.
    tlb.before_store(&away, PTE);
    memory.store(PTE, 0);
    let away = Now { memory: &memory, paging, fill: Fill::Adversarial };
    tlb.mov_cr3(&away, ROOT | 1 | CR3_NOFLUSH);
    let back = now(&memory, Fill::Adversarial);
    assert_eq!(frames(&tlb, &back), [(Source::Cached(Tag::Pcid(1)), OLD)]);
    tlb.mov_cr3(&back, ROOT | 1);
    assert_eq!(frames(&tlb, &back), []);
}

#[test]
fn a_global_translation_serves_all_pcids() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(PTE, OLD | OPEN | ENTRY_G);
    tlb.mov_cr3(&now(&memory, Fill::Adversarial), 0x8000 | 2);
    let other = Now { memory: &memory, paging: paging(0x8000, 2), fill: Fill::Adversarial };
    assert_eq!(frames(&tlb, &other), [(Source::Cached(Tag::Global), OLD)]);
}

#[test]
fn a_table_in_itself_ends() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(ROOT + 511 * 8, ROOT | OPEN);
    let before = now(&memory, Fill::Adversarial);
    let reach = tlb.walks_through(&before, ROOT);
    let top = 0xffff_ff80_0000_0000_u64;
    let mut levels: Vec<_> = reach.fresh.iter().map(|path| (path.level, path.va)).collect();
    levels.sort_unstable();
    assert_eq!(levels, [(1, 0xffff_ffff_ffe0_0000), (2, 0xffff_ffff_c000_0000), (3, top), (4, 0),]);
    // The entry of the root is also the PTE of the page where the tables see the PDPT.
    tlb.before_store(&before, ROOT);
    assert_eq!(pages_holding(&tlb, 0x2000), [0xffff_ffff_ffe0_0000]);
}

#[test]
fn a_large_page_holds_its_frames() {
    let (mut memory, mut tlb) = (mapped(), Tlb::new());
    memory.store(0x3008, 3 << 21 | ENTRY_PS | OPEN);
    let before = now(&memory, Fill::Adversarial);
    assert!(pages_holding(&tlb, (3 << 21) + 0x7000).is_empty(), "a walk gives it");
    tlb.before_store(&before, 0x3008);
    assert_eq!(pages_holding(&tlb, (3 << 21) + 0x7000), [1 << 21]);
    assert!(pages_holding(&tlb, 4 << 21).is_empty());
}

#[test]
fn digests_are_those_of_sets() {
    let memory = mapped();
    let digest = |tlb: &Tlb| {
        let mut words = Vec::new();
        tlb.digest(&mut |word| words.push(word));
        words
    };
    let now = now(&memory, Fill::Adversarial);
    let (mut one, mut other) = (Tlb::new(), Tlb::new());
    one.before_store(&now, PTE);
    one.before_store(&now, ROOT);
    other.before_store(&now, ROOT);
    assert_eq!(one, other);
    assert_eq!(digest(&one), digest(&other));
    other.invlpg(&now, PAGE);
    assert_ne!(digest(&one), digest(&other));
    assert_ne!(digest(&other), digest(&one));
    assert_eq!(digest(&other), digest(&Tlb::new()));
}

fn mapped() -> Memory {
    let mut memory = Memory::default();
    for table in [0x1000, 0x2000, 0x3000] {
        memory.store(table, (table + 0x1000) | OPEN);
    }
    memory.store(PTE, OLD | OPEN);
    assert_eq!(memory.entry(ROOT).map(|entry| entry & ENTRY_P), Some(1));
    memory
}

fn now(memory: &Memory, fill: Fill) -> Now<'_, Memory> {
    let paging: Paging = paging(ROOT, 1);
    Now { memory, paging, fill }
}

fn store(tlb: &mut Tlb, memory: &mut Memory, pa: u64, value: u64) {
    tlb.before_store(&now(memory, Fill::Adversarial), pa);
    memory.store(pa, value);
}

/// Returns the address and the origin of each result; failures are left out.
fn frames(tlb: &Tlb, now: &Now<'_, Memory>) -> Vec<(Source, u64)> {
    let candidates = tlb.candidates(now, PAGE).into_iter();
    candidates.filter_map(|c| Some((c.source, c.result.ok()?.frame))).collect()
}

/// Returns the pages whose cached translations lead to the 4-KiB frame at `frame`.
fn pages_holding(tlb: &Tlb, frame: u64) -> Vec<u64> {
    let translations = tlb.entries().iter().map(|entry| entry.translation);
    let holds = translations.filter(|page| frame & !(page.size.bytes() - 1) == page.frame);
    holds.map(|page| page.va).collect()
}
