//! The fewest context switches, if a store buffer may be emptied at once.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::shared::words;

/// Lets one CPU read `x` and then `z`; the other, after a look at `z`, stores to `x` and adds to
/// `z`, for which it waits until the store is visible. A handler reads `x`, too.
fn old_x(reader: usize, writer: usize) {
    let [x, z] = words();
    lamprey::handler(0x40, move || _ = x.load(Relaxed));
    lamprey::cpu(reader, move || {
        let (first, then) = (x.load(Relaxed), z.load(Relaxed));
        lamprey::require!(
            first == 1 || then == 0,
            "old-x",
            "before the store, and after the addition"
        );
        lamprey::send_ipi(writer, 0x40);
    });
    lamprey::cpu(writer, move || {
        let _ = z.load(Relaxed);
        x.store(1, Relaxed);
        z.fetch_add(1, SeqCst);
    });
}

/// The reader is interrupted after its first load; the store may leave the buffer before that.
// switches: 1
#[lamprey::scenario(finds = "old-x")]
fn reader_is_the_first_cpu() {
    old_x(0, 1);
}

/// The same with the CPUs exchanged.
// switches: 1
#[lamprey::scenario(finds = "old-x")]
fn reader_is_the_second_cpu() {
    old_x(1, 0);
}

/// Waits for a flag that is set only if an increment is lost: in a run without a switch, for ever. Three CPUs
/// that count make many states, most of which come later.
// switches: 0
// limits: states 1500
#[lamprey::scenario(finds = "livelock")]
fn flag_that_only_a_race_sets() {
    let [flag, count] = words();
    lamprey::cpu(0, move || {
        while flag.load(Relaxed) == 0 {
            core::hint::spin_loop();
        }
    });
    for cpu in 1..4 {
        lamprey::cpu(cpu, move || {
            for _ in 0..2 {
                count.store(count.load(Relaxed) + 1, Relaxed);
            }
            if cpu == 3 && count.load(Relaxed) != 6 {
                flag.store(1, Relaxed);
            }
        });
    }
}
