//! The page walk (SDM vol. 3 §4.5), and the entries it reads.

use crate::paging::{Meaning, Paging, Physical, Rights, Translation, entry_address, meaning};

/// One entry that a walk has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// Level: 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE.
    pub level: u8,
    /// Physical address of the entry.
    pub pa: u64,
    /// Value of the entry.
    pub value: u64,
    /// Rights of the path down to this entry.
    pub rights: Rights,
}

/// The reason why a walk found no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// P is clear in the entry of this level.
    NotPresent {
        /// Level, 5 to 1.
        level: u8,
    },
    /// A reserved bit is set in the entry of this level.
    Reserved {
        /// Level, 5 to 1.
        level: u8,
    },
    /// There is no memory at the address of an entry. What a processor does then depends on the
    /// platform, so the caller should not guess.
    NoMemory {
        /// Physical address of the entry.
        pa: u64,
    },
}

/// A walk, from CR3 or from an entry of a paging-structure cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Walk {
    /// The linear address that it translates.
    pub va: u64,
    /// The page, or the reason why there is none.
    pub result: Result<Translation, Failure>,
    reads: [Read; 5],
    count: usize,
}

impl Walk {
    /// Returns the entries read, from the topmost down.
    pub fn reads(&self) -> &[Read] {
        &self.reads[..self.count]
    }
}

/// The start of a walk: a table, the linear addresses it serves, and the rights of the path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Level of the table's entries.
    pub(crate) level: u8,
    /// Physical address of the table.
    pub(crate) table: u64,
    /// First linear address that the table serves.
    pub(crate) va: u64,
    pub(crate) rights: Rights,
}

impl Start {
    /// Starts at CR3. `va` is 0, which is one of the addresses.
    pub(crate) fn root(paging: &Paging) -> Self {
        Self { level: paging.levels(), table: paging.root(), va: 0, rights: Rights::ALL }
    }
}

/// Walks the tables that CR3 selects for `va`, which is canonical.
pub fn walk<M: Physical + ?Sized>(memory: &M, paging: &Paging, va: u64) -> Walk {
    walk_from(memory, paging, va, Start::root(paging))
}

pub(crate) fn walk_from<M: Physical + ?Sized>(
    memory: &M,
    paging: &Paging,
    va: u64,
    start: Start,
) -> Walk {
    let Start { mut level, mut table, mut rights, .. } = start;
    let mut reads = [Read { level: 0, pa: 0, value: 0, rights }; 5];
    let mut count = 0;
    let result = loop {
        let pa = entry_address(table, level, va);
        let Some(value) = memory.entry(pa) else { break Err(Failure::NoMemory { pa }) };
        rights = rights.and(value);
        reads[count] = Read { level, pa, value, rights };
        count += 1;
        match meaning(value, level, paging.nxe) {
            Meaning::NotPresent => break Err(Failure::NotPresent { level }),
            Meaning::Reserved => break Err(Failure::Reserved { level }),
            Meaning::Page(size, frame) => {
                break Ok(Translation::new(va, size, frame, value, rights));
            }
            Meaning::Table(next) => {
                table = next;
                level -= 1;
            }
        }
    };
    Walk { va, result, reads, count }
}
