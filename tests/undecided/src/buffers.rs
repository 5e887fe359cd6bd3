//! Store buffers that are never drained.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// A loop that stores and never drains.
// reason: more than 1024 stores in a store buffer
// instruction: mov
// cpu: 0
#[lamprey::scenario]
fn stores_without_end() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        loop {
            word.store(1, Relaxed);
        }
    });
    lamprey::cpu(1, move || _ = word.load(Relaxed));
}

/// A loop that another CPU ends, by a store that it waits for: runs can store any number of times before.
// reason: more than 1024 stores in a store buffer
#[lamprey::scenario]
fn beats_until_it_is_told_to_stop() {
    let words = lamprey::new([const { AtomicU64::new(0) }; 2]);
    let [beat, stop] = words;
    lamprey::cpu(0, move || {
        while stop.load(Relaxed) == 0 {
            beat.store(1, Relaxed);
        }
    });
    lamprey::cpu(1, move || {
        if beat.load(Relaxed) == 1 {
            lamprey::mark!("seen");
        }
        stop.store(1, Relaxed);
    });
}
