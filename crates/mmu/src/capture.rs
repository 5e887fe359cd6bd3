//! The results that walks can reach now, and those that a change is about to put out of reach.
//!
//! A visit goes through every present entry of every table, by every path. Its depth is the number of
//! levels, so tables that point to themselves end; `n` such entries in one table make `n`⁴ paths, so it
//! is meant for tables with few such entries.

use crate::bits::{ENTRY_A, ENTRY_P};
use crate::paging::{Meaning, Paging, Physical, Translation, meaning, shift};
use crate::tlb::{Entry, Fill, Now, Table, Tlb, tables_of};
use crate::walk::{Start, Walk, walk};

/// A present entry, as the caches may hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reached {
    Page(Translation),
    /// A table, where a walk can go on. In the caches it is an entry of one level above.
    Table(Start),
}

impl Tlb {
    /// Adds what a store to the entry at `pa` in coherent memory is about to make unreachable. The
    /// caller makes this call for each CPU, with that CPU's registers. If `pa` is in no table that
    /// the CPU can walk, nothing happens.
    ///
    /// Not needed where walks set A and D: A is not cached, and what is walkable with D set has
    /// every effect that it had before.
    pub fn before_store<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>, pa: u64) {
        if now.fill != Fill::Adversarial {
            return;
        }
        let (memory, paging) = (now.memory, &now.paging);
        let starts: Vec<Start> = self.starts(now).collect();
        for start in starts {
            paths(memory, paging, start, pa & !0xfff, &mut |table| {
                visit_entry(memory, paging, table, (pa & 0xfff) / 8, &mut |found| {
                    self.insert(paging, found);
                });
            });
        }
    }

    /// Adds what a change of CR3, CR4, CR0 or EFER.NXE is about to make unreachable.
    /// [`Tlb::mov_cr3`], [`Tlb::mov_cr4`] and [`Tlb::mov_cr0`] do this themselves.
    pub fn before_leaving<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>) {
        self.capture(now, true, |_| false, |_| false);
    }

    /// Removes from the set what walks from CR3 give now anyway, with no A flag left to set: it
    /// comes back before it becomes unreachable. States that differ in nothing else become equal,
    /// such as those before and after a switch to other tables and back. The caller makes this call
    /// when an operation is done; results do not depend on it.
    pub fn normalize<M: Physical + ?Sized>(&mut self, now: &Now<'_, M>) {
        if now.fill != Fill::Adversarial {
            return;
        }
        let (memory, paging) = (now.memory, &now.paging);
        let accessed = |walk: &Walk, level: u8| {
            let mut reads = walk.reads().iter().filter(|read| read.level >= level);
            reads.all(|read| read.value & ENTRY_A != 0)
        };
        self.entries.retain(|entry| {
            let walk = walk(memory, paging, entry.translation.va);
            let Ok(mut fresh) = walk.result else { return true };
            fresh.dirty &= entry.translation.dirty;
            *entry != Entry::new(paging, fresh) || !accessed(&walk, 1)
        });
        self.tables.retain(|table| {
            let walk = walk(memory, paging, table.va);
            let given = tables_of(&walk, paging.pcid()).any(|fresh| fresh == *table);
            !given || !accessed(&walk, table.level)
        });
    }

    /// Adds what can be walked to and will not be dropped: from CR3 if the CPU is `leaving`, and from
    /// the paging-structure cache entries that go.
    pub(crate) fn capture<M: Physical + ?Sized>(
        &mut self,
        now: &Now<'_, M>,
        leaving: bool,
        entry_goes: impl Fn(&Entry) -> bool,
        table_goes: impl Fn(&Table) -> bool,
    ) {
        if now.fill != Fill::Adversarial {
            return;
        }
        let (memory, paging) = (now.memory, &now.paging);
        let root = leaving.then(|| Start::root(paging));
        let stale = self.stale_tables(memory, paging);
        let stale = stale.filter(|table| leaving || table_goes(table)).map(|table| table.start());
        let starts: Vec<Start> = root.into_iter().chain(stale).collect();
        for start in starts {
            visit(memory, paging, start, &mut |found| {
                let goes = match found {
                    Reached::Page(page) => entry_goes(&Entry::new(paging, page)),
                    Reached::Table(start) => table_goes(&cached(paging, start)),
                };
                if !goes {
                    self.insert(paging, found);
                }
            });
        }
    }

    /// Returns the points where walks can start now, without those that walks from CR3 pass.
    pub(crate) fn starts<M: Physical + ?Sized>(
        &self,
        now: &Now<'_, M>,
    ) -> impl Iterator<Item = Start> {
        let stale = self.stale_tables(now.memory, &now.paging);
        std::iter::once(Start::root(&now.paging)).chain(stale.map(|table| table.start()))
    }

    fn insert(&mut self, paging: &Paging, found: Reached) {
        match found {
            Reached::Page(translation) => self.insert_entry(Entry::new(paging, translation)),
            Reached::Table(start) => self.insert_table(cached(paging, start)),
        }
    }
}

/// Gives all pages and tables that walks from `start` reach.
pub(crate) fn visit<M: Physical + ?Sized>(
    memory: &M,
    paging: &Paging,
    start: Start,
    give: &mut dyn FnMut(Reached),
) {
    for index in 0..512 {
        visit_entry(memory, paging, start, index, give);
    }
}

/// Gives each path from `start` to a table in `frame`, as the start of a walk there.
pub(crate) fn paths<M: Physical + ?Sized>(
    memory: &M,
    paging: &Paging,
    start: Start,
    frame: u64,
    give: &mut dyn FnMut(Start),
) {
    if start.table == frame {
        give(start);
    }
    if start.level == 1 {
        return;
    }
    for index in 0..512 {
        if let Some(Reached::Table(next)) = follow(memory, paging, start, index) {
            paths(memory, paging, next, frame, give);
        }
    }
}

#[inline]
fn visit_entry<M: Physical + ?Sized>(
    memory: &M,
    paging: &Paging,
    table: Start,
    index: u64,
    give: &mut dyn FnMut(Reached),
) {
    let Some(found) = follow(memory, paging, table, index) else { return };
    give(found);
    if let Reached::Table(next) = found {
        visit(memory, paging, next, give);
    }
}

/// Returns the page or table that the entry at `index` of `table` leads to.
#[inline]
fn follow<M: Physical + ?Sized>(
    memory: &M,
    paging: &Paging,
    table: Start,
    index: u64,
) -> Option<Reached> {
    let entry = memory.entry(table.table + index * 8)?;
    // Nearly all entries are absent: a visit spends most of its time here.
    if entry & ENTRY_P == 0 {
        return None;
    }
    let level = table.level;
    let va = extend(table.va | index << shift(level), paging, level);
    let rights = table.rights.and(entry);
    match meaning(entry, level, paging.nxe) {
        Meaning::NotPresent | Meaning::Reserved => None,
        Meaning::Table(table) => {
            Some(Reached::Table(Start { level: level - 1, table, va, rights }))
        }
        Meaning::Page(size, frame) => {
            Some(Reached::Page(Translation::new(va, size, frame, entry, rights)))
        }
    }
}

/// Sign-extends `va`: in the topmost table the upper half of the indices selects the upper half of
/// the addresses.
fn extend(va: u64, paging: &Paging, level: u8) -> u64 {
    let top = shift(level) + 9;
    let upper = level == paging.levels() && va >> (top - 1) & 1 != 0;
    if upper { va | !((1 << top) - 1) } else { va }
}

/// Returns the paging-structure cache entry that leads to `start`.
fn cached(paging: &Paging, start: Start) -> Table {
    let Start { level, table, va, rights } = start;
    Table { pcid: paging.pcid(), level: level + 1, va, frame: table, rights }
}
