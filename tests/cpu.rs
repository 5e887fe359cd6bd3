//! Single instructions.

use core::arch::asm;

/// Executes CLI.
#[inline(always)]
pub(crate) fn cli() {
    // SAFETY: changes only RFLAGS.IF.
    unsafe { asm!("cli", options(nostack)) }
}

/// Executes STI.
#[inline(always)]
pub(crate) fn sti() {
    // SAFETY: changes only RFLAGS.IF.
    unsafe { asm!("sti", options(nostack)) }
}

/// Executes HLT.
#[inline(always)]
pub(crate) fn hlt() {
    // SAFETY: waits for an interrupt.
    unsafe { asm!("hlt", options(nostack)) }
}

/// Executes MOV to CR3.
#[inline(always)]
pub(crate) fn load_cr3(value: u64) {
    // SAFETY: the kernel half does not depend on CR3 in this machine.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack)) }
}

/// Executes MOV from CR3.
#[inline(always)]
pub(crate) fn cr3() -> u64 {
    let value;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nostack)) }
    value
}

/// Executes INVLPG.
#[inline(always)]
pub(crate) fn invlpg(va: u64) {
    // SAFETY: translations of the user half; no code here relies on a stale one.
    unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) }
}

/// Executes MOV from CR4.
#[inline(always)]
pub(crate) fn cr4() -> u64 {
    let value;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nostack)) }
    value
}

/// Executes MOV to CR4.
#[inline(always)]
pub(crate) fn load_cr4(value: u64) {
    // SAFETY: no code here relies on a feature of CR4.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) }
}

/// Executes WRMSR.
#[inline(always)]
pub(crate) fn wrmsr(number: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the machine's MSRs have no effect on memory but through interrupts.
    unsafe { asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high, options(nostack)) }
}

/// Sends a fixed interrupt to a CPU through the x2APIC, without a fence.
#[inline(always)]
pub(crate) fn x2apic_send(cpu: u64, vector: u8) {
    wrmsr(0x830, cpu << 32 | u64::from(vector));
}

/// Sends an NMI to a CPU through the x2APIC, without a fence.
#[inline(always)]
pub(crate) fn x2apic_send_nmi(cpu: u64) {
    wrmsr(0x830, cpu << 32 | 4 << 8);
}

/// Sends a fixed interrupt to all other CPUs through the x2APIC, without a fence.
#[inline(always)]
pub(crate) fn x2apic_send_to_others(vector: u8) {
    wrmsr(0x830, 3 << 18 | u64::from(vector));
}

/// Sends a fixed interrupt to this CPU through the x2APIC.
#[inline(always)]
pub(crate) fn x2apic_send_to_self(vector: u8) {
    wrmsr(0x83f, u64::from(vector));
}

/// Ends an interrupt at the x2APIC.
#[inline(always)]
pub(crate) fn x2apic_eoi() {
    wrmsr(0x80b, 0);
}
