//! Control registers and IA32_EFER: which values they take, and when a write faults.
//!
//! SDM vol. 3 §2.5 and §4.10, vol. 2 on MOV to CR; LAM chapter §7.1.

use mmu::bits::{
    CR0_PG, CR0_WP, CR3_LAM_U48, CR3_LAM_U57, CR3_NOFLUSH, CR4_LA57, CR4_PAE, CR4_PCIDE,
    PHYSICAL_BITS,
};
use x86::{Fault, Refusal};

use crate::bits::{CR0_CD, CR0_DEFINED, CR0_EM, CR0_NW, CR0_PE, CR0_TS, CR4_FSGSBASE, CR4_OSFXSR};

/// Returns CR3 after MOV to CR3 of `value` (SDM vol. 3 §4.5 and §4.10.4.1). Bit 63 is not stored.
///
/// # Errors
///
/// #GP(0) if a reserved bit is set.
pub fn new_cr3(value: u64, cr4: u64) -> Result<u64, Refusal> {
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

/// Returns CR4 after MOV to CR4 of `value` (SDM vol. 3 §2.5, vol. 2 MOV to CR).
///
/// # Errors
///
/// #GP(0), or a change that is not modelled.
pub fn new_cr4(value: u64, cr3: u64, cr4: u64) -> Result<u64, Refusal> {
    // LA57 cannot be changed in 64-bit mode (SDM vol. 2 MOV to CR).
    if value & !x86::cpuid::CR4 != 0 || (value ^ cr4) & CR4_LA57 != 0 || value & CR4_PAE == 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    // SDM vol. 3 §4.10.1: PCIDs can only be turned on while the current one is 0.
    let enables_pcid = value & !cr4 & CR4_PCIDE != 0;
    if enables_pcid && cr3 & 0xfff != 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    // Without OSFXSR every SSE instruction is #UD. VME, PVI, TSD, DE, PSE, MCE, PCE and OSXMMEXCPT have no
    // effect on what is modelled of CPL 0.
    if (value ^ cr4) & CR4_OSFXSR != 0 {
        return Err(Refusal::Unmodelled("a change of CR4.OSFXSR".into()));
    }
    Ok(value)
}

/// Returns CR0 after MOV to CR0 of `value` (SDM vol. 3 §2.5, vol. 2 MOV to CR).
///
/// # Errors
///
/// #GP(0), or a change that is not modelled.
pub fn new_cr0(value: u64, cr0: u64, cr4: u64) -> Result<u64, Refusal> {
    let nonsense = value & CR0_PG != 0 && value & CR0_PE == 0;
    let paging_off_with_pcid = value & CR0_PG == 0 && cr4 & CR4_PCIDE != 0;
    let write_back_without_caches = value & CR0_NW != 0 && value & CR0_CD == 0;
    if value >> 32 != 0 || nonsense || paging_off_with_pcid || write_back_without_caches {
        return Err(Refusal::Fault(Fault::GP));
    }
    if (value ^ cr0) & (CR0_PG | CR0_PE | CR0_WP) != 0 {
        return Err(Refusal::Unmodelled("a change of CR0.PG, CR0.PE or CR0.WP".into()));
    }
    // SSE instructions depend on TS and EM; with NW = 1 caches are not coherent (SDM vol. 3 table 11-5).
    if (value ^ cr0) & (CR0_CD | CR0_NW | CR0_TS | CR0_EM) != 0 {
        return Err(Refusal::Unmodelled("a change of CR0.CD, CR0.NW, CR0.TS or CR0.EM".into()));
    }
    Ok(value & CR0_DEFINED | 1 << 4)
}

/// Returns IA32_EFER after WRMSR of `value` (SDM vol. 3 §2.2.1, vol. 4 table 2-2). LMA is read-only, and LME
/// cannot change while paging is on.
///
/// # Errors
///
/// #GP(0).
pub fn new_efer(value: u64, efer: u64) -> Result<u64, Refusal> {
    if value & !EFER_ALL != 0 || (value ^ efer) & EFER_LME != 0 {
        return Err(Refusal::Fault(Fault::GP));
    }
    Ok(value & !EFER_LMA | efer & EFER_LMA)
}

/// IA32_EFER: SYSCALL exists.
pub const EFER_SCE: u64 = 1;
/// IA32_EFER: long mode is enabled.
pub const EFER_LME: u64 = 1 << 8;
/// IA32_EFER: long mode is active.
pub const EFER_LMA: u64 = 1 << 10;
/// IA32_EFER: page-table entries can forbid execution.
pub const EFER_NXE: u64 = 1 << 11;
/// IA32_EFER: the bits that exist, and the value at the start.
pub const EFER_ALL: u64 = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

/// Tells whether RDFSBASE and its kin exist.
pub fn fsgsbase(cr4: u64) -> bool {
    cr4 & CR4_FSGSBASE != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{CR0_INITIAL, CR4_INITIAL};

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
    fn what_cpuid_does_not_enumerate_is_reserved_in_cr4() {
        let exist = (0..64).filter(|bit| new_cr4(CR4_INITIAL | 1 << bit, 0, CR4_INITIAL).is_ok());
        let bits: Vec<_> = exist.collect();
        // VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT; FSGSBASE, PCIDE, SMEP, SMAP; LAM.
        assert_eq!(bits, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 20, 21, 28]);
        for bit in [11, 13, 14, 18, 19, 22, 23, 24, 25, 27, 32] {
            let value = CR4_INITIAL | 1 << bit;
            assert_eq!(new_cr4(value, 0, CR4_INITIAL), Err(Refusal::Fault(Fault::GP)), "bit {bit}");
        }
    }

    #[test]
    fn bits_that_sse_depends_on_do_not_change() {
        let without = new_cr4(CR4_INITIAL & !CR4_OSFXSR, 0, CR4_INITIAL);
        assert!(matches!(without, Err(Refusal::Unmodelled(_))));
        for bit in [CR0_TS, CR0_EM, CR0_CD, CR0_CD | CR0_NW] {
            let value = new_cr0(CR0_INITIAL | bit, CR0_INITIAL, CR4_INITIAL);
            assert!(matches!(value, Err(Refusal::Unmodelled(_))), "{bit:#x}");
        }
    }

    #[test]
    fn nw_needs_cd() {
        let value = new_cr0(CR0_INITIAL | CR0_NW, CR0_INITIAL, CR4_INITIAL);
        assert_eq!(value, Err(Refusal::Fault(Fault::GP)));
    }

    #[test]
    fn long_mode_cannot_be_left_by_efer() {
        assert_eq!(new_efer(EFER_ALL & !EFER_NXE, EFER_ALL), Ok(EFER_ALL & !EFER_NXE));
        assert_eq!(new_efer(EFER_LME, EFER_ALL), Ok(EFER_LME | EFER_LMA));
        assert_eq!(new_efer(EFER_NXE, EFER_ALL), Err(Refusal::Fault(Fault::GP)));
        assert_eq!(new_efer(EFER_ALL | 1 << 1, EFER_ALL), Err(Refusal::Fault(Fault::GP)));
    }

    #[test]
    fn pcid_is_enabled_only_under_pcid_0() {
        let off = CR4_INITIAL & !CR4_PCIDE;
        assert!(new_cr4(CR4_INITIAL, 0x5001, off).is_err());
        assert_eq!(new_cr4(CR4_INITIAL, 0x5000, off), Ok(CR4_INITIAL));
        assert!(new_cr4(CR4_INITIAL | CR4_LA57, 0x5000, off).is_err());
    }
}
