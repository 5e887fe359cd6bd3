//! First scenarios to read: a bug, a lock, an interrupt.

#![no_std]
#![no_main]

use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64};

/// Two CPUs increment a counter by a load and a store; one increment can be lost.
//
// `finds` says that this scenario passes if, and only if, that property is violated.
#[lamprey::scenario(finds = "lost-update")]
fn lost_update() {
    // Set-up runs alone on CPU 0. `new` moves a value to memory that is never freed.
    let hits = lamprey::new(AtomicU64::new(0));
    // Reports show `hits` instead of an address.
    lamprey::name(hits, "hits");

    // From here on both closures run at the same time, in every interleaving.
    for n in 0..2 {
        lamprey::cpu(n, move || {
            let seen = hits.load(Relaxed);
            // The other CPU may be exactly here, too. `hits.fetch_add(1, Relaxed)` would be right.
            hits.store(seen + 1, Relaxed);
        });
    }

    // When both CPUs are done:
    lamprey::finally(move || {
        lamprey::mark!("both CPUs counted");
        lamprey::require_eq!(hits.load(Relaxed), 2, "lost-update", "an increment is lost", "hits");
    });
}

/// A spinlock keeps two CPUs apart: never both inside, and no increment is lost.
#[lamprey::scenario]
fn spinlock() {
    let locked = lamprey::new(AtomicBool::new(false));
    let inside = lamprey::new(AtomicU64::new(0));
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::name(locked, "locked");
    lamprey::name(inside, "inside");
    lamprey::name(hits, "hits");

    for n in 0..2 {
        lamprey::cpu(n, move || {
            // A loop that waits needs no bound: a state that occurs again is not searched again.
            while locked.swap(true, Acquire) {
                // A scenario passes only if some run reaches each mark: some CPU has to wait here.
                lamprey::mark!("found the lock taken");
                spin_loop();
            }
            inside.fetch_add(1, Relaxed);
            hits.store(hits.load(Relaxed) + 1, Relaxed);
            inside.fetch_sub(1, Relaxed);
            locked.store(false, Release);
        });
    }

    // In every state:
    lamprey::always(move || {
        let inside = inside.load(Relaxed);
        lamprey::require!(inside <= 1, "mutual-exclusion", "{inside} CPUs hold the lock");
    });
    lamprey::finally(move || {
        lamprey::require_eq!(hits.load(Relaxed), 2, "lost-update", "an increment is lost");
    });
}

/// The vector; any from `lamprey::FIRST_VECTOR` on will do.
const VECTOR: u8 = 0xf0;

/// CPU 0 leaves a request, interrupts CPU 1, and waits for the answer of the handler there.
#[lamprey::scenario]
fn ipi_handshake() {
    let request = lamprey::new(AtomicU64::new(0));
    let answer = lamprey::new(AtomicU64::new(0));
    lamprey::name(request, "request");
    lamprey::name(answer, "answer");

    // Runs on the CPU that is interrupted, with interrupts off.
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("CPU 1 answers");
        answer.store(request.load(Acquire) + 1, Release);
    });

    lamprey::cpu(0, move || {
        request.store(41, Release);
        lamprey::send_ipi(1, VECTOR);
        while answer.load(Acquire) == 0 {
            spin_loop();
        }
        lamprey::require_eq!(answer.load(Acquire), 42, "answer", "a wrong answer");
    });

    // CPUs start with interrupts on. The interrupt arrives before, in, or after this.
    lamprey::cpu(1, move || {
        // SAFETY: CLI and STI change only the interrupt flag.
        unsafe { core::arch::asm!("cli", "nop", "sti", options(nostack)) };
    });
}
