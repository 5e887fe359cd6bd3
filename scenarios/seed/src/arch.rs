//! CR3 and the interrupt flag.

use core::arch::asm;

/// CR3 bit 61: bits 62:57 of user pointers are ignored.
pub(crate) const LAM_U57: u64 = 1 << 61;
/// CR3 bits 61 and 62: the LAM modes.
pub(crate) const LAM: u64 = 3 << 61;
/// CR3 bit 63, on writing: keep the TLB entries of this PCID.
pub(crate) const NOFLUSH: u64 = 1 << 63;

/// Executes MOV from CR3. Bit 63 reads 0.
#[inline]
pub(crate) fn read_cr3() -> u64 {
    let cr3;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) cr3, options(nostack, preserves_flags)) };
    cr3
}

/// Executes MOV to CR3.
#[inline]
pub(crate) fn write_cr3(cr3: u64) {
    // SAFETY: every root has the same kernel half. A memory clobber: translations change here.
    unsafe { asm!("mov cr3, {}", in(reg) cr3, options(nostack, preserves_flags)) };
}

/// Executes CLI.
#[inline]
pub(crate) fn irqs_off() {
    // SAFETY: changes only the interrupt flag. A memory clobber: a section begins here.
    unsafe { asm!("cli", options(nostack, preserves_flags)) };
}

/// Executes STI.
#[inline]
pub(crate) fn irqs_on() {
    // SAFETY: changes only the interrupt flag. A memory clobber: a section ends here.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}
