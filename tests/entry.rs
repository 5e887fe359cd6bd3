//! An entry of page tables, and frames that differ in their first word.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use lamprey::paging::{self, Frame};

/// An address whose PDE and PTE are the first of their tables.
pub(crate) const VA: u64 = 0x4000_0000;
/// Size of a page that a PDE maps, in bytes.
pub(crate) const LARGE: u64 = 1 << 21;

pub(crate) const OLD: u64 = 1;
pub(crate) const NEW: u64 = 2;

/// Creates a frame that begins with `word`.
pub(crate) fn frame(word: u64) -> Frame {
    let frame = paging::frame();
    frame.words()[0].store(word, Relaxed);
    frame
}

/// Returns the frame that an entry names.
pub(crate) fn named(entry: &AtomicU64) -> u64 {
    entry.load(Relaxed) & !0xfff
}
