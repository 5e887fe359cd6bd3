//! Translations as facts: what the caches of a CPU may keep, and how it comes from an address to a frame.

use mmu::{Candidate, Source, Table, Tag, Tlb};

/// An entry that the caches of a CPU may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A translation, in the TLB.
    Page {
        /// First linear address of the page.
        va: u64,
        /// Physical address of the frame.
        frame: u64,
        /// The accesses that may use it.
        tag: Tag,
    },
    /// A paging-structure entry that refers to a table.
    Table {
        /// Level of the entry: 5 PML5E, 4 PML4E, 3 PDPTE, 2 PDE.
        level: u8,
        /// First linear address of the range it serves.
        va: u64,
        /// Physical address of the table.
        frame: u64,
        /// The PCID under which it may be used.
        pcid: u16,
    },
}

/// The way from a linear address to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A walk from CR3 for this address.
    Walk {
        /// The address.
        va: u64,
    },
    /// A walk from CR3 that reads the frame as a table.
    Entries {
        /// Level of the entries in the table: 5 to 1.
        level: u8,
        /// First linear address that the table serves.
        va: u64,
    },
    /// An entry that may be cached.
    Kept(Kept),
    /// A walk for an address from a paging-structure entry that may be cached.
    Partly {
        /// Level of that entry.
        level: u8,
        /// The address.
        va: u64,
    },
}

impl Kept {
    pub(crate) fn table(table: &Table) -> Kept {
        let Table { level, va, frame, pcid, .. } = *table;
        Kept::Table { level, va, frame, pcid }
    }
}

impl Route {
    /// The way on which an access to `va` got this candidate.
    pub(crate) fn of(candidate: &Candidate, va: u64) -> Route {
        match (candidate.source, candidate.result) {
            (Source::Cached(tag), Ok(page)) => {
                Route::Kept(Kept::Page { va: page.va, frame: page.frame, tag })
            }
            (Source::From { level }, _) => Route::Partly { level, va },
            _ => Route::Walk { va },
        }
    }
}

/// Lists what the caches of a CPU may keep that they could not before.
pub(crate) fn news(before: &Tlb, after: &Tlb) -> Vec<Kept> {
    let entries = after.entries().iter().filter(|entry| !before.entries().contains(entry));
    let entries = entries.map(|entry| Kept::Page {
        va: entry.translation.va,
        frame: entry.translation.frame,
        tag: entry.tag,
    });
    let tables = after.tables().iter().filter(|table| !before.tables().contains(table));
    entries.chain(tables.map(Kept::table)).collect()
}
