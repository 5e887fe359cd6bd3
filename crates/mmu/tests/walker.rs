//! Walks and permissions, compared with a reference that follows the manual's tables bit by bit
//! (SDM vol. 3 §4.5 to §4.8).

mod common;

use std::collections::BTreeMap;

use common::{Memory, OPEN};
use mmu::bits::{CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_SMAP, CR4_SMEP};
use mmu::{
    Candidate, Failure, Kind, Outcome, Paging, Physical, Request, Size, Source, error_code, permit,
    updates, walk,
};
use proptest::prelude::*;

const FRAMES: u64 = 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 8192, ..ProptestConfig::default() })]

    #[test]
    fn accesses_agree_with_the_manual(
        entries in prop::collection::vec(((0..FRAMES, 0..3usize), value()), 8..24),
        paging in paging(),
        va in (prop::collection::vec(0..3usize, 5), 0..0x1000u64),
        request in (0..3usize, any::<bool>(), any::<bool>()),
    ) {
        let memory = memory(&entries, paging.levels());
        let va = address(&va.0, va.1, paging.la57());
        let (kind, user, ac) = request;
        let kind = [Kind::Read, Kind::Write, Kind::Execute][kind];
        let request = Request { va, kind, user, ac };

        let walk = walk(&memory, &paging, va);
        let candidate = Candidate { source: Source::Fresh, result: walk.result, walk: Some(walk) };
        let reference = Reference::access(&memory, &paging, &request);
        prop_assert_eq!(candidate.outcome(&paging, &request), reference.outcome);
        let reads: Vec<u64> = walk.reads().iter().map(|read| read.pa).collect();
        prop_assert_eq!(&reads, &reference.read);

        if let Outcome::Access { .. } = reference.outcome {
            let mut changed = memory.clone();
            updates(&walk, kind).for_each(|(pa, value)| changed.store(pa, value));
            prop_assert_eq!(changed, reference.after);
        }
    }
}

#[test]
fn a_failed_walk_names_the_level() {
    let mut memory = Memory::default();
    let paging = common::paging(0x1000, 0);
    let fails = |memory: &Memory, failure| {
        let walk = walk(memory, &paging, 0);
        assert_eq!(walk.result, Err(failure));
        assert_eq!(updates(&walk, Kind::Write).count(), 0);
        let request = Request { va: 0, kind: Kind::Write, user: true, ac: false };
        error_code(&paging, failure, &request)
    };
    assert_eq!(fails(&memory, Failure::NotPresent { level: 4 }), Some(0b110));
    memory.store(0x1000, 0x2000 | OPEN);
    assert_eq!(fails(&memory, Failure::NotPresent { level: 3 }), Some(0b110));
    memory.store(0x2000, 0x2000 | 1 << 46 | OPEN);
    assert_eq!(fails(&memory, Failure::Reserved { level: 3 }), Some(0b1111));
    memory.store(0x2000, 1 << 45 | OPEN);
    assert_eq!(fails(&memory, Failure::NoMemory { pa: 1 << 45 }), None);
}

#[test]
fn a_page_has_its_size_and_place() {
    let mut memory = Memory::default();
    let paging = common::paging(0x1000, 0);
    memory.store(0x1000 + 256 * 8, 0x2000 | OPEN);
    memory.store(0x2000, 0x3000 | OPEN);
    memory.store(0x2008, 3 << 30 | 1 << 12 | 1 << 7 | OPEN);
    memory.store(0x3000, 5 << 21 | 1 << 7 | OPEN);
    let base = 0xffff_8000_0000_0000;
    for (va, size, page, frame) in [
        (base | 0x12_3456, Size::M2, base, 5 << 21),
        (base | 0x7654_3210, Size::G1, base | 1 << 30, 3 << 30),
    ] {
        let translation = walk(&memory, &paging, va).result.expect("mapped");
        assert_eq!((translation.size, translation.va, translation.frame), (size, page, frame));
        assert!(translation.covers(va) && !translation.covers(va ^ 1 << 31));
        assert_eq!(translation.physical(va), frame + (va - page));
        let read = Request { va, kind: Kind::Read, user: true, ac: false };
        assert_eq!(permit(&paging, &translation, &read), Ok(()));
    }
}

/// Generates any bits, but mostly those of an entry that leads somewhere.
fn value() -> impl Strategy<Value = u64> {
    let flags = prop::sample::select(vec![
        0,
        0,
        0,
        1,
        1 << 1,
        1 << 2,
        1 << 5,
        1 << 6,
        1 << 7,
        1 << 8,
        1 << 12,
        1 << 13,
        1 << 29,
        1 << 45,
        1 << 46,
        1 << 51,
        1 << 52,
        1 << 62,
        1 << 63,
    ]);
    let frame = (0..FRAMES).prop_map(|frame| (frame + 1) << 12);
    let large = (0..4u64).prop_map(|frame| frame << 30 | 1 << 7);
    let usual = (prop_oneof![4 => frame, 1 => large], flags.clone(), flags)
        .prop_map(|(target, one, other)| target ^ OPEN ^ one ^ other);
    prop_oneof![20 => usual, 1 => any::<u64>()]
}

fn paging() -> impl Strategy<Value = Paging> {
    let flag = |bit: u64| any::<bool>().prop_map(move |set| if set { bit } else { 0 });
    (flag(CR0_WP), flag(CR4_LA57), flag(CR4_SMEP), flag(CR4_SMAP), any::<bool>()).prop_map(
        |(wp, la57, smep, smap, nxe)| Paging {
            cr0: CR0_PG | wp,
            cr3: 0x1000 | 1 << 61 | 0x18,
            cr4: CR4_PAE | la57 | smep | smap,
            nxe,
        },
    )
}

/// Creates a path of tables one after the other, changed by `entries`.
fn memory(entries: &[((u64, usize), u64)], levels: u8) -> Memory {
    let mut memory = Memory::default();
    for frame in 1..=u64::from(levels) {
        for index in INDICES {
            memory.store(frame * 0x1000 + index * 8, (frame + 1) << 12 | OPEN);
        }
    }
    for ((frame, index), value) in entries {
        memory.store((frame + 1) * 0x1000 + INDICES[*index] * 8, *value);
    }
    memory
}

const INDICES: [u64; 3] = [0, 7, 511];

/// Returns the canonical address with these indices, the topmost first.
fn address(indices: &[usize], offset: u64, la57: bool) -> u64 {
    let indices = if la57 { indices } else { &indices[1..] };
    let va = indices.iter().fold(0, |va, index| va << 9 | INDICES[*index]) << 12 | offset;
    let unused = if la57 { 7 } else { 16 };
    ((va << unused).cast_signed() >> unused).cast_unsigned()
}

/// One access, in the manual's terms.
struct Reference {
    outcome: Outcome,
    read: Vec<u64>,
    after: Memory,
}

impl Reference {
    fn access(memory: &Memory, paging: &Paging, request: &Request) -> Self {
        let mut this = Self { outcome: Outcome::Rewalk, read: Vec::new(), after: memory.clone() };
        this.outcome = this.walk(memory, paging, request);
        this
    }

    fn walk(&mut self, memory: &Memory, paging: &Paging, request: &Request) -> Outcome {
        // For each level the name, the lowest bit of the index, and the meaning of bit 7.
        let all = [
            ("PML5E", 48, "reserved"),
            ("PML4E", 39, "reserved"),
            ("PDPTE", 30, "page"),
            ("PDE", 21, "page"),
            ("PTE", 12, "PAT"),
        ];
        let mut fields: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        let mut table = 0;
        for bit in 12..46 {
            table |= paging.cr3 & 1 << bit;
        }
        for (name, low, seven) in &all[if paging.la57() { 0 } else { 1 }..] {
            let pa = table + (request.va / (1 << low) % 512) * 8;
            let Some(entry) = memory.entry(pa) else { return Outcome::NoMemory { pa } };
            self.read.push(pa);
            let bit = |number: u32| entry >> number & 1 == 1;
            if !bit(0) {
                return fault(paging, request, false, false);
            }
            let leaf = *name == "PTE" || (*seven == "page" && bit(7));
            let mut reserved: Vec<u32> = (46..=51).collect();
            if *seven == "reserved" {
                reserved.push(7);
            }
            if leaf {
                reserved.extend(13..*low);
            }
            if !paging.nxe {
                reserved.push(63);
            }
            if reserved.into_iter().any(bit) {
                return fault(paging, request, true, true);
            }
            fields.entry("R/W").or_default().push(bit(1));
            fields.entry("U/S").or_default().push(bit(2));
            fields.entry("XD").or_default().push(bit(63));
            self.set(pa, 5);
            let lowest = if leaf { (*low).max(12) } else { 12 };
            table = (lowest..46).filter(|number| bit(*number)).map(|number| 1 << number).sum();
            if leaf {
                if request.kind == Kind::Write {
                    self.set(pa, 6);
                }
                if !allowed(paging, request, &fields) {
                    return fault(paging, request, true, false);
                }
                return Outcome::Access { pa: table + request.va % (1 << low) };
            }
        }
        unreachable!("a PTE is a leaf")
    }

    fn set(&mut self, pa: u64, bit: u32) {
        let entry = self.after.entry(pa).expect("memory");
        self.after.store(pa, entry | 1 << bit);
    }
}

/// Returns whether the list in §4.6.1, item by item, allows the access.
fn allowed(paging: &Paging, request: &Request, fields: &BTreeMap<&str, Vec<bool>>) -> bool {
    let user_address = fields["U/S"].iter().all(|set| *set);
    let read_only = fields["R/W"].contains(&false);
    let disabled = paging.nxe && fields["XD"].contains(&true);
    let (wp, smep) = (paging.cr0 >> 16 & 1 == 1, paging.cr4 >> 20 & 1 == 1);
    let smap = paging.cr4 >> 21 & 1 == 1;
    if request.user {
        return match request.kind {
            _ if !user_address => false,
            Kind::Read => true,
            Kind::Write => !read_only,
            Kind::Execute => !disabled,
        };
    }
    match request.kind {
        Kind::Execute if user_address && smep => false,
        Kind::Execute => !disabled,
        _ if user_address && smap && !request.ac => false,
        Kind::Read => true,
        Kind::Write if wp => !read_only,
        Kind::Write => true,
    }
}

/// Returns the #PF with the error code of Figure 4-12.
fn fault(paging: &Paging, request: &Request, present: bool, reserved: bool) -> Outcome {
    let fetch = request.kind == Kind::Execute && (paging.nxe || paging.cr4 >> 20 & 1 == 1);
    let flags = [present, request.kind == Kind::Write, request.user, reserved, fetch];
    let code = flags.iter().rev().fold(0, |code, flag| code << 1 | u32::from(*flag));
    Outcome::Fault { code }
}
