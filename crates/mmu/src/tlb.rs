//! One CPU's TLB and paging-structure caches, as the set of all entries they may hold.
//!
//! A processor may fill its caches from any walk at any time, also for speculation that never
//! retires, and may drop any entry at any time (SDM vol. 3 §4.10.2.2, §4.10.2.3, §4.10.3.1). To
//! explore each choice is infeasible, and not needed.
//!
//! # Why a set is enough
//!
//! *Claim*: under [`Fill::Adversarial`], whatever a processor may have cached at some moment is in this
//! set, or can be walked to at that moment, from CR3 or from a paging-structure cache entry of the
//! current PCID in this set. So [`Tlb::candidates`] has every result that an access may get.
//!
//! By induction over what happens:
//!
//! - *The processor fills an entry.* The walk for it starts at CR3, or at an entry that it has
//!   cached; by the claim that entry is in the set or can be walked to from where such walks start.
//!   So the new entry can be walked to.
//! - *The processor drops an entry.* It has fewer entries cached; the claim still holds. An access
//!   without that entry gets a result that is among the candidates already, because the fresh walk and
//!   the walks from all other entries always are. So evictions need not be explored.
//! - *A paging-structure entry changes in memory.* Just before, [`Tlb::before_store`] adds
//!   everything that can be walked to through it. Everything else can be walked to as before.
//! - *CR3 or the mode changes.* Just before, [`Tlb::before_leaving`] adds everything that can be
//!   walked to.
//! - *Entries are invalidated.* What must go is dropped from the set; what can be walked to after that may
//!   have been cached anew since. But an entry that stays may have come from a walk that started at a
//!   paging-structure cache entry that goes. So, just before, what only such walks reach is added, unless
//!   it must go, too.
//! - *The set is normalized.* [`Tlb::normalize`] removes only what walks from CR3 give, which the
//!   claim does not require.
//!
//! Paging-structure cache entries of other PCIDs start no walks (§4.10.3.2), so nothing becomes cached
//! from them until their PCID is current again.
//!
//! AMD (APM vol. 2 §5.5) allows a fill for any linear address with valid entries in the tables that CR3
//! selects. That is the same set, as addresses are not limited here to those that a program names.
//!
//! # Accessed and dirty
//!
//! An entry is cached only once A is set at every level (§4.10.2.3). The set also has entries whose
//! A flag was clear: the processor may set it and then fill, just before the change. An A flag that
//! such a fill would leave in memory is not modelled; software sees A set by accesses alone.
//!
//! A translation with D clear does not serve a write: the processor must set D in memory first
//! (§4.8), and it does so in a walk ([`Outcome::Rewalk`](crate::Outcome::Rewalk)). One with D set
//! serves writes without setting D again, even if software has cleared it (§4.10.4.3). So of two
//! entries that differ in D alone only the one with D set is kept: it serves every access that the
//! other serves.
//!
//! # Page faults
//!
//! A fault invalidates the entries that would be used for its address, so a fault that memory does
//! not justify happens once: [`Tlb::page_fault`].
//!
//! # Page sizes
//!
//! A large page that is cached in pieces (§4.10.2.3) is one entry here. It may serve each address, and
//! INVLPG and #PF must drop all pieces (§4.10.4.1).

use crate::paging::{Paging, Physical, Rights, Size, Translation, prefix};
use crate::walk::{Failure, Start, Walk, walk};

/// The moment at which entries become cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fill {
    /// At any time, from any walk: everything that the manual allows.
    Adversarial,
    /// When an access uses a walk. Entries are never evicted. Misses bugs for which a processor must have
    /// walked ahead; every bug that it finds happens on the simplest processor with a TLB.
    Retain,
    /// Never: every access walks. A control, under which no invalidation is ever missing.
    Eager,
}

/// The state that the page walker sees at the moment of an operation on one CPU's caches.
#[derive(Debug)]
pub struct Now<'a, M: Physical + ?Sized> {
    /// Coherent memory.
    pub memory: &'a M,
    /// Control registers of that CPU.
    pub paging: Paging,
    /// The fill policy, the same for all operations on one [`Tlb`].
    pub fill: Fill,
}

/// The accesses that may use a cached translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// Accesses under this PCID.
    Pcid(u16),
    /// Accesses under any PCID (SDM vol. 3 §4.10.2.4). The PCID that a processor may keep with the
    /// entry has no effect.
    Global,
}

/// A translation that may be in the TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The accesses that may use it.
    pub tag: Tag,
    /// The cached translation.
    pub translation: Translation,
}

/// An entry that may be in a paging-structure cache: a start of walks for a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// PCID of the accesses that may use it. No such entry is global.
    pub pcid: u16,
    /// Level of the paging-structure entry that is cached: 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE.
    pub level: u8,
    /// First linear address of the range.
    pub va: u64,
    /// Physical address of the next table.
    pub frame: u64,
    /// Rights of the path down to this entry.
    pub rights: Rights,
}

impl Table {
    /// Returns whether the entry serves `va`.
    pub fn covers(&self, va: u64) -> bool {
        prefix(va, self.level) == self.va
    }

    pub(crate) fn start(&self) -> Start {
        Start { level: self.level - 1, table: self.frame, va: self.va, rights: self.rights }
    }
}

/// The entries that one CPU's TLB and paging-structure caches may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tlb {
    /// Translations, sorted, without duplicates, and without pairs that differ in D alone.
    pub(crate) entries: Vec<Entry>,
    /// Paging-structure cache entries, sorted, without duplicates.
    pub(crate) tables: Vec<Table>,
}

impl Tlb {
    /// Creates an empty set, as after reset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the translations, in an order that depends on nothing but the set.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the entries of the paging-structure caches, in an order that depends on nothing but
    /// the set.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Gives the set as words; equal sets give equal words, different sets different words.
    pub fn digest(&self, put: &mut impl FnMut(u64)) {
        put(count(self.entries.len()));
        for Entry { tag, translation } in &self.entries {
            let tag = match tag {
                Tag::Pcid(pcid) => u64::from(*pcid),
                Tag::Global => 1 << 12,
            };
            let flags = u64::from(translation.global) << 3 | u64::from(translation.dirty) << 4;
            let level = u64::from(translation.size.level());
            put(tag | level << 16 | (flags | translation.rights.word()) << 24);
            put(translation.va);
            put(translation.frame);
        }
        put(count(self.tables.len()));
        for table in &self.tables {
            let level = u64::from(table.level);
            put(u64::from(table.pcid) | level << 16 | table.rights.word() << 24);
            put(table.va);
            put(table.frame);
        }
    }

    /// Returns the translations that an access to `va` may use now.
    pub fn usable_entries(&self, paging: &Paging, va: u64) -> impl Iterator<Item = &Entry> + '_ {
        let own = Tag::Pcid(paging.pcid());
        let tags = [Some(own), paging.pge().then_some(Tag::Global)];
        tags.into_iter().flatten().flat_map(move |tag| {
            Size::ALL.into_iter().flat_map(move |size| {
                let base = va & !(size.bytes() - 1);
                let key = (tag, size, base);
                let of = |entry: &Entry| (entry.tag, entry.translation.size, entry.translation.va);
                let first = self.entries.partition_point(|entry| of(entry) < key);
                self.entries[first..].iter().take_while(move |entry| of(entry) == key)
            })
        })
    }

    /// Returns the paging-structure cache entries of the current PCID.
    pub(crate) fn usable_tables(&self, paging: &Paging) -> &[Table] {
        let pcid = paging.pcid();
        let first = self.tables.partition_point(|table| table.pcid < pcid);
        let last = self.tables.partition_point(|table| table.pcid <= pcid);
        &self.tables[first..last]
    }

    /// Returns the paging-structure cache entries of the current PCID that no walk from CR3 gives:
    /// only from these can something be reached that CR3 does not reach.
    pub(crate) fn stale_tables<M: Physical + ?Sized>(
        &self,
        memory: &M,
        paging: &Paging,
    ) -> impl Iterator<Item = Table> {
        self.usable_tables(paging).iter().copied().filter(move |table| {
            let walk = walk(memory, paging, table.va);
            !tables_of(&walk, table.pcid).any(|fresh| fresh == *table)
        })
    }

    pub(crate) fn insert_entry(&mut self, entry: Entry) {
        let with = |dirty: bool| {
            let mut entry = entry;
            entry.translation.dirty = dirty;
            entry
        };
        if self.entries.binary_search(&with(true)).is_ok() {
            return;
        }
        match self.entries.binary_search(&with(false)) {
            Ok(index) => self.entries[index] = entry,
            Err(index) => self.entries.insert(index, entry),
        }
    }

    pub(crate) fn insert_table(&mut self, table: Table) {
        if let Err(index) = self.tables.binary_search(&table) {
            self.tables.insert(index, table);
        }
    }
}

impl Entry {
    /// Tags the translation of a walk for the TLB.
    pub(crate) fn new(paging: &Paging, translation: Translation) -> Self {
        let global = translation.global && paging.pge();
        let tag = if global { Tag::Global } else { Tag::Pcid(paging.pcid()) };
        Self { tag, translation }
    }
}

/// Returns the paging-structure cache entries that `walk` gives: one for each entry that leads to a
/// table.
pub(crate) fn tables_of(walk: &Walk, pcid: u16) -> impl Iterator<Item = Table> + '_ {
    let missing = match walk.result {
        Err(Failure::NoMemory { pa }) => Some(pa),
        _ => None,
    };
    let below = walk.reads().iter().map(|read| read.pa).chain(missing).skip(1);
    walk.reads().iter().zip(below).map(move |(read, below)| {
        let va = prefix(walk.va, read.level);
        Table { pcid, level: read.level, va, frame: below & !0xfff, rights: read.rights }
    })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
