//! Control registers, MSRs, CPUID and INVPCID: what values they take and when they fault.
//!
//! SDM vol. 3 §2.5 and §4.10, vol. 2 on MOV to CR, INVPCID, CPUID; LAM chapter §7.1.

use abi::layout::HEAP_PHYS;
use x86::Fault;

use mmu::bits::{
    CR0_PG, CR0_WP, CR3_LAM_U48, CR3_LAM_U57, CR3_NOFLUSH, CR4_LA57, CR4_PAE, CR4_PCIDE,
    PHYSICAL_BITS,
};

use crate::bits::{CR0_DEFINED, CR0_PE, CR4_DEFINED, CR4_FSGSBASE};

/// Either what the architecture does, or a place where the model ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Fault(Fault),
    Unmodelled(String),
}

/// The value of CR3 after MOV to CR3 of `value`. Bit 63 is not stored.
pub(crate) fn new_cr3(value: u64, cr4: u64) -> Result<u64, Refusal> {
    let address_bits = (1u64 << PHYSICAL_BITS) - 1;
    let mut allowed = address_bits | CR3_LAM_U48 | CR3_LAM_U57;
    if cr4 & CR4_PCIDE != 0 {
        allowed |= CR3_NOFLUSH;
    }
    if value & !allowed != 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    Ok(value & !CR3_NOFLUSH)
}

/// The value of CR4 after MOV to CR4 of `value`.
pub(crate) fn new_cr4(value: u64, cr3: u64, cr4: u64) -> Result<u64, Refusal> {
    // LA57 cannot be changed in 64-bit mode (SDM vol. 2 MOV to CR).
    if value & !(CR4_DEFINED | CR4_LA57) != 0
        || (value ^ cr4) & CR4_LA57 != 0
        || value & CR4_PAE == 0
    {
        return Err(Refusal::Fault(Fault::GP));
    }
    // SDM vol. 3 §4.10.1: PCIDs can only be turned on while the current one is 0.
    let enables_pcid = value & !cr4 & CR4_PCIDE != 0;
    if enables_pcid && cr3 & 0xfff != 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    Ok(value)
}

/// The value of CR0 after MOV to CR0 of `value`.
pub(crate) fn new_cr0(value: u64, cr0: u64, cr4: u64) -> Result<u64, Refusal> {
    let nonsense = value & CR0_PG != 0 && value & CR0_PE == 0;
    let paging_off_with_pcid = value & CR0_PG == 0 && cr4 & CR4_PCIDE != 0;
    if value >> 32 != 0 || nonsense || paging_off_with_pcid {
        return Err(Refusal::Fault(Fault::GP));
    }
    if (value ^ cr0) & (CR0_PG | CR0_PE | CR0_WP) != 0 {
        return Err(Refusal::Unmodelled("a change of CR0.PG, CR0.PE or CR0.WP".into()));
    }
    Ok(value & CR0_DEFINED | 1 << 4)
}

pub(crate) fn fsgsbase(cr4: u64) -> bool {
    cr4 & CR4_FSGSBASE != 0
}

/// MSRs that have a model.
pub(crate) mod msr {
    pub(crate) const EFER: u32 = 0xc000_0080;
    pub(crate) const FS_BASE: u32 = 0xc000_0100;
    pub(crate) const GS_BASE: u32 = 0xc000_0101;
    pub(crate) const KERNEL_GS_BASE: u32 = 0xc000_0102;
    pub(crate) const TSC_AUX: u32 = 0xc000_0103;
    /// SCE, LME, LMA, NXE.
    pub(crate) const EFER_VALUE: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11;
}

/// CPUID of the modelled CPU: EAX, EBX, ECX, EDX; `None` for leaves without a model.
pub(crate) fn cpuid(leaf: u32, subleaf: u32, cpu: u8) -> Option<[u32; 4]> {
    let id = u32::from(cpu);
    Some(match (leaf, subleaf) {
        (0, _) => [0xb, 0x706d_614c, 0x3d79_6572, 0x3d3d_3d3d],
        // CX16, PCID, x2APIC, MOVBE, POPCNT; FPU TSC MSR PAE CX8 APIC PGE CMOV FXSR SSE SSE2.
        (1, _) => [
            0,
            id << 24,
            1 << 13 | 1 << 17 | 1 << 21 | 1 << 22 | 1 << 23,
            1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 15 | 7 << 24,
        ],
        // FSGSBASE, BMI1, SMEP, BMI2, INVPCID, ADX, SMAP; LA57.
        (7, 0) => [1, 1 | 1 << 3 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 19 | 1 << 20, 1 << 16, 0],
        // LAM.
        (7, 1) => [1 << 26, 0, 0, 0],
        // x2APIC numbers: one thread in each core, 8 cores in the package.
        (0xb, 0) => [0, 1, 1 << 8, id],
        (0xb, 1) => [3, 8, 1 | 2 << 8, id],
        (0xb, _) => [0, 0, subleaf & 0xff, id],
        (0x8000_0000, _) => [0x8000_0008, 0, 0, 0],
        // LAHF, LZCNT; SYSCALL NX 1-GiB pages RDTSCP LM.
        (0x8000_0001, _) => [0, 0, 1 | 1 << 5, 1 << 11 | 1 << 20 | 1 << 26 | 1 << 27 | 1 << 29],
        (0x8000_0008, _) => [PHYSICAL_BITS | 48 << 8, 0, 0, 0],
        _ => return None,
    })
}

const _: () = assert!(HEAP_PHYS & 0xfff == 0 && HEAP_PHYS < 1 << PHYSICAL_BITS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::CR4_INITIAL;

    #[test]
    fn noflush_is_not_stored_and_needs_pcid() {
        assert_eq!(new_cr3(CR3_NOFLUSH | 0x5001, CR4_PCIDE), Ok(0x5001));
        assert_eq!(new_cr3(CR3_NOFLUSH | 0x5000, 0), Err(Refusal::Fault(Fault::GP)));
    }

    #[test]
    fn cr3_keeps_lam_bits_and_refuses_reserved_ones() {
        let lam = CR3_LAM_U48 | CR3_LAM_U57;
        assert_eq!(new_cr3(lam | 0x5000, 0), Ok(lam | 0x5000));
        for bit in PHYSICAL_BITS..61 {
            assert!(new_cr3(1 << bit, CR4_PCIDE).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn pcid_is_enabled_only_under_pcid_0() {
        let off = CR4_INITIAL & !CR4_PCIDE;
        assert!(new_cr4(CR4_INITIAL, 0x5001, off).is_err());
        assert_eq!(new_cr4(CR4_INITIAL, 0x5000, off), Ok(CR4_INITIAL));
        assert!(new_cr4(CR4_INITIAL | CR4_LA57, 0x5000, off).is_err());
    }
}
