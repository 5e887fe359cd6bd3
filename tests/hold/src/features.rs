//! Kernel code that tests CPUID first, uses the enumerated features, and does without the others.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

use crate::cpu::{cr4, load_cr4};

/// Sets a bit of CR4 if CPUID enumerates its feature, as kernels do; returns the bits that were set.
fn enable(enumerated: bool, bit: u32) -> u64 {
    if !enumerated {
        return 0;
    }
    load_cr4(cr4() | 1 << bit);
    cr4() & 1 << bit
}

/// The features of every 64-bit processor are enumerated, and their bits of CR4 can be set.
#[lamprey::scenario]
fn every_processor_has() {
    lamprey::cpu(0, || {
        let edx = __cpuid(1).edx;
        // FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, CLFSH, MMX, FXSR,
        // SSE, SSE2.
        lamprey::require_eq!(
            edx & 0x0789_fbff,
            0x0789_fbff,
            "leaf-1",
            "a feature is missing",
            "EDX"
        );
        for (flag, bit) in
            [(1, 0), (1, 1), (4, 2), (2, 3), (3, 4), (7, 6), (13, 7), (24, 9), (25, 10)]
        {
            let set = enable(edx >> flag & 1 != 0, bit);
            lamprey::require_eq!(set, 1 << bit, "cr4", "it is not set", "CR4");
        }
        lamprey::mark!("all are set");
    });
}

/// Features that are tested first and absent are not used, and nothing faults.
#[lamprey::scenario]
fn tested_first() {
    lamprey::cpu(0, || {
        let (one, seven) = (__cpuid(1), __cpuid_count(7, 0));
        let mut set = 0;
        for (enumerated, bit) in [
            (seven.ecx >> 2 & 1 != 0, 11),  // UMIP
            (one.ecx >> 5 & 1 != 0, 13),    // VMX
            (one.ecx >> 26 & 1 != 0, 18),   // XSAVE
            (seven.ecx >> 3 & 1 != 0, 22),  // PKU
            (seven.ecx >> 7 & 1 != 0, 23),  // shadow stacks
            (seven.ebx >> 20 & 1 != 0, 21), // SMAP
            (seven.ebx >> 7 & 1 != 0, 20),  // SMEP
        ] {
            set |= enable(enumerated, bit);
        }
        lamprey::require_eq!(set, 0x30_0000, "cr4", "SMEP and SMAP alone", "CR4");
        if one.ecx >> 30 & 1 != 0 {
            // SAFETY: no memory.
            unsafe { asm!("rdrand {}", out(reg) _) }
        }
        if seven.ebx >> 1 & 1 != 0 {
            // SAFETY: IA32_TSC_ADJUST.
            unsafe { asm!("rdmsr", in("ecx") 0x3b, out("eax") _, out("edx") _) }
        }
        // INVLPGB.
        lamprey::require!(__cpuid(0x8000_0008).ebx >> 3 & 1 == 0, "invlpgb", "it is enumerated");
        lamprey::mark!("went on without");
    });
}

/// The features of x86-64-v2 that are modelled.
#[lamprey::scenario]
fn second_level() {
    lamprey::cpu(0, || {
        let ecx = __cpuid(1).ecx;
        if ecx >> 20 & 1 != 0 && ecx >> 19 & 1 != 0 && ecx & 1 != 0 {
            let (mut sum, part): (u64, u64);
            // SAFETY: reads the stack.
            unsafe {
                asm!("xor {0:e}, {0:e}", "crc32 {0}, {1}", out(reg) sum, in(reg) 7u64);
                asm!(
                    "push 5", "push 6", "lddqu {x}, [rsp]", "pextrq {0}, {x}, 1", "add rsp, 16",
                    out(reg) part, x = out(xmm_reg) _,
                );
            }
            sum &= 0xffff_ffff;
            lamprey::require!(sum != 0 && part == 5, "values", "{sum:#x}, {part}");
            lamprey::mark!("used");
        }
    });
}

/// The size of a cache line is enumerated, and a line can be flushed.
#[lamprey::scenario]
fn cache_line() {
    lamprey::cpu(0, || {
        let (one, seven) = (__cpuid(1), __cpuid_count(7, 0));
        let line = (one.ebx >> 8 & 0xff) * 8;
        lamprey::require_eq!(line, 64, "line", "no size", "bytes");
        let word = 7u64;
        // SAFETY: to a word of the stack they do nothing.
        unsafe {
            asm!("clflush [{}]", in(reg) &raw const word);
            if seven.ebx >> 23 & 1 != 0 && seven.ebx >> 24 & 1 != 0 {
                asm!("clflushopt [{0}]", "clwb [{0}]", "sfence", in(reg) &raw const word);
                lamprey::mark!("flushed");
            }
        }
    });
}

/// A leaf above the highest gives the highest basic one; one that is not supported gives zeroes.
#[lamprey::scenario]
fn leaves() {
    lamprey::cpu(0, || {
        let highest = __cpuid(0).eax;
        let (last, beyond) = (__cpuid_count(highest, 1), __cpuid_count(0x4000_0000, 1));
        lamprey::require!(last == beyond, "beyond", "not the highest leaf");
        let monitor = __cpuid(5);
        lamprey::require_eq!(monitor.eax | monitor.edx, 0, "zero", "MONITOR", "leaf 5");
        lamprey::mark!("asked");
    });
}

/// IA32_EFER keeps the bits it has.
#[lamprey::scenario]
fn efer_unchanged() {
    lamprey::cpu(0, || {
        // SAFETY: nothing changes.
        unsafe {
            asm!("rdmsr", "bts eax, 0", "wrmsr", inout("ecx") 0xc000_0080u32 => _, out("eax") _, out("edx") _);
        }
        lamprey::mark!("written");
    });
}

/// Hints of newer processors do nothing.
#[lamprey::scenario]
fn hints() {
    lamprey::cpu(0, || {
        let before = 7u64;
        let after: u64;
        // SAFETY: NOPs: endbr64, rdsspq %rax, cldemote (%rsp).
        unsafe {
            asm!("endbr64", ".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8", ".byte 0x0f, 0x1c, 0x04, 0x24",
                inout("rax") before => after);
        }
        lamprey::require_eq!(after, 7, "rax", "it has changed", "RAX");
        lamprey::mark!("nothing");
    });
}
