//! Bits of the control registers (SDM vol. 3 §2.5, LAM chapter §7.1), and their first values.

/// LAM for user pointers, bits 62:57 ignored.
pub const CR3_LAM_U57: u64 = 1 << 61;
/// LAM for user pointers, bits 62:48 ignored.
pub const CR3_LAM_U48: u64 = 1 << 62;
pub(crate) const CR3_NOFLUSH: u64 = 1 << 63;

pub(crate) const CR0_PE: u64 = 1;
pub(crate) const CR0_WP: u64 = 1 << 16;
pub(crate) const CR0_PG: u64 = 1 << 31;
pub(crate) const CR0_DEFINED: u64 = CR0_PE | 0x3e | CR0_WP | 1 << 18 | 1 << 29 | 1 << 30 | CR0_PG;

pub(crate) const CR4_PAE: u64 = 1 << 5;
pub(crate) const CR4_PGE: u64 = 1 << 7;
pub(crate) const CR4_OSFXSR: u64 = 1 << 9;
pub(crate) const CR4_OSXMMEXCPT: u64 = 1 << 10;
pub(crate) const CR4_LA57: u64 = 1 << 12;
pub(crate) const CR4_FSGSBASE: u64 = 1 << 16;
/// PCIDs are in use.
pub const CR4_PCIDE: u64 = 1 << 17;
pub(crate) const CR4_SMEP: u64 = 1 << 20;
pub(crate) const CR4_LAM_SUP: u64 = 1 << 28;
/// VME, PVI, TSD, DE, PSE, MCE, PCE and UMIP have no effect on what is modelled.
pub(crate) const CR4_INERT: u64 = 0x1f | 1 << 6 | 1 << 8 | 1 << 11;
pub(crate) const CR4_DEFINED: u64 = CR4_INERT
    | CR4_PAE
    | CR4_PGE
    | CR4_OSFXSR
    | CR4_OSXMMEXCPT
    | CR4_FSGSBASE
    | CR4_PCIDE
    | CR4_SMEP
    | CR4_LAM_SUP;

pub(crate) const CR0_INITIAL: u64 = CR0_PE | 1 << 1 | 1 << 4 | 1 << 5 | CR0_WP | CR0_PG;
pub(crate) const CR4_INITIAL: u64 =
    CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_PCIDE;

/// Number of physical address bits the modelled CPU has.
pub(crate) const PHYSICAL_BITS: u32 = 46;
