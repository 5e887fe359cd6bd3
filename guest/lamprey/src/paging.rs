//! Page tables in memory, for scenarios that switch between them and change them.
//!
//! Tables are built in set-up and never freed. A CPU makes later changes itself: a scenario takes
//! the [`entry`](PageTables::entry) to change and stores to it, so every store to an entry is one
//! of the code that is checked. Entries are numbers, made of the bits below and a physical address
//! (SDM vol. 3 §4.5).

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::layout::{HEAP_BASE, HEAP_PHYS};

use crate::setup::{alloc, physical_address};

/// Present.
pub const P: u64 = 1;
/// Writes are allowed.
pub const RW: u64 = 1 << 1;
/// User-mode accesses are allowed.
pub const US: u64 = 1 << 2;
/// Accessed.
pub const A: u64 = 1 << 5;
/// Dirty.
pub const D: u64 = 1 << 6;
/// In a PDE or PDPTE: maps a large page.
pub const PS: u64 = 1 << 7;
/// Global.
pub const G: u64 = 1 << 8;
/// Instruction fetches are not allowed.
pub const XD: u64 = 1 << 63;

/// A user page that may be written. With A and D set no access changes the entry, which keeps the number
/// of states small.
pub const USER: u64 = P | RW | US | A | D;

/// The rights of entries above the last one: all, so that the last one decides.
const UPPER: u64 = P | RW | US | A;
/// Bits 51:12: the address in an entry.
const ADDRESS: u64 = ((1 << 52) - 1) & !0xfff;

type Table = [AtomicU64; 512];

/// A 4-KiB frame of memory.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    words: &'static Table,
}

impl Frame {
    /// Returns its words through the direct map, as the kernel sees them.
    #[must_use]
    pub fn words(self) -> &'static [AtomicU64; 512] {
        self.words
    }

    /// Returns the address of its first byte, as the kernel sees it.
    #[must_use]
    pub fn pointer(self) -> *mut u8 {
        ptr::from_ref(self.words).cast_mut().cast()
    }

    /// Returns its physical address.
    #[must_use]
    pub fn pa(self) -> u64 {
        physical_address(self.pointer())
    }
}

/// Allocates a frame, zeroed and never freed. For set-up.
///
/// ```ignore
/// let data = paging::frame();
/// tables.map(0x40_0000, data.pa(), paging::USER);
/// ```
///
/// # Panics
///
/// The run ends undecided if memory is exhausted.
#[must_use]
pub fn frame() -> Frame {
    let memory = alloc(4096, 4096);
    // `table_at` finds tables by their physical addresses again.
    memory.expose_provenance();
    // SAFETY: 4096 zeroed bytes, aligned to 4096, that are never freed.
    Frame { words: unsafe { &*memory.cast::<Table>() } }
}

/// The page tables of one address space.
#[derive(Clone, Copy, Debug)]
pub struct PageTables {
    root: Frame,
    levels: u32,
}

impl PageTables {
    /// Creates empty tables for 4-level paging. For set-up.
    ///
    /// ```ignore
    /// let tables = PageTables::new();
    /// let data = paging::frame();
    /// let pte = tables.map(0x40_0000, data.pa(), paging::USER);
    /// lamprey::cpu(0, move || {
    ///     load_cr3(tables.root());
    ///     pte.store(0, Relaxed);
    /// });
    /// ```
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes memory that is never freed")]
    pub fn new() -> Self {
        Self::with_levels(4)
    }

    /// Creates empty tables for 4- or 5-level paging. For set-up.
    ///
    /// # Panics
    ///
    /// Panics if `levels` is neither 4 nor 5.
    #[must_use]
    pub fn with_levels(levels: u32) -> Self {
        assert!(levels == 4 || levels == 5, "there is 4-level and 5-level paging");
        Self { root: frame(), levels }
    }

    /// Returns the physical address of the topmost table, for CR3.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root.pa()
    }

    /// Maps the 4-KiB page at `va` to the frame at `pa`, with the bits `flags`, and returns its PTE.
    /// Creates missing tables, with all rights. For set-up.
    ///
    /// # Panics
    ///
    /// Panics if a large page is mapped there.
    pub fn map(&self, va: u64, pa: u64, flags: u64) -> &'static AtomicU64 {
        let pte = self.make(va, 1);
        pte.store(pa | flags, Relaxed);
        pte
    }

    /// Clears the PTE of the 4-KiB page at `va`. It flushes nothing.
    ///
    /// # Panics
    ///
    /// Panics if there is no table for it.
    pub fn unmap(&self, va: u64) {
        self.entry(va, 1).store(0, Relaxed);
    }

    /// Returns the entry for `va` at `level`: 1 PTE, 2 PDE, 3 PDPTE, 4 PML4E, 5 PML5E. Call it in
    /// set-up: it reads the entries above, and a CPU that does so reads shared memory.
    ///
    /// # Panics
    ///
    /// Panics if the tables have no such level, or there is no table for it.
    #[must_use]
    pub fn entry(&self, va: u64, level: u32) -> &'static AtomicU64 {
        self.find(va, level, |_| panic!("no table for this address"))
    }

    /// Returns the [`entry`](Self::entry) after creating missing tables, with all rights. For
    /// set-up, and for large pages:
    ///
    /// ```ignore
    /// tables.make(va, 2).store(pa | paging::USER | paging::PS, Relaxed);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the tables have no such level, or a large page is mapped there.
    #[must_use]
    pub fn make(&self, va: u64, level: u32) -> &'static AtomicU64 {
        self.find(va, level, |entry| entry.store(frame().pa() | UPPER, Relaxed))
    }

    /// Returns the entry for `va` at `level`; `absent` gets each entry above it that is not present.
    fn find(&self, va: u64, level: u32, absent: impl Fn(&AtomicU64)) -> &'static AtomicU64 {
        assert!((1..=self.levels).contains(&level), "no such level");
        let mut at = &self.root.words()[index(va, self.levels)];
        for below in (level..self.levels).rev() {
            if at.load(Relaxed) & P == 0 {
                absent(at);
            }
            let value = at.load(Relaxed);
            assert!(value & PS == 0, "a large page is mapped here");
            at = &table_at(value & ADDRESS)[index(va, below)];
        }
        at
    }
}

/// Returns the index of `va` in a table whose entries are of `level`.
fn index(va: u64, level: u32) -> usize {
    (va >> (3 + 9 * level)) as usize & 0x1ff
}

/// Returns the table at `pa`, through the direct map.
fn table_at(pa: u64) -> &'static Table {
    let table = ptr::with_exposed_provenance::<Table>((pa - HEAP_PHYS + HEAP_BASE) as usize);
    // SAFETY: `PageTables::make` made the entry that names it, or a scenario did with the address
    // of a `Frame`: 4096 bytes, aligned to 4096, that are never freed. Lamprey stops a run that
    // invents an entry and follows it to an address without memory.
    unsafe { &*table }
}
