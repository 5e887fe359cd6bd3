//! Segment bases and interrupts: a handler could see more than the search explores.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

const VECTOR: u8 = 40;

/// A handler finds the momentary GS base of the interrupted code.
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

/// A GS base that set-up loads is not there in the closures.
// reason: a segment base loaded in set-up
// instruction: wrgsbase
// cpu: 0
#[lamprey::scenario]
fn gs_base_of_set_up() {
    // SAFETY: nothing here uses GS.
    unsafe { asm!("wrgsbase {}", in(reg) 8u64, options(nostack)) };
    lamprey::cpu(0, || {
        let base: u64;
        // SAFETY: a read.
        unsafe { asm!("rdgsbase {}", out(reg) base, options(nostack)) };
        lamprey::require!(base == 8, "gs-base", "it is {base:#x}");
    });
}

/// A GS base that SWAPGS exchanges in set-up is not there in the closures.
// reason: a segment base loaded in set-up
// instruction: swapgs
#[lamprey::scenario]
fn kernel_gs_base_of_set_up() {
    // SAFETY: nothing here uses GS.
    unsafe { asm!("wrgsbase {}", "swapgs", in(reg) 8u64, options(nostack)) };
    lamprey::cpu(0, || lamprey::mark!("runs"));
}

/// Interrupts that set-up turns off are on in the closures.
// reason: RFLAGS.IF or RFLAGS.AC changed in set-up
// instruction: cli
#[lamprey::scenario]
fn interrupts_off_in_set_up() {
    crate::cpu::cli();
    lamprey::cpu(0, || {
        lamprey::require!(!lamprey::interrupts_on(0), "off", "they are on");
    });
}
