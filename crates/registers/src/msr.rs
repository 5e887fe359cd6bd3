//! Which model-specific registers the modelled processor has (SDM vol. 4 table 2-2; APM vol. 2 appendix A).
//!
//! [`Msr`] is the one table of those that both machines model: number, name, field and rule. Out of it come
//! the list, reading, writing and what of it belongs to a state. Registers of the local APIC are the
//! machines' own.
//!
//! Of the others, a register that every 64-bit processor has, or that goes with a feature that CPUID
//! enumerates, is undecided, and so are registers of single families that kernels are known to use. All others
//! do not exist: an access is #GP(0), as it is to those that go with a feature that CPUID does not enumerate
//! (IA32_TSC_ADJUST, IA32_SPEC_CTRL, …).

use interrupts::x2apic;
use x86::{Fault, Refusal, Regs};

use crate::control::{EFER_ALL, new_efer};

/// IA32_APIC_BASE.
pub const APIC_BASE: u32 = 0x1b;

/// Values of the modelled registers of one CPU that are not in [`Regs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msrs {
    /// IA32_EFER.
    pub efer: u64,
    /// IA32_TSC_AUX.
    pub tsc_aux: u64,
}

impl Msrs {
    /// Makes the registers of CPU number `cpu` at its start; IA32_TSC_AUX is the number, as kernels set it.
    #[must_use]
    pub fn new(cpu: u8) -> Msrs {
        Msrs { efer: EFER_ALL, tsc_aux: cpu.into() }
    }

    /// Returns all values, for the fingerprint of a state.
    #[must_use]
    pub fn words(&self) -> [u64; 2] {
        let Msrs { efer, tsc_aux } = *self;
        [efer, tsc_aux]
    }
}

/// Makes [`Msr`] of lines `variant = number, name, feature, where its value is, rule`. The rule gets the value
/// that is written, the one there is, and whether linear addresses can have 57 bits.
macro_rules! modelled {
    ($($msr:ident = $number:literal, $name:literal, $with:expr, $home:ident.$field:ident, $rule:expr;)*) => {
        /// A register that both machines model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Msr {
            $(#[doc = concat!($name, ".")] $msr,)*
        }

        impl Msr {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Msr] = &[$(Msr::$msr),*];

            /// Returns the number.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Msr::$msr => $number),* }
            }

            /// Returns the name in the manual.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Msr::$msr => $name),* }
            }

            const fn with(self) -> With {
                match self { $(Msr::$msr => $with),* }
            }

            /// Returns the value, as RDMSR reads it.
            #[must_use]
            pub fn value(self, regs: &Regs, msrs: &Msrs) -> u64 {
                match self { $(Msr::$msr => modelled!(@value $home regs msrs).$field),* }
            }

            /// Returns the place of the value.
            pub fn value_mut<'a>(self, regs: &'a mut Regs, msrs: &'a mut Msrs) -> &'a mut u64 {
                match self { $(Msr::$msr => &mut modelled!(@value $home regs msrs).$field),* }
            }

            /// Returns the value after WRMSR of `value` where it was `old`. `la57`: linear addresses can have
            /// 57 bits.
            ///
            /// # Errors
            ///
            /// #GP(0).
            pub fn written(self, value: u64, old: u64, la57: bool) -> Result<u64, Refusal> {
                let rule: fn(u64, u64, bool) -> Result<u64, Refusal> = match self {
                    $(Msr::$msr => $rule),*
                };
                rule(value, old, la57)
            }
        }
    };
    (@value regs $regs:ident $msrs:ident) => { $regs };
    (@value msrs $regs:ident $msrs:ident) => { $msrs };
}

modelled! {
    Efer = 0xc000_0080, "IA32_EFER", Flag("LM"), msrs.efer, |value, old, _| new_efer(value, old);
    FsBase = 0xc000_0100, "IA32_FS_BASE", Flag("LM"), regs.fs_base, base;
    GsBase = 0xc000_0101, "IA32_GS_BASE", Flag("LM"), regs.gs_base, base;
    KernelGsBase = 0xc000_0102, "IA32_KERNEL_GS_BASE", Flag("LM"), regs.kernel_gs_base, base;
    TscAux = 0xc000_0103, "IA32_TSC_AUX", Flag("RDTSCP"), msrs.tsc_aux, low_half;
}

/// A base is canonical (SDM vol. 2 WRMSR).
fn base(value: u64, _: u64, la57: bool) -> Result<u64, Refusal> {
    if mmu::lam::canonical(value, la57) { Ok(value) } else { Err(Refusal::Fault(Fault::GP)) }
}

/// Bits 63:32 are reserved (SDM vol. 4 table 2-2).
fn low_half(value: u64, _: u64, _: bool) -> Result<u64, Refusal> {
    if value >> 32 == 0 { Ok(value) } else { Err(Refusal::Fault(Fault::GP)) }
}

/// Returns the register with this number, for an access by a machine that has no other model of it.
///
/// # Errors
///
/// #GP(0) if there is none; one without a model is refused as such.
pub fn find(number: u32, direction: Direction) -> Result<Msr, Refusal> {
    let found = Msr::ALL.iter().find(|msr| msr.number() == number && msr.with().exists());
    found.copied().ok_or_else(|| refusal(number, direction))
}

/// Which way a register is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// The feature with which a register exists.
#[derive(Clone, Copy)]
enum With {
    /// Every processor.
    All,
    /// A flag of CPUID.
    Flag(&'static str),
    /// Processors of some families; nothing is claimed of them.
    Family,
}

use With::{All, Family, Flag};

/// First and last number, name, and the feature with which they exist.
type Row = (u32, u32, &'static str, With);

/// Registers without a model.
const REGISTERS: &[Row] = &[
    (0x0, 0x1, "IA32_P5_MC_ADDR, IA32_P5_MC_TYPE", Flag("MCA")),
    (0x10, 0x10, "IA32_TIME_STAMP_COUNTER", Flag("TSC")),
    (0x17, 0x17, "IA32_PLATFORM_ID", All),
    (APIC_BASE, APIC_BASE, "IA32_APIC_BASE", Flag("APIC")),
    (0x2a, 0x2a, "EBL_CR_POWERON", Family),
    (0x3a, 0x3a, "IA32_FEATURE_CONTROL", Family),
    (0x3b, 0x3b, "IA32_TSC_ADJUST", Flag("TSC_ADJUST")),
    (0x48, 0x49, "IA32_SPEC_CTRL, IA32_PRED_CMD", Flag("IBRS")),
    (0x79, 0x79, "IA32_BIOS_UPDT_TRIG", All),
    (0x8b, 0x8b, "IA32_BIOS_SIGN_ID", All),
    (0xc1, 0xc8, "IA32_PMCx", Flag("ARCH_PERFMON")),
    (0xcd, 0xce, "MSR_FSB_FREQ, MSR_PLATFORM_INFO", Family),
    (0xe2, 0xe2, "MSR_PKG_CST_CONFIG_CONTROL", Family),
    (0xe7, 0xe8, "IA32_MPERF, IA32_APERF", Flag("APERFMPERF")),
    (0xfe, 0xfe, "IA32_MTRRCAP", Flag("MTRR")),
    (0x10a, 0x10b, "IA32_ARCH_CAPABILITIES, IA32_FLUSH_CMD", Flag("ARCH_CAPABILITIES")),
    (0x140, 0x140, "MISC_FEATURE_ENABLES", Family),
    (0x174, 0x176, "IA32_SYSENTER_CS, _ESP, _EIP", Flag("SEP")),
    (0x179, 0x17b, "IA32_MCG_CAP, _STATUS, _CTL", Flag("MCA")),
    (0x186, 0x18d, "IA32_PERFEVTSELx", Flag("ARCH_PERFMON")),
    (0x198, 0x199, "IA32_PERF_STATUS, IA32_PERF_CTL", Flag("EIST")),
    (0x19a, 0x19c, "IA32_CLOCK_MODULATION, IA32_THERM_INTERRUPT, _STATUS", Flag("ACPI")),
    (0x1a0, 0x1a0, "IA32_MISC_ENABLE", All),
    (0x1a2, 0x1ad, "MSR_TEMPERATURE_TARGET to MSR_TURBO_RATIO_LIMIT", Family),
    (0x1b0, 0x1b2, "IA32_ENERGY_PERF_BIAS, IA32_PACKAGE_THERM_STATUS, _INTERRUPT", Flag("PTS")),
    (0x1c8, 0x1c9, "MSR_LBR_SELECT, MSR_LASTBRANCH_TOS", Family),
    (0x1d9, 0x1d9, "IA32_DEBUGCTL", All),
    (0x1db, 0x1de, "MSR_LASTBRANCH_FROM_IP to MSR_LER_TO_LIP", Family),
    (0x1fc, 0x1fc, "MSR_POWER_CTL", Family),
    (0x200, 0x213, "IA32_MTRR_PHYSBASEn, IA32_MTRR_PHYSMASKn", Flag("MTRR")),
    (0x250, 0x250, "IA32_MTRR_FIX64K_00000", Flag("MTRR")),
    (0x258, 0x259, "IA32_MTRR_FIX16K_80000, _A0000", Flag("MTRR")),
    (0x268, 0x26f, "IA32_MTRR_FIX4K_C0000 to _F8000", Flag("MTRR")),
    (0x277, 0x277, "IA32_PAT", Flag("PAT")),
    (0x280, 0x29f, "IA32_MCi_CTL2", Flag("MCA")),
    (0x2ff, 0x2ff, "IA32_MTRR_DEF_TYPE", Flag("MTRR")),
    (0x309, 0x30c, "IA32_FIXED_CTRx", Flag("ARCH_PERFMON")),
    (0x38d, 0x390, "IA32_FIXED_CTR_CTRL to IA32_PERF_GLOBAL_OVF_CTRL", Flag("ARCH_PERFMON")),
    (0x400, 0x47f, "IA32_MCi_CTL, _STATUS, _ADDR, _MISC", Flag("MCA")),
    (0x480, 0x491, "IA32_VMX_BASIC to IA32_VMX_VMFUNC", Flag("VMX")),
    (0x570, 0x571, "IA32_RTIT_CTL, IA32_RTIT_STATUS", Flag("PT")),
    (0x600, 0x600, "IA32_DS_AREA", Flag("DS")),
    (0x601, 0x69f, "power, residency and last branches", Family),
    (0x6a0, 0x6a8, "IA32_U_CET to IA32_INTERRUPT_SSP_TABLE_ADDR", Flag("CET_SS")),
    (0x6c0, 0x6df, "MSR_LASTBRANCH_x_TO_IP", Family),
    (0x6e0, 0x6e0, "IA32_TSC_DEADLINE", Flag("TSC_DEADLINE")),
    (0x770, 0x777, "IA32_PM_ENABLE to IA32_HWP_STATUS", Flag("HWP")),
    (0xda0, 0xda0, "IA32_XSS", Flag("XSAVES")),
    (0xc000_0081, 0xc000_0084, "IA32_STAR, _LSTAR, _CSTAR, _FMASK", Flag("SYSCALL")),
    (0xc000_0104, 0xc000_0104, "TSC_RATIO", Flag("TSC_RATE_MSR")),
    (0xc000_0408, 0xc000_040f, "MC4_MISC1 to MC4_MISC8", Family),
    (0xc000_2000, 0xc000_2fff, "MCAX", Family),
    (0xc001_0000, 0xc001_1fff, "AMD's", Family),
];

/// Returns the answer to an access to register `number`, of which the machine that asks has no model.
#[must_use]
pub fn refusal(number: u32, direction: Direction) -> Refusal {
    let (instruction, in_x2apic) = match direction {
        Direction::Read => ("rdmsr", x2apic::check_read(number)),
        Direction::Write => ("wrmsr", x2apic::check_write(number)),
    };
    if x2apic::REGISTERS.contains(&number) {
        let what = format!("{instruction} of {number:#x}, a register of the x2APIC");
        return in_x2apic.err().map_or(Refusal::Unmodelled(what), Refusal::Fault);
    }
    match name(number) {
        Some(name) => Refusal::Unmodelled(format!("{instruction} of {number:#x}, {name}")),
        None => Refusal::Fault(Fault::GP),
    }
}

/// The name of a register without a model that exists, or may.
fn name(number: u32) -> Option<&'static str> {
    let row = REGISTERS.iter().find(|&&(first, last, ..)| (first..=last).contains(&number));
    row.filter(|(.., with)| with.exists()).map(|&(.., name, _)| name)
}

impl With {
    fn exists(self) -> bool {
        match self {
            All | Family => true,
            Flag(flag) => x86::cpuid::enumerates(flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(number: u32) -> bool {
        refusal(number, Direction::Read) == Refusal::Fault(Fault::GP)
    }

    #[test]
    fn rows_are_in_order_and_apart() {
        for pair in REGISTERS.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{:#x}", pair[1].0);
        }
    }

    #[test]
    fn what_cpuid_enumerates_exists() {
        for number in [0x10, 0x174, 0x179, 0x277, 0x2ff, 0x400, 0xc000_0082, APIC_BASE] {
            assert!(!faults(number), "{number:#x}");
        }
    }

    #[test]
    fn what_it_does_not_faults() {
        // IA32_TSC_ADJUST, IA32_SPEC_CTRL, IA32_VMX_BASIC, IA32_TSC_DEADLINE, IA32_XSS, numbers of nothing,
        // those that no processor will have.
        for number in [0x3b, 0x48, 0x480, 0x6e0, 0xda0, 0x2, 0x1fff, 0x4000_0000, u32::MAX] {
            assert!(faults(number), "{number:#x}");
        }
    }

    #[test]
    fn registers_of_the_x2apic_fault_as_its_table_says() {
        let faults = |direction: Direction| {
            let is_fault = |number: &u32| refusal(*number, direction) == Refusal::Fault(Fault::GP);
            (0x800..0x900).filter(is_fault).count()
        };
        // 42 can be read, 15 written.
        assert_eq!((faults(Direction::Read), faults(Direction::Write)), (256 - 42, 256 - 15));
    }

    #[test]
    fn each_modelled_register_has_a_number_a_place_and_a_rule_of_its_own() {
        let high = 1 << 47;
        // Register, a value that can be written, one that faults, one for which it takes 57 bits.
        let table = [
            (Msr::Efer, EFER_ALL & !1, 1 << 1, None),
            (Msr::FsBase, 7, 1 << 57, Some(high)),
            (Msr::GsBase, 8, 1 << 57, Some(high)),
            (Msr::KernelGsBase, 9, 1 << 57, Some(high)),
            (Msr::TscAux, 0xffff_ffff, 1 << 32, None),
        ];
        assert!(table.iter().map(|row| row.0).eq(Msr::ALL.iter().copied()));
        let (fs_base, gs_base, kernel_gs_base) = (1, 2, 3);
        let (gpr, rip, rflags, xmm) = ([0; 16], 0, 2, [0; 16]);
        let mut regs = Regs { gpr, rip, rflags, xmm, fs_base, gs_base, kernel_gs_base };
        let mut msrs = Msrs::new(5);
        for (msr, good, bad, wide) in table {
            assert_eq!(find(msr.number(), Direction::Write), Ok(msr));
            let old = msr.value(&regs, &msrs);
            let written = msr.written(good, old, false).expect("a good value");
            *msr.value_mut(&mut regs, &mut msrs) = written;
            for (value, la57) in [(bad, true), (bad, false), (wide.unwrap_or(bad), false)] {
                let refused = msr.written(value, written, la57);
                assert_eq!(refused, Err(Refusal::Fault(Fault::GP)), "{} {value:#x}", msr.name());
            }
            assert_eq!(wide.map(|value| msr.written(value, old, true)), wide.map(Ok));
        }
        let values = Msr::ALL.iter().map(|msr| msr.value(&regs, &msrs));
        assert!(values.eq([EFER_ALL & !1, 7, 8, 9, 0xffff_ffff]));
        assert_eq!(msrs.words(), [EFER_ALL & !1, 0xffff_ffff]);
    }
}
