//! Entries that a CPU may keep of page tables that have changed, and operations that may drop them.
//!
//! A case is a cell of the manual's table of invalidations (SDM vol. 3 §4.10.4.1). It holds if the
//! operation drops the entry, and finds `stale` if not.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, A, D, Frame, G, P, PS, PageTables, US, USER};
use lamprey::user;

use crate::cpu::{cr3, cr4, load_cr3, load_cr4};

pub(crate) const NOFLUSH: u64 = 1 << 63;
pub(crate) const PGE: u64 = 1 << 7;
pub(crate) const PCIDE: u64 = 1 << 17;
pub(crate) const SMEP: u64 = 1 << 20;
pub(crate) const SMAP: u64 = 1 << 21;

/// The first word of the frame that was mapped, and that of the one that is.
const OLD: u64 = 1;
const NEW: u64 = 2;

/// The 2-MiB range of all cases.
const BASE: u64 = 0x4000_0000;
const LARGE: u64 = 1 << 21;

/// The kind of the entry that is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The translation of a page.
    Page,
    /// The translation of a page without the right to be written, which it has now.
    ReadOnly,
    /// The translation of a global page.
    Global,
    /// The translation of a 2-MiB page. Memory now has a 4-KiB page there.
    Large,
    /// A PDE. The translation itself is not cached: it comes into the old table after the operation.
    Table,
}

/// The addresses that an operation may need.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The address that is read at the end.
    pub(crate) va: u64,
    /// The tables.
    pub(crate) root: u64,
    /// Other tables, which map nothing.
    pub(crate) empty: u64,
}

/// Keeps an entry under the PCID `owner` that memory no longer has. `operation` runs under the
/// PCID `current`. Then an access under `owner` must get the new contents of memory.
pub(crate) fn cell(
    kept: Kept,
    owner: u64,
    current: u64,
    operation: impl FnOnce(Place) + Send + 'static,
) {
    let scene = Scene::new(kept);
    lamprey::cpu(0, move || {
        load_cr3(scene.place.root | owner);
        scene.change();
        if current != owner {
            load_cr3(scene.place.root | current | NOFLUSH);
        }
        operation(scene.place);
        scene.look(owner);
    });
}

/// Runs [`cell`] under PCID 0, with CR4.PCIDE clear.
pub(crate) fn cell_without_pcids(kept: Kept, operation: impl FnOnce(Place) + Send + 'static) {
    let scene = Scene::new(kept);
    lamprey::cpu(0, move || {
        load_cr4(cr4() & !PCIDE);
        load_cr3(scene.place.root);
        scene.change();
        operation(scene.place);
        scene.look(0);
    });
}

/// Executes INVPCID.
pub(crate) fn invpcid(kind: u64, pcid: u64, va: u64) {
    let descriptor = [pcid, va];
    // SAFETY: translations of the user half; no code here relies on a stale one.
    unsafe { asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack)) }
}

/// Changes bits of CR4, and changes them back.
pub(crate) fn toggle_cr4(bits: u64) {
    load_cr4(cr4() ^ bits);
    load_cr4(cr4() ^ bits);
}

/// Clears CR4.PCIDE and sets it again, which needs PCID 0.
pub(crate) fn toggle_pcide(place: Place) {
    load_cr3(place.root | NOFLUSH);
    toggle_cr4(PCIDE);
}

/// The tables, and their changes.
struct Scene {
    kept: Kept,
    place: Place,
    /// The entry that changes from its value to `after`.
    entry: &'static AtomicU64,
    after: u64,
    /// The PTE in the old table, of [`Kept::Table`], and its value after the operation.
    late: Option<(&'static AtomicU64, u64)>,
}

impl Scene {
    fn new(kept: Kept) -> Self {
        lamprey::page_tables(4);
        let (tables, empty) = (PageTables::new(), PageTables::new());
        let [old, new, table]: [Frame; 3] = core::array::from_fn(|_| paging::frame());
        old.words()[0].store(OLD, Relaxed);
        new.words()[0].store(NEW, Relaxed);
        let offset = old.pa() & (LARGE - 0x1000);
        let va = BASE | offset;
        // The new table, for the kinds that get one.
        table.words()[(offset >> 12) as usize].store(new.pa() | USER, Relaxed);
        let table = table.pa() | USER;
        let mut late = None;
        let (entry, after) = match kept {
            Kept::Page => (tables.map(va, old.pa(), USER), new.pa() | USER),
            Kept::ReadOnly => (tables.map(va, old.pa(), P | US | A | D), new.pa() | USER),
            Kept::Global => (tables.map(va, old.pa(), USER | G), new.pa() | USER | G),
            Kept::Large => {
                let pde = tables.make(va, 2);
                pde.store((old.pa() - offset) | USER | PS, Relaxed);
                (pde, table)
            }
            Kept::Table => {
                tables.map(va ^ 0x1000, old.pa(), USER);
                late = Some((tables.entry(va, 1), old.pa() | USER));
                (tables.entry(va, 2), table)
            }
        };
        let place = Place { va, root: tables.root(), empty: empty.root() };
        Self { kept, place, entry, after, late }
    }

    /// Uses the entry, and then changes memory.
    fn change(&self) {
        let va = if self.kept == Kept::Table { self.place.va ^ 0x1000 } else { self.place.va };
        lamprey::require!(user::read(va) == Ok(OLD), "old", "there is nothing to keep");
        // LOCKed, so the store buffer hides nothing.
        self.entry.swap(self.after, SeqCst);
    }

    /// Performs the access under the PCID `owner`.
    fn look(&self, owner: u64) {
        if let Some((pte, value)) = self.late {
            pte.swap(value, SeqCst);
        }
        if cr3() & 0xfff != owner {
            load_cr3(self.place.root | owner | NOFLUSH);
        }
        let word = user::read::<u64>(self.place.va).unwrap_or(0);
        lamprey::require_eq!(word, NEW, "stale", "an access uses what memory said before");
        lamprey::mark!("memory as it is");
    }
}
