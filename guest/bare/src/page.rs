//! Mappings for tests, beside the identity mapping that the program runs on.
//!
//! One page-table page is reached by one path of tables at [`TARGET`], by another page-directory-pointer
//! entry at [`BY_PDPTE`], by another PML4 entry at [`BY_PML4E`] and at [`HIGH`].

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cpu;
use crate::labels::{address, user_end, user_start};

pub(crate) const P: u64 = 1;
pub(crate) const RW: u64 = 1 << 1;
pub(crate) const US: u64 = 1 << 2;
pub(crate) const A: u64 = 1 << 5;
pub(crate) const D: u64 = 1 << 6;
pub(crate) const PS: u64 = 1 << 7;
pub(crate) const G: u64 = 1 << 8;
pub(crate) const XD: u64 = 1 << 63;
/// All rights.
pub(crate) const OPEN: u64 = P | RW | US;

/// The address that the page table maps.
pub(crate) const TARGET: u64 = 1 << 39;
/// Alias of TARGET by PDPTE 1.
pub(crate) const BY_PDPTE: u64 = TARGET + (1 << 30);
/// Alias of TARGET by PML4E 2.
pub(crate) const BY_PML4E: u64 = 2 << 39;
/// Alias of TARGET by PML4E 256, the lowest of the upper half.
pub(crate) const HIGH: u64 = 0xffff_8000_0000_0000;
/// The address of page-directory entry 1: a large page of physical address 0.
pub(crate) const LARGE: u64 = TARGET + (1 << 21);
/// The code that CPL 3 runs.
pub(crate) const STUB: u64 = TARGET + (2 << 21);
/// A stack for CPL 3.
pub(crate) const USER_STACK_TOP: u64 = STUB + 0x2000;

#[repr(C, align(4096))]
pub(crate) struct Page(pub(crate) [AtomicU64; 512]);

impl Page {
    const fn new() -> Page {
        Page([const { AtomicU64::new(0) }; 512])
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().addr() as u64
    }
}

static PDPT: Page = Page::new();
static PD: Page = Page::new();
static PT: Page = Page::new();
static STUB_PT: Page = Page::new();
static STUB_FRAME: Page = Page::new();
static USER_STACK: Page = Page::new();
/// Two frames that differ in their first byte.
static FRAMES: [Page; 2] = [const { Page::new() }; 2];

/// Offset within a frame of code that ends a probe at CPL 3.
pub(crate) const EXECUTE_USER: u64 = 0x10;
/// Offset within a frame of code that ends a probe at CPL 0.
pub(crate) const EXECUTE_KERNEL: u64 = 0x20;

unsafe extern "C" {
    static boot_page_tables: Page;
}

fn pml4() -> &'static Page {
    // SAFETY: defined in `boot.s`, a page; accessed as words here and by the processor.
    unsafe { &boot_page_tables }
}

/// The entry of each level on the path to TARGET and its aliases.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// Of PML4, for BY_PML4E.
    Pml4e,
    /// Of the page-directory-pointer table, for BY_PDPTE.
    Pdpte,
    /// Of the page directory, for all of them.
    Pde,
    /// Of the page directory, for LARGE.
    LargePde,
    /// Of the page table.
    Pte,
}

pub(crate) fn entry(level: Level) -> &'static AtomicU64 {
    match level {
        Level::Pml4e => &pml4().0[2],
        Level::Pdpte => &PDPT.0[1],
        Level::Pde => &PD.0[0],
        Level::LargePde => &PD.0[1],
        Level::Pte => &PT.0[0],
    }
}

/// Returns the physical address of a frame.
pub(crate) fn frame(number: usize) -> u64 {
    FRAMES[number].address()
}

/// Returns the address of a frame within LARGE.
pub(crate) fn in_large(number: usize) -> u64 {
    LARGE + frame(number)
}

/// Returns the default value of the entry of each level.
pub(crate) fn usual(level: Level) -> u64 {
    match level {
        Level::Pml4e => PDPT.address() | OPEN,
        Level::Pdpte => PD.address() | OPEN,
        Level::Pde => PT.address() | OPEN,
        Level::LargePde => PS | OPEN,
        Level::Pte => frame(0) | OPEN,
    }
}

/// Sets an entry; nothing is flushed.
pub(crate) fn set(level: Level, value: u64) {
    entry(level).store(value, Relaxed);
}

/// Resets all entries to their default, with nothing of old ones cached.
pub(crate) fn reset() {
    for level in [Level::Pml4e, Level::Pdpte, Level::Pde, Level::LargePde, Level::Pte] {
        set(level, usual(level));
    }
    flush();
}

/// Drops all non-global translations.
pub(crate) fn flush() {
    cpu::write_cr3(cpu::cr3());
}

/// Builds the tables and frames.
pub(crate) fn prepare() {
    pml4().0[1].store(PDPT.address() | OPEN, Relaxed);
    pml4().0[256].store(PDPT.address() | OPEN, Relaxed);
    PDPT.0[0].store(PD.address() | OPEN, Relaxed);
    PD.0[2].store(STUB_PT.address() | OPEN, Relaxed);
    STUB_PT.0[0].store(STUB_FRAME.address() | P | US, Relaxed);
    STUB_PT.0[1].store(USER_STACK.address() | OPEN | XD, Relaxed);
    for (number, frame) in FRAMES.iter().enumerate() {
        frame.0[0].store(0xa0 + number as u64, Relaxed);
        // int $0x80; ret
        frame.0[EXECUTE_USER as usize / 8].store(0x80cd, Relaxed);
        frame.0[EXECUTE_KERNEL as usize / 8].store(0xc3, Relaxed);
    }
    let length = (address(user_end) - address(user_start)).div_ceil(8);
    for i in 0..length {
        let from = (user_start as *const ()).cast::<u64>();
        // SAFETY: code that is mapped readable; `from` is aligned.
        let word = unsafe { from.add(i as usize).read_volatile() };
        STUB_FRAME.0[i as usize].store(word, Relaxed);
    }
    reset();
}
