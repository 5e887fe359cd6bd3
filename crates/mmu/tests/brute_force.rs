//! The set of entries that may be cached, compared with a processor whose every choice is explored.
//!
//! That processor holds at most [`CAPACITY`] entries, and between any two operations fills and drops
//! entries at will. Each fill, each invalidation and each result depends on one entry alone, so
//! room for one more than that shows every result that a processor of any size can give. It is written in
//! another style than the crate: a translation is a last step of a walk like the others, and each
//! operation lists the entries that stay.

mod common;

use std::collections::{BTreeSet, HashSet};

use common::{Memory, OPEN, paging};
use mmu::bits::{
    CR3_NOFLUSH, CR4_LA57, CR4_PCIDE, CR4_PGE, CR4_SMEP, ENTRY_G, ENTRY_P, ENTRY_PS, ENTRY_RW,
    ENTRY_US, ENTRY_XD,
};
use mmu::{Fill, Invpcid, Kind, Now, Outcome, Paging, Physical, Request, Tlb};
use proptest::prelude::*;

const CAPACITY: usize = 2;
/// Two pages of one page table, one of another, one of the upper half.
const PAGES: [u64; 4] = [0, 0x1000, 0x20_0000, 0xffff_8000_0000_0000];
/// The first of the tables, two of each level, PML5 tables first.
const TABLES: u64 = 0x1000;
const FRAMES: u64 = 0x2_0000;
const MODES: [(Kind, bool); 6] = [
    (Kind::Read, false),
    (Kind::Read, true),
    (Kind::Write, false),
    (Kind::Write, true),
    (Kind::Execute, false),
    (Kind::Execute, true),
];

#[derive(Clone, Copy, Debug)]
enum Op {
    Store { pa: u64, value: u64 },
    Access { page: usize },
    Invlpg { page: usize },
    Invpcid { kind: u64, pcid: u16, page: usize },
    MovCr3 { root: u64, pcid: u64, noflush: bool },
    Toggle { bits: u64 },
    Fault { page: usize, mode: usize },
}

/// The result that an access observes: the physical address, or the error code.
type Observed = Result<u64, u32>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_set_agrees_with_some_processor(
        normalize: bool,
        la57 in prop::bool::weighted(0.2),
        entries in prop::collection::vec(entry(), 0..8),
        ops in prop::collection::vec(op(), 1..14),
    ) {
        let mut memory = Memory::default();
        for (table, next) in (0..8u64).zip(2..10u64) {
            for entry in entries_of(table) {
                memory.store(entry, (TABLES + next * 0x1000) | OPEN);
            }
        }
        entries.iter().for_each(|(pa, value)| memory.store(*pa, *value));
        let mut brute = Brute::new(memory, la57);
        let mut sets = [Fill::Adversarial, Fill::Retain, Fill::Eager].map(|fill| (fill, Tlb::new()));
        for op in ops {
            let Some(op) = legal(op, &brute.paging) else { continue };
            for (fill, tlb) in &mut sets {
                run(tlb, &Now { memory: &brute.memory, paging: brute.paging, fill: *fill }, op);
            }
            brute.run(op);
            let now = Now { memory: &brute.memory, paging: brute.paging, fill: Fill::Adversarial };
            if normalize {
                sets[0].1.normalize(&now);
            }
            for page in PAGES {
                let expected = brute.results(page);
                for (kind, user) in MODES {
                    let expected: BTreeSet<Observed> =
                        expected.iter().map(|end| brute.observe(*end, page, kind, user)).collect();
                    let [adversarial, retain, eager] = sets.each_ref().map(|(fill, tlb)| {
                        let now = Now { memory: &brute.memory, paging: brute.paging, fill: *fill };
                        observed(tlb, &now, Request { va: page, kind, user, ac: false })
                    });
                    prop_assert_eq!(&adversarial, &expected, "{:#x} {:?} {}", page, kind, user);
                    prop_assert!(retain.is_subset(&adversarial));
                    prop_assert_eq!(eager.len(), 1);
                    prop_assert!(eager.is_subset(&retain));
                }
            }
        }
    }
}

/// Generates an entry of one of the tables and a value for it.
fn entry() -> impl Strategy<Value = (u64, u64)> {
    let table = prop_oneof![1 => 0..2u64, 6 => 2..10u64];
    let place = (table, prop::sample::select(vec![0, 0, 0, 1]));
    let flags = prop::sample::select(vec![
        0,
        0,
        0,
        ENTRY_P,
        ENTRY_RW,
        ENTRY_US,
        ENTRY_G,
        ENTRY_G | ENTRY_RW,
        ENTRY_XD,
        1 << 46,
    ]);
    let target = prop_oneof![
        8 => (0..2u64).prop_map(Target::Below),
        1 => (0..10u64).prop_map(Target::Table),
        2 => (0..2u64).prop_map(Target::Large),
    ];
    (place, flags, target).prop_map(|((table, index), flags, target)| {
        let target = match target {
            Target::Below(next) if table < 8 => TABLES + (table / 2 * 2 + 2 + next) * 0x1000,
            Target::Below(next) => FRAMES + next * 0x1000,
            Target::Table(table) => TABLES + table * 0x1000,
            Target::Large(0) => ENTRY_PS | 1 << 30,
            Target::Large(_) => ENTRY_PS | 1 << 21,
        };
        (entries_of(table)[index], target | OPEN ^ flags)
    })
}

/// Returns the entries of a table that walks for some of the pages use.
fn entries_of(table: u64) -> [u64; 2] {
    let second = [511, 256, 1, 1, 1][usize::try_from(table / 2).expect("small")];
    [0, second].map(|index| TABLES + table * 0x1000 + index * 8)
}

#[derive(Clone, Copy, Debug)]
enum Target {
    /// A table of the next level, or a frame.
    Below(u64),
    /// Any table: of the same level, of one above.
    Table(u64),
    /// A large page.
    Large(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let page = 0..PAGES.len();
    let cr3 = (0..2u64, 0..2u64, any::<bool>());
    prop_oneof![
        6 => entry().prop_map(|(pa, value)| Op::Store { pa, value }),
        2 => page.clone().prop_map(|page| Op::Access { page }),
        2 => page.clone().prop_map(|page| Op::Invlpg { page }),
        2 => (0..4u64, 0..2u16, page.clone())
            .prop_map(|(kind, pcid, page)| Op::Invpcid { kind, pcid, page }),
        3 => cr3.prop_map(|(root, pcid, noflush)| Op::MovCr3 {
            root: root * 0x1000,
            pcid,
            noflush,
        }),
        1 => prop::sample::select(vec![CR4_PGE, CR4_PCIDE, CR4_SMEP])
            .prop_map(|bits| Op::Toggle { bits }),
        2 => (page, 0..MODES.len()).prop_map(|(page, mode)| Op::Fault { page, mode }),
    ]
}

/// Returns the first of the two tables that CR3 may select.
fn roots(la57: bool) -> u64 {
    if la57 { TABLES } else { TABLES + 0x2000 }
}

/// Returns `op` with a root that fits the mode; `None` if it would fault.
fn legal(op: Op, paging: &Paging) -> Option<Op> {
    let pcide = paging.cr4 & CR4_PCIDE != 0;
    match op {
        Op::MovCr3 { root, pcid, noflush } => {
            let root = roots(paging.cr4 & CR4_LA57 != 0) + root;
            Some(Op::MovCr3 { root, pcid, noflush: noflush && pcide })
        }
        Op::Invpcid { kind, pcid, .. } if !pcide && kind < 2 && pcid != 0 => None,
        Op::Toggle { bits: CR4_PCIDE } if !pcide && paging.cr3 & 0xfff != 0 => None,
        op => Some(op),
    }
}

fn run(tlb: &mut Tlb, now: &Now<'_, Memory>, op: Op) {
    match op {
        Op::Store { pa, .. } => tlb.before_store(now, pa),
        Op::Access { page } => {
            for candidate in tlb.candidates(now, PAGES[page]) {
                let request = Request { va: PAGES[page], kind: Kind::Read, user: false, ac: false };
                if let Outcome::Access { .. } = candidate.outcome(&now.paging, &request) {
                    tlb.used(now, &candidate, Kind::Read);
                }
            }
        }
        Op::Invlpg { page } => assert!(tlb.invlpg(now, PAGES[page])),
        Op::Invpcid { kind, pcid, page } => {
            let operation = Invpcid::new(kind, [u64::from(pcid), PAGES[page]], &now.paging);
            tlb.invpcid(now, operation.expect("legal operands"));
        }
        Op::MovCr3 { root, pcid, noflush } => {
            tlb.mov_cr3(now, root | pcid | if noflush { CR3_NOFLUSH } else { 0 });
        }
        Op::Toggle { bits } => tlb.mov_cr4(now, now.paging.cr4 ^ bits),
        Op::Fault { page, mode } => {
            let (kind, user) = MODES[mode];
            tlb.page_fault(now, &Request { va: PAGES[page], kind, user, ac: false });
        }
    }
}

fn observed(tlb: &Tlb, now: &Now<'_, Memory>, request: Request) -> BTreeSet<Observed> {
    let outcomes = tlb.candidates(now, request.va).into_iter();
    outcomes
        .map(|candidate| match candidate.outcome(&now.paging, &request) {
            Outcome::Access { pa } => Ok(pa),
            Outcome::Fault { code } => Err(code),
            outcome => panic!("D is set and memory is there: {outcome:?}"),
        })
        .collect()
}

/// One cached entry: the end of some steps of a walk. Entries of level 0 are in the TLB, the others
/// in the paging-structure caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Cached {
    pcid: u16,
    global: bool,
    level: u8,
    /// The number of low address bits that the entry does not depend on; `tag` holds the others.
    low: u32,
    tag: u64,
    target: u64,
    writable: bool,
    user: bool,
    xd: bool,
}

impl Cached {
    fn is_for(&self, va: u64) -> bool {
        va >> self.low == self.tag
    }
}

/// One processor, in every state that it may be in.
struct Brute {
    memory: Memory,
    paging: Paging,
    states: HashSet<Vec<Cached>>,
}

impl Brute {
    fn new(memory: Memory, la57: bool) -> Self {
        let mut paging = paging(roots(la57), 0);
        paging.cr4 |= if la57 { CR4_LA57 } else { 0 };
        let mut brute = Self { memory, paging, states: HashSet::from([Vec::new()]) };
        brute.idle();
        brute
    }

    /// Lets the processor fill and drop entries until nothing new comes.
    fn idle(&mut self) {
        let mut todo: Vec<Vec<Cached>> = self.states.iter().cloned().collect();
        while let Some(state) = todo.pop() {
            let mut next: Vec<Vec<Cached>> = Vec::new();
            for dropped in &state {
                next.push(state.iter().copied().filter(|entry| entry != dropped).collect());
            }
            if state.len() < CAPACITY {
                for fill in self.fills(&state) {
                    let mut more = state.clone();
                    more.push(fill);
                    more.sort_unstable();
                    more.dedup();
                    next.push(more);
                }
            }
            for state in next {
                if self.states.insert(state.clone()) {
                    todo.push(state);
                }
            }
        }
    }

    /// Returns everything that walks may give to the caches.
    fn fills(&self, state: &[Cached]) -> BTreeSet<Cached> {
        let mut fills = BTreeSet::new();
        for va in PAGES {
            for mut at in self.starts(state, va) {
                while let Ok(next) = self.step(at, va) {
                    fills.insert(next);
                    if next.level == 0 {
                        break;
                    }
                    at = next;
                }
            }
        }
        fills
    }

    /// Returns every point from which a walk for `va` may start, with CR3 as if it were an entry.
    fn starts(&self, state: &[Cached], va: u64) -> Vec<Cached> {
        let root = Cached {
            pcid: self.paging.pcid(),
            global: false,
            level: if self.paging.cr4 & CR4_LA57 == 0 { 5 } else { 6 },
            low: 63,
            tag: 0,
            target: self.paging.cr3 & 0xf_f000,
            writable: true,
            user: true,
            xd: false,
        };
        let cached = state.iter().copied();
        let cached = cached.filter(|e| e.level > 0 && e.pcid == root.pcid && e.is_for(va));
        std::iter::once(root).chain(cached).collect()
    }

    /// Performs one step of a walk: returns what comes below `from`, or the error code of a fault.
    fn step(&self, from: Cached, va: u64) -> Result<Cached, u32> {
        let level = from.level - 1;
        let low = 3 + 9 * u32::from(level);
        let value = self.memory.entry(from.target + (va >> low & 0x1ff) * 8).expect("memory");
        let bit = |number: u32| value >> number & 1 == 1;
        if !bit(0) {
            return Err(0);
        }
        let leaf = level == 1 || bit(7);
        let address = value & 0x3fff_ffff_f000;
        let unaligned = leaf && level > 1 && address & ((1 << low) - 1) & !0x1000 != 0;
        if value >> 46 & 0x3f != 0 || (level >= 4 && bit(7)) || unaligned {
            return Err(9);
        }
        Ok(Cached {
            pcid: from.pcid,
            global: leaf && bit(8) && self.paging.cr4 & CR4_PGE != 0,
            level: if leaf { 0 } else { level },
            low,
            tag: va >> low,
            target: if leaf { address >> low << low } else { address },
            writable: from.writable && bit(1),
            user: from.user && bit(2),
            xd: from.xd || bit(63),
        })
    }

    /// Returns every result that the walk of an access may have now: a translation, or an error
    /// code.
    fn results(&self, va: u64) -> HashSet<Result<Cached, u32>> {
        let mut results = HashSet::new();
        for state in &self.states {
            let usable = |e: &&Cached| e.global || e.pcid == self.paging.pcid();
            let hits = state.iter().filter(|e| e.level == 0 && e.is_for(va)).filter(usable);
            results.extend(hits.map(|hit| Ok(*hit)));
            for mut at in self.starts(state, va) {
                results.insert(loop {
                    match self.step(at, va) {
                        Ok(next) if next.level > 0 => at = next,
                        end => break end,
                    }
                });
            }
        }
        results
    }

    fn observe(&self, end: Result<Cached, u32>, va: u64, kind: Kind, user: bool) -> Observed {
        let access = match kind {
            Kind::Read => 0,
            Kind::Write => 2,
            Kind::Execute => 16,
        };
        let access = access | if user { 4 } else { 0 };
        match end {
            Err(code) => Err(code | access),
            Ok(hit) if self.refuses(&hit, kind, user) => Err(1 | access),
            Ok(hit) => Ok(hit.target + (va & ((1 << hit.low) - 1))),
        }
    }

    fn refuses(&self, hit: &Cached, kind: Kind, user: bool) -> bool {
        let smep = self.paging.cr4 & CR4_SMEP != 0;
        let refuses_kind = match kind {
            Kind::Read => false,
            Kind::Write => !hit.writable,
            Kind::Execute => hit.xd || (!user && hit.user && smep),
        };
        refuses_kind || (user && !hit.user)
    }

    /// Performs `op` in every state, and then idles.
    fn run(&mut self, op: Op) {
        let old = self.paging;
        match op {
            Op::Store { pa, value } => self.memory.store(pa, value),
            Op::MovCr3 { root, pcid, .. } => self.paging.cr3 = root | pcid,
            Op::Toggle { bits } => self.paging.cr4 ^= bits,
            _ => {}
        }
        let states = std::mem::take(&mut self.states);
        let stay = |state: Vec<Cached>| {
            state.into_iter().filter(|entry| self.stays(entry, op, &old)).collect()
        };
        self.states = states.into_iter().map(stay).collect();
        self.idle();
    }

    /// Returns whether `op` leaves `entry`. The registers were `old` before.
    fn stays(&self, entry: &Cached, op: Op, old: &Paging) -> bool {
        let own = entry.pcid == old.pcid();
        match op {
            Op::Store { .. } | Op::Access { .. } => true,
            Op::Invlpg { page } if entry.level == 0 => {
                !entry.is_for(PAGES[page]) || !(own || entry.global)
            }
            Op::Invlpg { .. } => !own,
            Op::Invpcid { kind: 0, pcid, page } => {
                entry.global || entry.pcid != pcid || !entry.is_for(PAGES[page])
            }
            Op::Invpcid { kind: 1, pcid, .. } => entry.global || entry.pcid != pcid,
            Op::Invpcid { kind, .. } => kind == 3 && entry.global,
            Op::MovCr3 { noflush, .. } => {
                noflush || entry.global || entry.pcid != self.paging.pcid()
            }
            Op::Toggle { bits: CR4_PGE } => false,
            Op::Toggle { bits: CR4_PCIDE } => old.cr4 & CR4_PCIDE == 0,
            Op::Toggle { .. } => old.cr4 & CR4_SMEP != 0 || entry.global || !own,
            Op::Fault { page, mode } => {
                let (kind, user) = MODES[mode];
                let goes = if entry.global { self.refuses(entry, kind, user) } else { own };
                !goes || !entry.is_for(PAGES[page])
            }
        }
    }
}
