//! An interrupt that overtakes the request it announces.
//!
//! CPU 1 takes a page away. It stores the address, then interrupts CPU 0, whose handler flushes the
//! stored address. A WRMSR to the x2APIC waits for no store, so the interrupt may arrive while the
//! request is still in CPU 1's store buffer (SDM vol. 3 §10.12.3).

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::arch::{invlpg, lfence, mfence, send_x2apic};
use crate::process::{Process, VA, touch};

const VECTOR: u8 = 0xfc;

/// Nothing between the store and the WRMSR.
///
/// Found with every `--tlb`, `eager` too: no flush is missing. Under `--model sc` there is
/// nothing to find.
#[lamprey::scenario(finds = "stale-request")]
fn ipi_without_a_fence() {
    unmap(|| {});
}

/// MFENCE in between, which was sufficient by the manual until 2021: it orders loads and stores,
/// and WRMSR is neither. Linux added LFENCE in commit 25a068b8e9a4.
#[lamprey::scenario(finds = "stale-request")]
fn ipi_after_mfence_alone() {
    unmap(mfence);
}

/// MFENCE and LFENCE in between.
#[lamprey::scenario(marks = ["the handler flushes", "the page is used"])]
fn ipi_after_mfence_and_lfence() {
    unmap(|| {
        mfence();
        lfence();
    });
}

fn unmap(fence: impl FnOnce() + Send + 'static) {
    let process = Process::only_one();
    let request = lamprey::new(AtomicU64::new(0));
    let done = lamprey::new(AtomicU64::new(0));
    lamprey::name(request, "request");
    lamprey::name(done, "flush_done");
    lamprey::name_value(VA, "VA");
    lamprey::handler(VECTOR, move || {
        let va = request.load(Relaxed);
        lamprey::require!(va == VA, "stale-request", "CPU 0 flushes what CPU 1 wanted before");
        lamprey::mark!("the handler flushes");
        invlpg(va);
        done.store(1, Release);
    });
    lamprey::cpu(0, move || {
        process.enter();
        touch();
    });
    lamprey::cpu(1, move || {
        process.enter();
        process.clear_pte();
        invlpg(VA);
        request.store(VA, Relaxed);
        fence();
        send_x2apic(0, VECTOR);
        while done.load(Acquire) == 0 {
            core::hint::spin_loop();
        }
        process.free_page();
    });
}
