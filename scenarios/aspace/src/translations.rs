//! The translations that a TLB may still hold, counted in versions of the page tables.
//!
//! They are kept beside the crate, for scenarios whose user memory is flat.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use aspace::{Cr3, Space};
use lamprey::require;

use crate::CPU_COUNT;

/// The number of changes of the page tables so far.
static TABLES: AtomicU64 = AtomicU64::new(0);
/// The newest version whose flush has returned.
static FLUSHED: AtomicU64 = AtomicU64::new(0);
/// The version that a CPU's TLB was flushed at, under the PCID of the watched space.
static SEEN: [AtomicU64; CPU_COUNT] = [const { AtomicU64::new(0) }; CPU_COUNT];
/// The root of the watched space.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// Names the words above.
pub(crate) fn set_up() {
    lamprey::name(&TABLES, "tables");
    lamprey::name(&FLUSHED, "flushed");
    lamprey::name(&SEEN[0], "seen0");
    lamprey::name(&SEEN[1], "seen1");
    lamprey::name(&SEEN[2], "seen2");
}

/// Selects the tables of `space` for the versions from here on. In set-up.
pub(crate) fn watch(space: &Space) {
    WATCHED.store(space.root().pa(), Relaxed);
}

/// Records a flush. Before the instruction, so that a version may be taken for older than it is,
/// never for newer.
#[inline]
pub(crate) fn before_cr3_write(cr3: Cr3) {
    if !cr3.keeps_tlb() && cr3.root().pa() == WATCHED.load(Relaxed) {
        SEEN[lamprey::this_cpu()].store(TABLES.load(Acquire), Release);
    }
}

/// Changes the tables, flushes by `flush`, and from then on forbids the old version.
pub(crate) fn edit_and(flush: impl FnOnce()) {
    let version = TABLES.fetch_add(1, SeqCst) + 1;
    flush();
    FLUSHED.fetch_max(version, Release);
}

/// Checks `no-stale-translation`: user memory is not used through translations older than a flush
/// that has returned. Called at such uses.
#[inline(never)]
pub(crate) fn are_fresh() {
    // In this order: `seen` only grows, also in interrupts.
    let flushed = FLUSHED.load(Acquire);
    let seen = SEEN[lamprey::this_cpu()].load(Relaxed);
    require!(
        seen >= flushed,
        "no-stale-translation",
        "translations of version {seen} are used after the flush of version {flushed} returned"
    );
}

/// Checks `no-walk-through-freed-tables`: after the flush of tables returned, a CPU that has the
/// space in CR3, lazily or not, came to it later.
pub(crate) fn nobody_walks_old_tables(space: &Space, cpus: usize) {
    let flushed = FLUSHED.load(Acquire);
    for (n, seen) in SEEN.iter().enumerate().take(cpus) {
        // In this order: `seen` is recorded before CR3 is written.
        let on_space = Cr3::from_bits(lamprey::cr3(n)).root() == space.root();
        let seen = seen.load(Acquire);
        require!(
            !on_space || seen >= flushed,
            "no-walk-through-freed-tables",
            "CPU {n} is on page tables of version {seen} after those were freed"
        );
    }
}
