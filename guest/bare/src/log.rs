//! The interrupts that CPU 0 took, in order.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{print, println};

/// Vector, return address, IF in the handler.
static LOG: [[AtomicU64; 3]; 8] = [const { [const { AtomicU64::new(0) }; 3] }; 8];
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Appends to the log of CPU 0.
pub(crate) fn note(entry: [u64; 3]) {
    let place = TAKEN.fetch_add(1, Relaxed) as usize;
    for (cell, value) in LOG[place].iter().zip(entry) {
        cell.store(value, Relaxed);
    }
}

/// Empties the log.
pub(crate) fn forget() {
    TAKEN.store(0, Relaxed);
}

/// Prints the first field of each entry, in order.
pub(crate) fn print() {
    let taken = TAKEN.load(Relaxed) as usize;
    if taken == 0 {
        print!(" none");
    }
    for entry in &LOG[..taken] {
        print!(" {:x}", entry[0].load(Relaxed));
    }
    println!();
}

/// Returns the number of entries.
pub(crate) fn taken() -> u64 {
    TAKEN.load(Relaxed)
}

/// Returns the return address of the first entry.
pub(crate) fn returned_to() -> u64 {
    LOG[0][1].load(Relaxed)
}
