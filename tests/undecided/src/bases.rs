//! Segment bases and interrupts: a handler could see what the search cannot.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

const VECTOR: u8 = 40;

/// A handler finds the GS base that the interrupted code has just then.
// reason: a change of a segment base
#[lamprey::scenario]
fn gs_base_of_interrupted() {
    lamprey::handler(VECTOR, || {
        let base: u64;
        // SAFETY: a read.
        unsafe { asm!("rdgsbase {}", out(reg) base, options(nostack)) };
        lamprey::require!(base == 0, "gs-base", "the handler runs on {base:#x}");
    });
    lamprey::cpu(0, || {
        // SAFETY: nothing here uses GS.
        unsafe { asm!("wrgsbase {}", "wrgsbase {}", in(reg) 8u64, in(reg) 0u64, options(nostack)) };
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A GS base that a handler leaves behind is there when it has returned.
// reason: a change of a segment base
#[lamprey::scenario]
fn gs_base_left_by_handler() {
    let done = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        // SAFETY: nothing here uses GS.
        unsafe { asm!("wrgsbase {}", in(reg) 8u64, options(nostack)) };
        done.store(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        if done.load(Relaxed) == 1 {
            let base: u64;
            // SAFETY: a read.
            unsafe { asm!("rdgsbase {}", out(reg) base, options(nostack)) };
            lamprey::require!(base == 0, "gs-base", "the handler left {base:#x}");
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}
