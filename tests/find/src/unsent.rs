//! No CPU is owed an NMI that was not sent: a CPU that waits for one hangs.

use core::hint::spin_loop;
use core::sync::atomic::Ordering::Relaxed;

use crate::cpu::{cli, hlt};
use crate::shared::words;

/// It spins.
#[lamprey::scenario(finds = "livelock")]
fn spins_for_one() {
    let [came] = words();
    lamprey::nmi(1, move || came.store(1, Relaxed));
    lamprey::cpu(0, move || {
        while came.load(Relaxed) == 0 {
            spin_loop();
        }
    });
}

/// It halts.
#[lamprey::scenario(finds = "deadlock")]
fn halts_for_one() {
    let [came] = words();
    lamprey::nmi(1, move || came.store(1, Relaxed));
    lamprey::cpu(0, move || {
        while came.load(Relaxed) == 0 {
            hlt();
        }
    });
}

/// It halts, and another CPU works meanwhile, if in vain.
#[lamprey::scenario(finds = "livelock")]
fn halts_for_one_while_another_cpu_spins() {
    let [came] = words();
    lamprey::nmi(1, move || came.store(1, Relaxed));
    lamprey::cpu(0, move || {
        cli();
        while came.load(Relaxed) == 0 {
            hlt();
        }
    });
    lamprey::cpu(1, move || {
        while came.load(Relaxed) == 0 {
            spin_loop();
        }
    });
}
