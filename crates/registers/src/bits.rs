//! Bits of the control registers and their first values (SDM vol. 3 §2.5). The bits that paging depends on
//! are in `mmu::bits`, and those of CR4 that exist in `x86::cpuid`.

use mmu::bits::{CR0_PG, CR0_WP, CR4_PAE, CR4_PCIDE, CR4_PGE};

/// Protection enable.
pub const CR0_PE: u64 = 1;
/// Emulation.
pub const CR0_EM: u64 = 1 << 2;
/// Task switched.
pub const CR0_TS: u64 = 1 << 3;
/// Not write-through.
pub const CR0_NW: u64 = 1 << 29;
/// Cache disable.
pub const CR0_CD: u64 = 1 << 30;
/// The bits that exist.
pub const CR0_DEFINED: u64 = CR0_PE | 0x3e | CR0_WP | 1 << 18 | CR0_NW | CR0_CD | CR0_PG;

/// Support of FXSAVE and SSE.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// Support of unmasked SIMD exceptions.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// RDFSBASE and its kin.
pub const CR4_FSGSBASE: u64 = 1 << 16;
/// CR0 of a CPU of a scenario at its start.
pub const CR0_INITIAL: u64 = CR0_PE | 1 << 1 | 1 << 4 | 1 << 5 | CR0_WP | CR0_PG;
/// CR4 of a CPU of a scenario at its start.
pub const CR4_INITIAL: u64 =
    CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_PCIDE;
