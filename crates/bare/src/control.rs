//! Control registers and CPUID of a CPU that boots its own kernel: what `registers` says, and
//! what only matters here.

use mmu::bits::{CR0_WP, CR4_PCIDE};
use registers::bits::{CR0_DEFINED, CR0_PE};
use registers::control;
use x86::Refusal;

const CR0_MP: u64 = 1 << 1;
const CR0_NE: u64 = 1 << 5;
const CR4_PVI: u64 = 1 << 1;
const CR4_TSD: u64 = 1 << 2;

/// CPUID.(7,0):ECX, 5-level paging.
const LA57: u32 = 1 << 16;

fn unmodelled<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Unmodelled(what.into()))
}

/// The value of CR0 after MOV to CR0 of `value`. Paging stays on; TS, EM and AM stay off.
pub(crate) fn new_cr0(value: u64, cr0: u64, cr4: u64) -> Result<u64, Refusal> {
    // The other rules do not depend on WP, so it may look unchanged to them.
    let checked = control::new_cr0(value & !CR0_WP | cr0 & CR0_WP, cr0, cr4)?;
    let new = checked & !CR0_WP | value & CR0_WP;
    let free = CR0_WP | CR0_MP | CR0_NE;
    if (new ^ cr0) & !free & CR0_DEFINED & !CR0_PE != 0 {
        return unmodelled("a change of a flag of CR0 other than WP, MP and NE");
    }
    Ok(new)
}

/// The value of CR4 after MOV to CR4 of `value`.
pub(crate) fn new_cr4(value: u64, cr3: u64, cr4: u64) -> Result<u64, Refusal> {
    let new = control::new_cr4(value, cr3, cr4)?;
    // At CPL 3 CLI and STI depend on PVI, RDTSC on TSD.
    if (new ^ cr4) & (CR4_PVI | CR4_TSD) != 0 {
        return unmodelled("a change of CR4.PVI or CR4.TSD");
    }
    Ok(new)
}

/// CPUID of CPU `cpu`: it has only 4-level paging.
pub(crate) fn cpuid(leaf: u32, subleaf: u32, cpu: u8) -> Option<[u32; 4]> {
    let [eax, ebx, ecx, edx] = registers::cpuid(leaf, subleaf, cpu)?;
    let absent = if (leaf, subleaf) == (7, 0) { LA57 } else { 0 };
    let eax = if leaf == 0x8000_0008 { eax & 0xff | 48 << 8 } else { eax };
    Some([eax, ebx, ecx & !absent, edx])
}

/// CR0 at the start: PG, WP, NE, ET, MP, PE.
pub(crate) const CR0_START: u64 = 0x8001_0033;
/// CR4 at the start: OSXMMEXCPT, OSFXSR, PAE.
pub(crate) const CR4_START: u64 = 0x620;
const _: () = assert!(CR4_START & CR4_PCIDE == 0);

#[cfg(test)]
mod tests {
    use x86::Fault;

    use super::*;

    #[test]
    fn write_protection_may_change_and_paging_may_not() {
        assert_eq!(new_cr0(CR0_START & !CR0_WP, CR0_START, CR4_START), Ok(CR0_START & !CR0_WP));
        assert_eq!(new_cr0(CR0_START, CR0_START & !CR0_WP, CR4_START), Ok(CR0_START));
        let off = CR0_START & !(1 << 31);
        assert!(matches!(new_cr0(off, CR0_START, CR4_START), Err(Refusal::Unmodelled(_))));
        assert_eq!(new_cr0(off, CR0_START, CR4_START | CR4_PCIDE), Err(Refusal::Fault(Fault::GP)));
        assert!(matches!(
            new_cr0(CR0_START | 1 << 3, CR0_START, CR4_START),
            Err(Refusal::Unmodelled(_))
        ));
    }

    #[test]
    fn what_cpuid_enumerates_is_there() {
        let one = cpuid(1, 0, 3).expect("a leaf");
        assert_eq!((one[1] >> 24, one[2] >> 21 & 1), (3, 1), "number, x2APIC");
        let seven = cpuid(7, 0, 0).expect("a leaf");
        assert_eq!(seven[2] & LA57, 0);
        let widths = cpuid(0x8000_0008, 0, 0).expect("a leaf");
        assert_eq!(widths[0] >> 8, 48);
    }
}
