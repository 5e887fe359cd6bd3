//! The supported forms that are not compared here, with the reasons.

use iced_x86::{Code, CpuidFeature, Mnemonic};

const PRIVILEGED: &str = "faults at CPL 3";
const OF_THE_SYSTEM: &str = "depends on the operating system's descriptors and settings";
const VARIES: &str = "its result differs from one execution to the next";

/// Forms that are not run, by mnemonic, with the reason.
pub const EXCLUDED: &[(Mnemonic, &str)] = &[
    (Mnemonic::Cli, PRIVILEGED),
    (Mnemonic::Sti, PRIVILEGED),
    (Mnemonic::Hlt, PRIVILEGED),
    (Mnemonic::Rdmsr, PRIVILEGED),
    (Mnemonic::Wrmsr, PRIVILEGED),
    (Mnemonic::Swapgs, PRIVILEGED),
    (Mnemonic::Invlpg, PRIVILEGED),
    (Mnemonic::Invpcid, PRIVILEGED),
    (Mnemonic::Lgdt, PRIVILEGED),
    (Mnemonic::Lidt, PRIVILEGED),
    (Mnemonic::Ltr, PRIVILEGED),
    (Mnemonic::In, PRIVILEGED),
    (Mnemonic::Out, PRIVILEGED),
    (Mnemonic::Stac, PRIVILEGED),
    (Mnemonic::Clac, PRIVILEGED),
    (Mnemonic::Sgdt, OF_THE_SYSTEM),
    (Mnemonic::Sidt, OF_THE_SYSTEM),
    (Mnemonic::Int, "enters the operating system"),
    (Mnemonic::Iretq, OF_THE_SYSTEM),
    (Mnemonic::Retf, OF_THE_SYSTEM),
    (Mnemonic::Cpuid, "its result is the machine's to choose"),
    (Mnemonic::Rdtsc, VARIES),
    (Mnemonic::Rdtscp, VARIES),
];

/// Returns the reason why a form is not run, if it is not.
pub(crate) fn exclusion(code: Code) -> Option<&'static str> {
    if matches!(code, Code::Mov_r64_cr | Code::Mov_cr_r64) {
        return Some(PRIVILEGED);
    }
    if is_segment_move(code) {
        return Some(OF_THE_SYSTEM);
    }
    let mnemonic = code.mnemonic();
    EXCLUDED.iter().find(|(excluded, _)| *excluded == mnemonic).map(|&(_, reason)| reason)
}

fn is_segment_move(code: Code) -> bool {
    use Code as C;
    let from = matches!(code, C::Mov_rm16_Sreg | C::Mov_r32m16_Sreg | C::Mov_r64m16_Sreg);
    from || matches!(code, C::Mov_Sreg_rm16 | C::Mov_Sreg_r32m16 | C::Mov_Sreg_r64m16)
}

/// Returns a feature that the form needs and this processor lacks. A feature not named here counts
/// as lacking, so that a form is never run, nor passed over, by accident.
pub(crate) fn missing_feature(code: Code, fsgsbase: bool) -> Option<String> {
    let lacking = code.cpuid_features().iter().find(|&&feature| !present(feature, fsgsbase))?;
    Some(format!("{lacking:?}"))
}

/// Returns CPUID.(7,0):EBX.
fn seven() -> u32 {
    std::arch::x86_64::__cpuid_count(7, 0).ebx
}

fn present(feature: CpuidFeature, fsgsbase: bool) -> bool {
    use CpuidFeature as F;
    match feature {
        F::INTEL8086 | F::INTEL186 | F::INTEL286 | F::INTEL386 | F::INTEL486 | F::X64 => true,
        F::CMOV | F::CX8 | F::SSE | F::SSE2 | F::MULTIBYTENOP | F::PAUSE | F::CLFSH => true,
        F::SSE3 => is_x86_feature_detected!("sse3"),
        F::SSE4_1 => is_x86_feature_detected!("sse4.1"),
        F::SSE4_2 => is_x86_feature_detected!("sse4.2"),
        F::POPCNT => is_x86_feature_detected!("popcnt"),
        F::LZCNT => is_x86_feature_detected!("lzcnt"),
        F::BMI1 => is_x86_feature_detected!("bmi1"),
        F::BMI2 => is_x86_feature_detected!("bmi2"),
        F::ADX => is_x86_feature_detected!("adx"),
        F::MOVBE => is_x86_feature_detected!("movbe"),
        F::CMPXCHG16B => is_x86_feature_detected!("cmpxchg16b"),
        F::FSGSBASE => fsgsbase,
        // Hints in the space of NOPs: they have no effect on a processor that lacks them.
        F::PREFETCHW | F::PREFETCHWT1 | F::PREFETCHITI | F::CET_IBT | F::CLDEMOTE => true,
        // RDSSP is one, too, while user shadow stacks are off, as they are here.
        F::CET_SS => true,
        F::CLFLUSHOPT => seven() >> 23 & 1 != 0,
        F::CLWB => seven() >> 24 & 1 != 0,
        _ => false,
    }
}
