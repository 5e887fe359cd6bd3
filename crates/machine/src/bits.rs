//! Which bits of the control registers are defined, and their first values (SDM vol. 3 §2.5; LAM chapter
//! §7.1). The bits that paging depends on are in `mmu::bits`.

use mmu::bits::{CR0_PG, CR0_WP, CR4_LAM_SUP, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_SMAP, CR4_SMEP};

pub(crate) const CR0_PE: u64 = 1;
pub(crate) const CR0_DEFINED: u64 = CR0_PE | 0x3e | CR0_WP | 1 << 18 | 1 << 29 | 1 << 30 | CR0_PG;

pub(crate) const CR4_OSFXSR: u64 = 1 << 9;
pub(crate) const CR4_OSXMMEXCPT: u64 = 1 << 10;
pub(crate) const CR4_FSGSBASE: u64 = 1 << 16;
/// VME, PVI, TSD, DE, PSE, MCE, PCE and UMIP have no effect on what is modelled.
pub(crate) const CR4_INERT: u64 = 0x1f | 1 << 6 | 1 << 8 | 1 << 11;
/// What may be set, beside LA57, which does not change.
pub(crate) const CR4_DEFINED: u64 = CR4_INERT
    | CR4_PAE
    | CR4_PGE
    | CR4_OSFXSR
    | CR4_OSXMMEXCPT
    | CR4_FSGSBASE
    | CR4_PCIDE
    | CR4_SMEP
    | CR4_SMAP
    | CR4_LAM_SUP;

pub(crate) const CR0_INITIAL: u64 = CR0_PE | 1 << 1 | 1 << 4 | 1 << 5 | CR0_WP | CR0_PG;
pub(crate) const CR4_INITIAL: u64 =
    CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_PCIDE;
