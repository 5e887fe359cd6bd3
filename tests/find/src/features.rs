//! Kernel code that lacks a test of CPUID, or uses a feature that no processor has: it faults.

use core::arch::asm;

macro_rules! faults {
    ($($(#[$doc:meta])* fn $name:ident = $($text:literal),+;)*) => {$(
        $(#[$doc])*
        // switches: 0
        #[lamprey::scenario(finds = "fault")]
        fn $name() {
            lamprey::cpu(0, || {
                // SAFETY: the run ends at it.
                unsafe { asm!($($text),+, options(noreturn)) }
            });
        }
    )*};
}

faults! {
    /// AVX needs a test of CPUID, and CR4.OSXSAVE.
    // found: vaddps
    fn avx = "vaddps ymm0, ymm1, ymm2", "hlt";
    /// RDRAND needs a test of CPUID.
    // found: rdrand
    fn random = "rdrand rax", "hlt";
    /// XGETBV needs CR4.OSXSAVE.
    // found: xgetbv
    fn xgetbv = "xor ecx, ecx", "xgetbv", "hlt";
    /// MONITOR needs a test of CPUID.
    // found: monitor
    fn monitor = "lea rax, [rsp - 64]", "xor ecx, ecx", "xor edx, edx", "monitor", "hlt";
    /// AMD's broadcast of invalidations needs a test of CPUID.
    // found: invlpgb
    fn invlpgb = ".byte 0x0f, 0x01, 0xfe", "hlt";
    /// VMCALL needs a test of CPUID.
    // found: vmcall
    fn vmcall = "vmcall", "hlt";
    /// A register has no address.
    // found: (bad)
    fn lea_of_a_register = ".byte 0x48, 0x8d, 0xc0", "hlt";
    /// MOVBE is not for two registers.
    // found: (bad)
    fn movbe_of_registers = ".byte 0x0f, 0x38, 0xf0, 0xc0", "hlt";
    /// PUSH ES does not exist in 64-bit mode.
    // found: (bad)
    fn push_es = ".byte 0x06", "hlt";
    /// LOCK needs a destination in memory.
    // found: (bad)
    fn lock_of_a_load = ".byte 0xf0, 0x48, 0x8b, 0x04, 0x24", "hlt";
    /// LOCK before an instruction that has no model.
    // found: (bad)
    fn lock_of_float = ".byte 0xf0, 0xd9, 0xe8", "hlt";
    /// 16 bytes: #GP.
    // found: (bad)
    fn too_long = ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66",
        "add rax, rax", "hlt";
    /// CR1 does not exist.
    fn cr1 = ".byte 0x0f, 0x22, 0xc8", "hlt";
    /// CR9 does not exist.
    fn cr9 = ".byte 0x44, 0x0f, 0x20, 0xc8", "hlt";
    /// DR8 does not exist.
    fn dr8 = ".byte 0x44, 0x0f, 0x23, 0xc0", "hlt";
    /// CR0.NW without CR0.CD is #GP.
    // found: mov
    fn not_write_through = "mov rax, cr0", "bts rax, 29", "mov cr0, rax", "hlt";
    /// CR4.UMIP needs a test of CPUID.
    // found: mov
    fn cr4_umip = "mov rax, cr4", "bts rax, 11", "mov cr4, rax", "hlt";
    /// CR4.OSXSAVE needs a test of CPUID.
    // found: mov
    fn cr4_osxsave = "mov rax, cr4", "bts rax, 18", "mov cr4, rax", "hlt";
    /// CR4.PKE needs a test of CPUID.
    // found: mov
    fn cr4_pke = "mov rax, cr4", "bts rax, 22", "mov cr4, rax", "hlt";
    /// IA32_SPEC_CTRL needs a test of CPUID.
    // found: wrmsr
    fn spec_ctrl = "mov ecx, 0x48", "xor eax, eax", "xor edx, edx", "wrmsr", "hlt";
    /// IA32_TSC_DEADLINE needs a test of CPUID.
    // found: wrmsr
    fn tsc_deadline = "mov ecx, 0x6e0", "xor eax, eax", "xor edx, edx", "wrmsr", "hlt";
    /// An MSR of no processor.
    // found: rdmsr
    fn no_msr = "mov ecx, 0x40000000", "rdmsr", "hlt";
    /// The EOI register of the x2APIC cannot be read.
    // found: rdmsr
    fn eoi_is_read = "mov ecx, 0x80b", "rdmsr", "hlt";
    /// A reserved register of the x2APIC.
    // found: wrmsr
    fn x2apic_reserved = "mov ecx, 0x831", "xor eax, eax", "xor edx, edx", "wrmsr", "hlt";
    /// A reserved bit of IA32_EFER.
    // found: wrmsr
    fn efer_reserved = "mov ecx, 0xc0000080", "rdmsr", "bts eax, 1", "wrmsr", "hlt";
    /// Long mode cannot be turned off while paging is on.
    // found: wrmsr
    fn efer_without_lme = "mov ecx, 0xc0000080", "rdmsr", "btr eax, 8", "wrmsr", "hlt";
}

/// CLFLUSH is a load: its address must be mapped.
// switches: 0
// found: clflush
#[lamprey::scenario(finds = "fault")]
fn flush_of_nothing() {
    // SAFETY: it is meant to fault.
    lamprey::cpu(0, || unsafe { asm!("clflush [{}]", in(reg) 0x18u64, options(nostack)) });
}
