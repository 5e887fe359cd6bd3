//! A control register has another value for a moment, and a handler runs just then: the legal
//! operations of the handler depend on it.

use core::arch::asm;

use crate::cpu::{cr4, load_cr3, load_cr4};

const VECTOR: u8 = 40;
const FSGSBASE: u64 = 1 << 16;
const PCIDE: u64 = 1 << 17;

/// Lets CPU 0 clear `bit` of CR4 for a moment; the handler runs at any time.
fn off_for_a_moment(bit: u64, handler: impl Fn() + Sync + 'static) {
    lamprey::handler(VECTOR, handler);
    lamprey::cpu(0, move || {
        let value = cr4();
        load_cr4(value & !bit);
        load_cr4(value);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// RDGSBASE is #UD while CR4.FSGSBASE is off.
#[lamprey::scenario(finds = "fault")]
fn fsgsbase() {
    off_for_a_moment(FSGSBASE, || {
        let _base: u64;
        // SAFETY: a read.
        unsafe { asm!("rdgsbase {}", out(reg) _base, options(nostack)) };
    });
}

/// Bit 63 of CR3 is #GP while CR4.PCIDE is off.
#[lamprey::scenario(finds = "fault")]
fn pcide_and_mov_to_cr3() {
    off_for_a_moment(PCIDE, || load_cr3(1 << 63));
}

/// INVPCID of another PCID than 0 is #GP while CR4.PCIDE is off.
#[lamprey::scenario(finds = "fault")]
fn pcide_and_invpcid() {
    off_for_a_moment(PCIDE, || {
        let descriptor = [5u64, 0];
        // SAFETY: translations may be dropped at any time.
        unsafe { asm!("invpcid {}, [{}]", in(reg) 1u64, in(reg) descriptor.as_ptr()) };
    });
}
