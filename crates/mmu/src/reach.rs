//! The frames that a CPU may still use, for the decision whether one may be freed.

use crate::capture::{Reached, paths, visit};
use crate::paging::Physical;
use crate::tlb::{Now, Table, Tlb};
use crate::walk::Start;

/// A way by which a walk reaches a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Level of the entries in the table: 5 to 1.
    pub level: u8,
    /// First linear address that the table serves on this path.
    pub va: u64,
}

/// The walks that may read an entry inside a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Walks from CR3.
    pub fresh: Vec<Path>,
    /// Walks from entries that may be cached under the current PCID, and only from those.
    pub cached: Vec<(Table, Path)>,
    /// Walks from entries that may be cached under other PCIDs: possible once that PCID is current, if
    /// nothing is invalidated.
    pub later: Vec<(Table, Path)>,
}

impl Reach {
    /// Returns whether no walk, now or later, may read an entry inside the frame.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.cached.is_empty() && self.later.is_empty()
    }
}

impl Tlb {
    /// Gives the physical address of every table that walks can read now, from CR3 or from what may be
    /// cached under the current PCID; a table that several paths lead to is given several times.
    pub fn tables_walked<M: Physical + ?Sized>(&self, now: &Now<'_, M>, give: &mut dyn FnMut(u64)) {
        for start in self.starts(now) {
            give(start.table);
            visit(now.memory, &now.paging, start, &mut |found| {
                if let Reached::Table(start) = found {
                    give(start.table);
                }
            });
        }
    }

    /// Returns the walks that may read an entry inside the 4-KiB frame at `frame`, whether the
    /// entry is present or not.
    pub fn walks_through<M: Physical + ?Sized>(&self, now: &Now<'_, M>, frame: u64) -> Reach {
        let through = |start: Start| {
            let mut found = Vec::new();
            paths(now.memory, &now.paging, start, frame, &mut |table| {
                found.push(Path { level: table.level, va: table.va });
            });
            found
        };
        let from = |table: Table| through(table.start()).into_iter().map(move |path| (table, path));
        let current = now.paging.pcid();
        let others = self.tables.iter().copied().filter(|table| table.pcid != current);
        Reach {
            fresh: through(Start::root(&now.paging)),
            cached: self.stale_tables(now.memory, &now.paging).flat_map(from).collect(),
            later: others.flat_map(from).collect(),
        }
    }
}
