//! Effects of store buffers. `only: tso` marks those that sequential consistency does not have.

use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use crate::cpu::{cli, sti};
use crate::shared::{part, words};

/// Runs SB with `between` the store and the load of each CPU.
fn store_buffering(between: impl Fn() + Copy + Send + 'static) {
    let [x, y, a, b] = words();
    for (cpu, [mine, others], seen) in [(0, [x, y], a), (1, [y, x], b)] {
        lamprey::cpu(cpu, move || {
            mine.store(1, Relaxed);
            between();
            seen.store(others.load(Relaxed), Relaxed);
        });
    }
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "both loads came before both stores");
    });
}

/// Each CPU loads before the other's store leaves the store buffer.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn no_fence() {
    store_buffering(|| {});
}

/// SFENCE does not keep a load back.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn sfence() {
    // SAFETY: orders stores.
    store_buffering(|| unsafe { asm!("sfence", options(nostack)) });
}

/// LFENCE does not push a store out.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn lfence() {
    // SAFETY: orders loads.
    store_buffering(|| unsafe { asm!("lfence", options(nostack)) });
}

/// CLI and STI order nothing.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn interrupts_off_and_on() {
    store_buffering(|| {
        cli();
        sti();
    });
}

/// A LOCKed instruction before the store is too early.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn locked_too_early() {
    let [x, y, a, b] = words();
    for (cpu, [mine, others], seen) in [(0, [x, y], a), (1, [y, x], b)] {
        lamprey::cpu(cpu, move || {
            seen.fetch_add(1, Relaxed);
            mine.store(1, Relaxed);
            seen.store(others.load(Relaxed), Relaxed);
        });
    }
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "both loads came before both stores");
    });
}

/// Behind more stores than the buffer holds: the excess leaves, and the last one need not.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn behind_many_stores() {
    let [x, y, many, a, b] = words();
    lamprey::cpu(0, move || {
        for n in 1..=18 {
            many.store(n, Relaxed);
        }
        x.store(1, Relaxed);
        a.store(y.load(Relaxed), Relaxed);
    });
    lamprey::cpu(1, move || {
        let _ = many.load(Relaxed);
        y.store(1, Relaxed);
        b.store(x.load(Relaxed), Relaxed);
    });
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "both loads came before both stores");
    });
}

/// A fence on one CPU is not enough.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn fence_on_one_side() {
    let [x, y, a, b] = words();
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        a.store(y.load(Relaxed), Relaxed);
    });
    lamprey::cpu(1, move || {
        y.store(1, Relaxed);
        // SAFETY: orders accesses.
        unsafe { asm!("mfence", options(nostack)) };
        b.store(x.load(Relaxed), Relaxed);
    });
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "both loads came before both stores");
    });
}

/// R: the last store to `y` is CPU 1's, and yet its load misses what CPU 0 stored before.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn r_shape() {
    let [x, y, seen] = words();
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        y.store(1, Relaxed);
    });
    lamprey::cpu(1, move || {
        y.store(2, Relaxed);
        seen.store(x.load(Relaxed), Relaxed);
    });
    lamprey::finally(move || {
        let late = y.load(Relaxed) == 2 && seen.load(Relaxed) == 0;
        lamprey::require!(!late, "order", "the load came before CPU 0, the store after it");
    });
}

/// Peterson's lock with plain stores.
// switches: 2
// only: tso
#[lamprey::scenario(finds = "mutual-exclusion")]
fn peterson() {
    let [turn, inside, first, second] = words();
    for cpu in 0..2u64 {
        let (mine, other) = if cpu == 0 { (first, second) } else { (second, first) };
        lamprey::cpu(cpu as usize, move || {
            mine.store(1, Relaxed);
            turn.store(1 - cpu, Relaxed);
            while other.load(Relaxed) == 1 && turn.load(Relaxed) != cpu {
                core::hint::spin_loop();
            }
            let before = inside.fetch_add(1, Relaxed);
            lamprey::require!(before == 0, "mutual-exclusion", "both are inside");
            inside.fetch_sub(1, Relaxed);
            mine.store(0, Relaxed);
        });
    }
}

/// A hazard pointer: a reader announces the record that it is about to use and checks that it is still
/// current; a CPU that retires it looks for readers first. Without a fence the reader is late.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "use-after-free")]
fn hazard_pointer() {
    let [current, hazard, old, new] = words();
    current.store(old.as_ptr().expose_provenance() as u64, Relaxed);
    lamprey::cpu(0, move || {
        let at = current.load(Relaxed);
        hazard.store(at, Relaxed);
        if current.load(Relaxed) == at {
            // SAFETY: one of two words of this type.
            let record = unsafe { &*core::ptr::with_exposed_provenance::<AtomicU64>(at as usize) };
            lamprey::require!(record.load(Relaxed) == 0, "use-after-free", "it is freed");
        }
    });
    lamprey::cpu(1, move || {
        let retired = current.swap(new.as_ptr().expose_provenance() as u64, Relaxed);
        if hazard.load(Relaxed) != retired {
            old.store(0xdead, Relaxed);
        }
    });
}

/// An IPI's handler and a store after the sending: nothing orders that store.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn store_after_the_interrupt() {
    let [x, y, a, b] = words();
    lamprey::handler(40, move || {
        y.fetch_add(1, Relaxed);
        b.store(1 + x.load(Relaxed), Relaxed);
    });
    lamprey::cpu(0, move || {
        lamprey::send_ipi(1, 40);
        x.store(1, Relaxed);
        a.store(y.load(Relaxed), Relaxed);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 1;
        lamprey::require!(!neither, "order", "both loads came before both stores");
    });
}

/// The CPU sees its own store before any other CPU does: it loads the new value, and then still the
/// old one of another word that was long stored.
// switches: 1
// only: tso
#[lamprey::scenario(finds = "order")]
fn own_store_first() {
    let [x, y, a, b] = words();
    for (cpu, [mine, others], seen) in [(0, [x, y], a), (1, [y, x], b)] {
        lamprey::cpu(cpu, move || {
            mine.store(1, Relaxed);
            let own = mine.load(Relaxed);
            lamprey::require!(own == 1, "forwarding", "its own store is not there");
            seen.store(others.load(Relaxed), Relaxed);
        });
    }
    lamprey::finally(move || {
        let neither = a.load(Relaxed) == 0 && b.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "each CPU saw its own store first");
    });
}

/// An invariant sees a value that is stored only for a moment, though no other CPU may ever see it.
// switches: 0
#[lamprey::scenario(finds = "never-one")]
fn invariant_sees_what_is_overwritten() {
    let [x] = words();
    lamprey::always(move || {
        lamprey::require!(x.load(Relaxed) != 1, "never-one", "it is one");
    });
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        x.store(2, Relaxed);
    });
    lamprey::cpu(1, move || {
        let _ = x.load(Relaxed);
    });
}

/// A load that is wider than an own store waits for that, and not for a later one to other bytes of the word.
// only: tso
#[lamprey::scenario(finds = "order")]
fn waits_for_no_other_store() {
    let [x, seen, other] = words();
    lamprey::cpu(0, move || {
        part::<AtomicU16>(x, 4).store(1, Relaxed);
        part::<AtomicU32>(x, 0).store(1, Relaxed);
        seen.store(u64::from(part::<AtomicU32>(x, 4).load(Relaxed)), Relaxed);
    });
    lamprey::cpu(1, move || {
        part::<AtomicU16>(x, 6).store(1, Relaxed);
        // SAFETY: waits for the store.
        unsafe { asm!("mfence", options(nostack)) };
        other.store(u64::from(part::<AtomicU32>(x, 0).load(Relaxed)), Relaxed);
    });
    lamprey::finally(move || {
        let neither = seen.load(Relaxed) == 1 && other.load(Relaxed) == 0;
        lamprey::require!(!neither, "order", "both loads came before the other's store");
    });
}
