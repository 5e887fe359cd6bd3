//! The CPUs that must flush: those in a mask of the process, and the moment at which it is read.
//!
//! CPU 0 begins to run the process: it enters itself into the mask, then loads CR3. CPU 1 takes a
//! page away for another user, as reclaim does, and flushes the CPUs that it finds in the mask.
//! Either CPU 1 finds CPU 0 there, or CPU 0 must find the new page tables. That is store buffering:
//! a store and then a load on both sides, and both need a fence.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::arch::mfence;
use crate::process::{Process, Shootdown, touch};

const CPU0: u64 = 1;

/// The store to the PTE is still in CPU 1's store buffer when CPU 1 finds the mask empty. CPU 0 enters
/// the process, and walks the old PTE.
///
/// Found with every `--tlb`, `eager` too: no flush is missing. Under `--model sc` there is
/// nothing to find.
#[lamprey::scenario(finds = "freed-frame")]
fn mask_is_read_too_early() {
    reclaim(enter_then_load, || {});
}

/// A fence between the store to the PTE and the load of the mask.
#[lamprey::scenario(marks = ["CPU 0 is in the mask", "nobody is in the mask", "the page is used"])]
fn mask_is_read_after_a_fence() {
    reclaim(enter_then_load, mfence);
}

/// CPU 0 loads CR3 first and enters itself into the mask afterwards. In between its page walker may
/// cache the page, although nothing has touched it.
///
/// Found with `adversarial`, under both models. Not with `retain`: there only accesses fill the TLB, and
/// the first happens when CPU 0 is in the mask.
#[lamprey::scenario(finds = "freed-frame")]
fn mask_is_set_too_late() {
    let load_then_enter = |process: Process, mask: &AtomicU64| {
        process.enter();
        mask.fetch_or(CPU0, SeqCst);
    };
    reclaim(load_then_enter, mfence);
}

/// Enters the process on CPU 0, in the correct order.
fn enter_then_load(process: Process, mask: &AtomicU64) {
    // LOCKed, so CPU 0's own load of the PTE, by its page walker, cannot pass it.
    mask.fetch_or(CPU0, SeqCst);
    process.enter();
}

fn reclaim(
    enter: impl FnOnce(Process, &AtomicU64) + Send + 'static,
    fence: impl FnOnce() + Send + 'static,
) {
    let process = Process::only_one();
    let shootdown = Shootdown::new();
    let mask = lamprey::new(AtomicU64::new(0));
    lamprey::name(mask, "cpumask");
    lamprey::cpu(0, move || {
        enter(process, mask);
        touch();
    });
    lamprey::cpu(1, move || {
        process.clear_pte();
        fence();
        if mask.load(Relaxed) & CPU0 != 0 {
            lamprey::mark!("CPU 0 is in the mask");
            shootdown.send(0);
            shootdown.wait();
        } else {
            lamprey::mark!("nobody is in the mask");
        }
        process.free_page();
    });
}
