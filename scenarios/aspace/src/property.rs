//! What must hold.

use core::fmt;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use aspace::{Cr3, Lam, Space};
use lamprey::user::{self, USER_BASE};
use lamprey::{require, require_eq};

use crate::machine::{CPU_COUNT, core_of};

/// A user pointer with a tag in bits 62:57.
pub(crate) const TAGGED: u64 = USER_BASE | 0x2a << 57;

/// The words of [`mirror_holds`], as reports name them.
const MIRROR: [&str; CPU_COUNT] = ["core0.own.cr3", "core1.own.cr3", "core2.own.cr3"];

/// `cr3-mirror`: with interrupts on, what a core remembers of CR3 is what CR3 has.
pub(crate) fn mirror_holds(cpus: usize) {
    for (n, place) in MIRROR.into_iter().enumerate().take(cpus) {
        lamprey::always(move || {
            if lamprey::interrupts_on(n) {
                let mirror = core_of(n).cr3().bits();
                require_eq!(
                    Hex(lamprey::cr3(n)),
                    Hex(mirror),
                    "cr3-mirror",
                    "a core remembers another value of CR3",
                    "CR3",
                    place,
                );
            }
        });
    }
}

/// `lam-at-user-point`: after the enabling call returned, code that uses the space's user memory runs
/// with its LAM mode, so that a tagged pointer works. Called where such code is.
#[inline(never)]
pub(crate) fn user_point(space: &Space, pointer: u64) {
    let word = user::read::<u64>(pointer);
    lam_is_that_of(space, lamprey::this_cpu());
    require!(word.is_ok(), "lam-at-user-point", "a tagged pointer faults though LAM is on");
}

/// The first half of [`user_point`], for any CPU.
pub(crate) fn lam_is_that_of(space: &Space, cpu: usize) {
    require_eq!(
        Mode(Cr3::from_bits(lamprey::cr3(cpu)).lam()),
        Mode(space.lam()),
        "lam-at-user-point",
        "user memory is used in the old LAM mode after the enabling call returned",
        "CR3.LAM",
        "space_a.lam",
    );
}

/// `space-after-free`: no CPU has the tables of `space` in CR3.
pub(crate) fn nobody_is_on(space: &Space, cpus: usize) {
    for n in 0..cpus {
        let root = Cr3::from_bits(lamprey::cr3(n)).root();
        require!(
            root != space.root(),
            "space-after-free",
            "CPU {n} is on page tables that may be freed"
        );
    }
}

/// Changes of the page tables so far. This and the next two stand beside the crate: user memory is
/// flat here, so what a TLB may still hold is counted in versions of the tables.
static TABLES: AtomicU64 = AtomicU64::new(0);
/// The newest version whose flush has returned.
static FLUSHED: AtomicU64 = AtomicU64::new(0);
/// The version that a CPU's TLB was flushed at, under the PCID of the space that is watched.
static SEEN: [AtomicU64; CPU_COUNT] = [const { AtomicU64::new(0) }; CPU_COUNT];
/// The root of that space.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// Names the words above.
pub(crate) fn set_up() {
    lamprey::name(&TABLES, "tables");
    lamprey::name(&FLUSHED, "flushed");
    lamprey::name(&SEEN[0], "seen0");
    lamprey::name(&SEEN[1], "seen1");
    lamprey::name(&SEEN[2], "seen2");
}

/// From here on versions are those of the tables of `space`. In set-up.
pub(crate) fn watch_translations_of(space: &Space) {
    WATCHED.store(space.root().pa(), Relaxed);
}

/// Notes a flush. Before the instruction, so that a version may be taken for older than it is, never
/// for newer.
#[inline]
pub(crate) fn before_cr3_write(cr3: Cr3) {
    if !cr3.keeps_tlb() && cr3.root().pa() == WATCHED.load(Relaxed) {
        SEEN[lamprey::this_cpu()].store(TABLES.load(Acquire), Release);
    }
}

/// Changes the tables, flushes by `flush`, and from then on the old version may not be used.
pub(crate) fn edit_and(flush: impl FnOnce()) {
    let version = TABLES.fetch_add(1, SeqCst) + 1;
    flush();
    FLUSHED.fetch_max(version, Release);
}

/// `no-stale-translation`: user memory is not used through translations older than a flush that has
/// returned. Called where it is used.
#[inline(never)]
pub(crate) fn translations_are_fresh() {
    // In this order: `seen` only grows, by interrupts, too.
    let flushed = FLUSHED.load(Acquire);
    let seen = SEEN[lamprey::this_cpu()].load(Relaxed);
    require!(
        seen >= flushed,
        "no-stale-translation",
        "translations of version {seen} are used after the flush of version {flushed} returned"
    );
}

/// `no-walk-through-freed-tables`: after the flush of tables returned, a CPU that has the space in
/// CR3, lazily or not, came to it later.
pub(crate) fn nobody_walks_old_tables(space: &Space, cpus: usize) {
    let flushed = FLUSHED.load(Acquire);
    for (n, seen) in SEEN.iter().enumerate().take(cpus) {
        // In this order: what is seen is noted before CR3 is written.
        let on_space = Cr3::from_bits(lamprey::cr3(n)).root() == space.root();
        let seen = seen.load(Acquire);
        require!(
            !on_space || seen >= flushed,
            "no-walk-through-freed-tables",
            "CPU {n} is on page tables of version {seen} after those were freed"
        );
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Hex(u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Mode(Option<Lam>);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "LAM off",
            Some(Lam::U48) => "LAM_U48",
            Some(Lam::U57) => "LAM_U57",
        })
    }
}
