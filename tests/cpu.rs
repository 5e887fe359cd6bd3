//! Single instructions.

use core::arch::asm;

/// CLI.
#[inline(always)]
pub(crate) fn cli() {
    // SAFETY: touches nothing but RFLAGS.IF.
    unsafe { asm!("cli", options(nostack)) }
}

/// STI.
#[inline(always)]
pub(crate) fn sti() {
    // SAFETY: touches nothing but RFLAGS.IF.
    unsafe { asm!("sti", options(nostack)) }
}

/// HLT.
#[inline(always)]
pub(crate) fn hlt() {
    // SAFETY: waits for an interrupt.
    unsafe { asm!("hlt", options(nostack)) }
}

/// MOV to CR3.
#[inline(always)]
pub(crate) fn load_cr3(value: u64) {
    // SAFETY: the kernel half does not depend on CR3 in this machine.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack)) }
}

/// MOV from CR3.
#[inline(always)]
pub(crate) fn cr3() -> u64 {
    let value;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nostack)) }
    value
}

/// INVLPG.
#[inline(always)]
pub(crate) fn invlpg(va: u64) {
    // SAFETY: translations of the user half; no code here relies on a stale one.
    unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) }
}

/// MOV from CR4.
#[inline(always)]
pub(crate) fn cr4() -> u64 {
    let value;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nostack)) }
    value
}

/// MOV to CR4.
#[inline(always)]
pub(crate) fn load_cr4(value: u64) {
    // SAFETY: no code here relies on what a bit of CR4 grants.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) }
}
