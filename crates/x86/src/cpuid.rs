//! The modelled processor: the feature flags of its CPUID, and the instructions and CR4 bits of
//! each.
//!
//! One table lists the features that CPUID enumerates, with the instructions and the bits of CR4
//! that exist with each. A feature outside the table does not exist: such an instruction is #UD,
//! such a bit of CR4 reserved. So a kernel that uses a feature without a test of its flag is
//! noticed, and one that tests first is not.
//!
//! The processor has the features of every 64-bit one, the level x86-64-v2, and features that
//! kernels test and that both machines model. An enumerated feature need not be modelled as a
//! whole: x87, MMX and floating-point arithmetic exist on every such processor, so that an
//! instruction of theirs is undecided, not #UD.

use iced_x86::{Code, CpuidFeature};

/// A feature flag (SDM vol. 2 CPUID; APM vol. 3 for leaf 80000001H).
struct Flag {
    name: &'static str,
    leaf: u32,
    subleaf: u32,
    register: usize,
    bit: u32,
    /// The instructions that exist with it, in iced's feature sets.
    instructions: &'static [CpuidFeature],
    /// The bits of CR4 that exist with it (SDM vol. 3 §2.5).
    cr4: u64,
}

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

macro_rules! flags {
    ($($leaf:literal : $subleaf:literal $register:ident {
        $($bit:literal $name:literal $([$($set:ident)+])? $(CR4 $cr4:expr)?;)+
    })+) => {
        &[$($(Flag {
            name: $name,
            leaf: $leaf,
            subleaf: $subleaf,
            register: $register,
            bit: $bit,
            instructions: &[$($(CpuidFeature::$set),+)?],
            cr4: 0 $(| $cr4)?,
        }),+),+]
    };
}

const FLAGS: &[Flag] = flags! {
    1:0 EDX {
        0 "FPU" [FPU FPU287 FPU387];
        1 "VME" CR4 0b11;
        2 "DE" CR4 1 << 3;
        3 "PSE" CR4 1 << 4;
        4 "TSC" [TSC] CR4 1 << 2;
        5 "MSR" [MSR];
        6 "PAE" CR4 1 << 5;
        7 "MCE" CR4 1 << 6;
        8 "CX8" [CX8];
        9 "APIC";
        11 "SEP" [SEP];
        12 "MTRR";
        13 "PGE" CR4 1 << 7;
        14 "MCA";
        15 "CMOV" [CMOV];
        16 "PAT";
        17 "PSE36";
        19 "CLFSH" [CLFSH];
        23 "MMX" [MMX];
        24 "FXSR" [FXSR] CR4 1 << 9;
        25 "SSE" [SSE] CR4 1 << 10;
        26 "SSE2" [SSE2];
        28 "HTT";
    }
    1:0 ECX {
        0 "SSE3" [SSE3];
        9 "SSSE3" [SSSE3];
        13 "CMPXCHG16B" [CMPXCHG16B];
        17 "PCID" CR4 1 << 17;
        19 "SSE4.1" [SSE4_1];
        20 "SSE4.2" [SSE4_2];
        21 "x2APIC";
        22 "MOVBE" [MOVBE];
        23 "POPCNT" [POPCNT];
    }
    7:0 EBX {
        0 "FSGSBASE" [FSGSBASE] CR4 1 << 16;
        3 "BMI1" [BMI1];
        7 "SMEP" CR4 1 << 20;
        8 "BMI2" [BMI2];
        10 "INVPCID" [INVPCID];
        19 "ADX" [ADX];
        20 "SMAP" [SMAP] CR4 1 << 21;
        23 "CLFLUSHOPT" [CLFLUSHOPT];
        24 "CLWB" [CLWB];
    }
    7:0 ECX {
        16 "LA57" CR4 1 << 12;
    }
    7:1 EAX {
        26 "LAM" CR4 1 << 28;
    }
    0x8000_0001:0 ECX {
        0 "LAHF64";
        5 "LZCNT" [LZCNT];
        8 "PREFETCHW" [PREFETCHW];
    }
    0x8000_0001:0 EDX {
        11 "SYSCALL" [SYSCALL];
        20 "NX";
        26 "Page1GB";
        27 "RDTSCP" [RDTSCP];
        29 "LM" [X64];
    }
};

/// Instructions of every 64-bit processor, for which there is no flag.
const BASE: &[CpuidFeature] = &[
    CpuidFeature::INTEL8086,
    CpuidFeature::INTEL186,
    CpuidFeature::INTEL286,
    CpuidFeature::INTEL386,
    CpuidFeature::INTEL486,
    CpuidFeature::CPUID,
    CpuidFeature::MULTIBYTENOP,
    CpuidFeature::PAUSE,
    CpuidFeature::RDPMC,
    CpuidFeature::SMM,
];

/// Hints: a processor that does not implement them executes them as NOP, and WBNOINVD as WBINVD.
const HINTS: &[CpuidFeature] = &[
    CpuidFeature::CET_IBT,
    CpuidFeature::CLDEMOTE,
    CpuidFeature::PREFETCHITI,
    CpuidFeature::PREFETCHWT1,
    CpuidFeature::WBNOINVD,
];

/// CR4.PCE, a bit of every 64-bit processor that no flag enumerates.
const PCE: u64 = 1 << 8;

/// The bits of CR4 that exist.
pub const CR4: u64 = {
    let (mut bits, mut i) = (PCE, 0);
    while i < FLAGS.len() {
        bits |= FLAGS[i].cr4;
        i += 1;
    }
    bits
};

/// Returns the flags in a leaf of CPUID, as EAX, EBX, ECX, EDX; its other fields are 0.
///
/// A leaf without sub-leaves gives its flags for each value of `subleaf`.
pub fn flags(leaf: u32, subleaf: u32) -> [u32; 4] {
    let mut registers = [0; 4];
    for flag in FLAGS.iter().filter(|flag| flag.leaf == leaf) {
        if leaf != 7 || flag.subleaf == subleaf {
            registers[flag.register] |= 1 << flag.bit;
        }
    }
    registers
}

/// Returns whether CPUID enumerates a feature, by the manual's name.
pub fn enumerates(name: &str) -> bool {
    FLAGS.iter().any(|flag| flag.name == name)
}

/// Returns the feature set of `code` if the processor lacks it.
pub(crate) fn lacking(code: Code) -> Option<CpuidFeature> {
    // Without shadow stacks this encoding is a NOP (SDM vol. 2 RDSSPD).
    if matches!(code, Code::Rdsspd_r32 | Code::Rdsspq_r64) {
        return None;
    }
    code.cpuid_features().iter().copied().find(|&set| !has(set))
}

fn has(set: CpuidFeature) -> bool {
    let enumerated = FLAGS.iter().any(|flag| flag.instructions.contains(&set));
    enumerated || BASE.contains(&set) || HINTS.contains(&set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_feature_sets_are_unique() {
        let places: Vec<_> = FLAGS.iter().map(|f| (f.leaf, f.subleaf, f.register, f.bit)).collect();
        let sets: Vec<_> =
            FLAGS.iter().flat_map(|f| f.instructions).chain(BASE).chain(HINTS).collect();
        for (i, place) in places.iter().enumerate() {
            assert!(!places[..i].contains(place), "{place:x?}");
        }
        for (i, set) in sets.iter().enumerate() {
            assert!(!sets[..i].contains(set), "{set:?}");
        }
        let cr4: u32 = FLAGS.iter().map(|flag| flag.cr4.count_ones()).sum();
        assert_eq!(cr4 + 1, CR4.count_ones(), "each bit of CR4 by one flag, and PCE");
    }

    #[test]
    fn leaves() {
        assert_eq!(flags(1, 0), flags(1, 5), "leaf 1 has no sub-leaves");
        assert_eq!(flags(7, 2), [0; 4]);
        assert_eq!(flags(7, 1), [1 << 26, 0, 0, 0]);
    }
}
