#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

unsafe extern "C" {
    fn increment(hits: *mut u64);
    fn store_half(half: *mut u32);
}

/// Two CPUs increment a counter in C, without a lock.
#[lamprey::scenario]
fn lost_update() {
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::name(hits, "hits");
    for n in 0..2 {
        lamprey::cpu(n, move || {
            lamprey::mark!("counts");
            unsafe { increment(hits.as_ptr()) };
        });
    }
    lamprey::finally(move || {
        let found = hits.load(Relaxed);
        lamprey::require_eq!(found, 2, "lost-update", "an increment is lost", "hits");
    });
}

/// C stores to one half of a named word.
#[lamprey::scenario]
fn half_store() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::name(word, "word");
    lamprey::cpu(0, move || unsafe { store_half(word.as_ptr().cast()) });
    lamprey::cpu(1, move || {
        lamprey::mark!("reads");
        lamprey::require_eq!(word.load(Relaxed), 0, "unchanged", "it is written", "word");
    });
}
