//! Single instructions.

use core::arch::asm;

/// CR3 bit 63 as an operand: keep the entries cached under the new PCID.
pub(crate) const NOFLUSH: u64 = 1 << 63;
/// CR3 bit 61: bits 62:57 of user pointers are ignored.
pub(crate) const LAM_U57: u64 = 1 << 61;

/// Executes MOV to CR3.
#[inline(always)]
pub(crate) fn load_cr3(value: u64) {
    // SAFETY: the kernel half does not depend on CR3 in this machine.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack)) }
}

/// Executes INVLPG.
#[inline(always)]
pub(crate) fn invlpg(va: u64) {
    // SAFETY: translations of the user half; no code here relies on a stale one.
    unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) }
}

/// Executes MFENCE.
#[inline(always)]
pub(crate) fn mfence() {
    // SAFETY: orders accesses.
    unsafe { asm!("mfence", options(nostack)) }
}

/// Executes LFENCE.
#[inline(always)]
pub(crate) fn lfence() {
    // SAFETY: orders instructions.
    unsafe { asm!("lfence", options(nostack)) }
}

/// Sends `vector` to `cpu` by WRMSR to the x2APIC's interrupt command register. No fence.
#[inline(always)]
pub(crate) fn send_x2apic(cpu: u32, vector: u8) {
    // SAFETY: a fixed interrupt, for which there is a handler.
    unsafe {
        asm!("wrmsr", in("ecx") 0x830, in("eax") u32::from(vector), in("edx") cpu, options(nostack));
    }
}
