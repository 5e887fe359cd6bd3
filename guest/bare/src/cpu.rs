//! Single instructions.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;

pub(crate) const CR0_WP: u64 = 1 << 16;
pub(crate) const CR4_PGE: u64 = 1 << 7;
pub(crate) const CR4_PCIDE: u64 = 1 << 17;
pub(crate) const CR4_SMEP: u64 = 1 << 20;
pub(crate) const CR4_SMAP: u64 = 1 << 21;
pub(crate) const CR4_LAM_SUP: u64 = 1 << 28;
pub(crate) const CR3_LAM_U57: u64 = 1 << 61;
pub(crate) const CR3_LAM_U48: u64 = 1 << 62;
pub(crate) const CR3_NOFLUSH: u64 = 1 << 63;

/// A feature in CPUID.
#[derive(Clone, Copy)]
pub(crate) enum Feature {
    X2apic,
    Pcid,
    Invpcid,
    Smep,
    Smap,
    Lam,
}

/// Returns whether CPUID enumerates the feature.
pub(crate) fn has(feature: Feature) -> bool {
    let highest = __cpuid_count(0, 0).eax;
    let seven = highest >= 7;
    match feature {
        Feature::X2apic => __cpuid_count(1, 0).ecx >> 21 & 1 == 1,
        Feature::Pcid => __cpuid_count(1, 0).ecx >> 17 & 1 == 1,
        Feature::Invpcid => seven && __cpuid_count(7, 0).ebx >> 10 & 1 == 1,
        Feature::Smep => seven && __cpuid_count(7, 0).ebx >> 7 & 1 == 1,
        Feature::Smap => seven && __cpuid_count(7, 0).ebx >> 20 & 1 == 1,
        Feature::Lam => {
            seven && __cpuid_count(7, 0).eax >= 1 && __cpuid_count(7, 1).eax >> 26 & 1 == 1
        }
    }
}

/// Returns the width of a physical address in bits.
pub(crate) fn physical_bits() -> u32 {
    __cpuid_count(0x8000_0008, 0).eax & 0xff
}

macro_rules! control_register {
    ($read:ident, $write:ident, $name:literal) => {
        pub(crate) fn $read() -> u64 {
            let value;
            // SAFETY: reads a register.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) value, options(nomem, nostack)) };
            value
        }

        /// Writes the register. The mappings of the program itself must be the same before and
        /// after.
        pub(crate) fn $write(value: u64) {
            // SAFETY: callers change flags of this register that compiled code does not depend on.
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nostack)) };
        }
    };
}

control_register!(cr0, write_cr0, "cr0");
control_register!(cr2, write_cr2, "cr2");
control_register!(cr3, write_cr3, "cr3");
control_register!(cr4, write_cr4, "cr4");

/// Sets the priority up to which interrupts wait.
pub(crate) fn write_cr8(class: u64) {
    // SAFETY: delays handlers only.
    unsafe { asm!("mov cr8, {}", in(reg) class, options(nostack)) };
}

pub(crate) fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: callers name MSRs that exist.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

pub(crate) fn wrmsr(msr: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: callers write APIC registers.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") low, in("edx") high, options(nostack)) };
}

pub(crate) fn port_in(port: u16) -> u8 {
    let value;
    // SAFETY: reading these devices does not affect memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) };
    value
}

pub(crate) fn port_out(port: u16, value: u8) {
    // SAFETY: as for `port_in`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack)) };
}

pub(crate) fn invlpg(va: u64) {
    // SAFETY: only drops translations.
    unsafe { asm!("invlpg [{}]", in(reg) va, options(nostack)) };
}

/// Executes INVPCID. The operand must be legal.
pub(crate) fn invpcid(kind: u64, descriptor: &[u64; 2]) {
    // SAFETY: only drops translations.
    unsafe { asm!("invpcid {}, [{}]", in(reg) kind, in(reg) descriptor, options(nostack)) };
}

/// Sets RFLAGS.AC: supervisor code may access user pages despite SMAP.
pub(crate) fn stac() {
    // SAFETY: CR0.AM is clear, so AC has only this effect.
    unsafe { asm!("stac", options(nomem, nostack)) };
}

pub(crate) fn clac() {
    // SAFETY: as for `stac`.
    unsafe { asm!("clac", options(nomem, nostack)) };
}

pub(crate) fn interrupts_on() {
    // SAFETY: handlers are installed, on stacks of their own.
    unsafe { asm!("sti", options(nostack)) };
}

pub(crate) fn interrupts_off() {
    // SAFETY: delays handlers only.
    unsafe { asm!("cli", options(nostack)) };
}

/// Sleeps until an interrupt; none is lost between STI and HLT.
pub(crate) fn sleep() {
    // SAFETY: as for `interrupts_on`.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

pub(crate) fn halt_with_interrupts_off() {
    // SAFETY: stops this CPU.
    unsafe { asm!("cli", "hlt", options(nostack)) };
}

pub(crate) fn software_interrupt_83() {
    // SAFETY: the handler returns at once.
    unsafe { asm!("int 0x83") };
}
