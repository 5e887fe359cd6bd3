//! After an invalidation the new entry is used (SDM vol. 3 §4.10.4). Translations that may be used
//! without one are not tested.

use crate::cpu::{self, CR4_PGE, Feature};
use crate::labels::{op_read, op_write};
use crate::page::{self, G, Level, OPEN, P, PS, US};
use crate::println;
use crate::probe::{self, Outcome};

/// An operation that invalidates translations.
struct Invalidation {
    name: &'static str,
    needs_invpcid: bool,
    /// True if it invalidates global translations, too.
    global: bool,
    run: fn(u64),
}

const INVALIDATIONS: [Invalidation; 7] = [
    Invalidation { name: "invlpg", needs_invpcid: false, global: true, run: cpu::invlpg },
    Invalidation { name: "mov-cr3", needs_invpcid: false, global: false, run: |_| page::flush() },
    Invalidation { name: "toggle-pge", needs_invpcid: false, global: true, run: |_| toggle_pge() },
    Invalidation {
        name: "invpcid-0",
        needs_invpcid: true,
        global: false,
        run: |va| invpcid(0, va),
    },
    Invalidation {
        name: "invpcid-1",
        needs_invpcid: true,
        global: false,
        run: |va| invpcid(1, va),
    },
    Invalidation { name: "invpcid-2", needs_invpcid: true, global: true, run: |va| invpcid(2, va) },
    Invalidation {
        name: "invpcid-3",
        needs_invpcid: true,
        global: false,
        run: |va| invpcid(3, va),
    },
];

fn toggle_pge() {
    let cr4 = cpu::cr4();
    cpu::write_cr4(cr4 ^ CR4_PGE);
    cpu::write_cr4(cr4);
}

fn invpcid(kind: u64, va: u64) {
    cpu::invpcid(kind, &[0, va]);
}

/// Returns the first byte at `va`, which must be mapped.
fn byte(va: u64) -> u8 {
    // SAFETY: mapped by this module; volatile, as the mapping changes.
    unsafe { (va as *const u8).read_volatile() }
}

pub(crate) fn run() {
    let cr4 = cpu::cr4();
    cpu::write_cr4(cr4 | CR4_PGE);
    for invalidation in &INVALIDATIONS {
        if invalidation.needs_invpcid && !cpu::has(Feature::Invpcid) {
            println!("tlb/{}: absent", invalidation.name);
            continue;
        }
        let run = invalidation.run;
        let name = invalidation.name;
        println!("tlb/{name}/frame: {}", moved(0, run));
        if invalidation.global {
            println!("tlb/{name}/global-frame: {}", moved(G, run));
        }
        println!("tlb/{name}/write-protected: {}", protected(run));
        println!("tlb/{name}/unmapped: {}", unmapped(run));
        println!("tlb/{name}/table-unmapped: {}", table_unmapped(run));
        println!("tlb/{name}/large: {}", large(run));
        toggle_pge();
    }
    relaxed();
    page::reset();
    cpu::write_cr4(cr4);
}

/// Maps the page to another frame; returns the bytes before and after.
fn moved(global: u64, run: fn(u64)) -> Bytes {
    page::reset();
    page::set(Level::Pte, page::frame(0) | OPEN | global);
    cpu::invlpg(page::TARGET);
    let before = byte(page::TARGET);
    page::set(Level::Pte, page::frame(1) | OPEN | global);
    run(page::TARGET);
    Bytes(before, byte(page::TARGET))
}

struct Bytes(u8, u8);

impl core::fmt::Display for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:x} {:x}", self.0, self.1)
    }
}

fn write_to(va: u64) -> Outcome {
    Outcome { trap: probe::run(op_write, va, 0), expected: va }
}

fn read_from(va: u64) -> Outcome {
    Outcome { trap: probe::run(op_read, va, 0), expected: va }
}

/// Makes a page read-only after a write to it.
fn protected(run: fn(u64)) -> Outcome {
    page::reset();
    let va = page::TARGET + 8;
    let _ = write_to(va);
    page::set(Level::Pte, page::frame(0) | P | US);
    run(va);
    write_to(va)
}

/// Unmaps a page after a read of it.
fn unmapped(run: fn(u64)) -> Outcome {
    page::reset();
    byte(page::TARGET);
    page::set(Level::Pte, 0);
    run(page::TARGET);
    read_from(page::TARGET)
}

/// Unmaps its page table.
fn table_unmapped(run: fn(u64)) -> Outcome {
    page::reset();
    byte(page::TARGET);
    page::set(Level::Pde, 0);
    run(page::TARGET);
    read_from(page::TARGET)
}

/// Replaces a large page by another, invalidated by an address in its middle; returns the bytes
/// before and after.
fn large(run: fn(u64)) -> Bytes {
    page::reset();
    let before = byte(page::in_large(0));
    // Physical address 2 MiB: the program has no data there.
    page::set(Level::LargePde, 1 << 21 | PS | OPEN);
    run(page::in_large(1));
    Bytes(before, byte(page::in_large(0)))
}

/// Makes entries more permissive, which needs no invalidation: at most one fault, which
/// invalidates.
fn relaxed() {
    page::reset();
    page::set(Level::Pte, 0);
    page::flush();
    let _ = read_from(page::TARGET);
    page::set(Level::Pte, page::usual(Level::Pte));
    println!("tlb/relaxed/mapped: {}", read_from(page::TARGET));
    page::set(Level::Pte, page::frame(0) | P | US);
    page::flush();
    byte(page::TARGET);
    page::set(Level::Pte, page::usual(Level::Pte));
    let va = page::TARGET + 8;
    let _ = write_to(va);
    println!("tlb/relaxed/writable-second-try: {}", write_to(va));
}
