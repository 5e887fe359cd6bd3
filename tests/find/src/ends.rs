//! The state of a CPU when its closure returns.

use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::cpu::{cli, sti};
use crate::shared::words;

const VECTOR: u8 = 40;

/// A critical section that an early return leaves without STI: the idle CPU still answers the IPI,
/// so only this property shows it.
// found: CPU1's interrupts are off since step
#[lamprey::scenario(finds = "ends-with-interrupts-off")]
fn forgotten_sti() {
    let [done] = words();
    lamprey::handler(VECTOR, move || done.store(1, Release));
    lamprey::cpu(0, move || {
        lamprey::send_ipi(1, VECTOR);
        while done.load(Acquire) == 0 {
            spin_loop();
        }
    });
    lamprey::cpu(1, cli);
}

/// On one way out only, and in a run without interrupts.
// found: CPU0's interrupts are off since
#[lamprey::scenario(finds = "ends-with-interrupts-off")]
fn forgotten_on_one_way() {
    let [busy] = words();
    lamprey::cpu(0, move || {
        cli();
        if busy.load(Relaxed) != 0 {
            return;
        }
        sti();
    });
    lamprey::cpu(1, move || busy.store(1, Relaxed));
}
