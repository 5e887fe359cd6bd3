//! Bits of the control registers that paging depends on (SDM vol. 3 §2.5; LAM chapter §7.1), of
//! paging-structure entries (SDM vol. 3 §4.5), and of the error code of a page fault (§4.7).

/// Write protect: supervisor writes obey R/W, too.
pub const CR0_WP: u64 = 1 << 16;
/// Paging enabled.
pub const CR0_PG: u64 = 1 << 31;

/// The PCID, valid if `CR4_PCIDE` is set.
pub const CR3_PCID: u64 = 0xfff;
/// LAM for user pointers: bits 62:57 are ignored.
pub const CR3_LAM_U57: u64 = 1 << 61;
/// LAM for user pointers: bits 62:48 are ignored.
pub const CR3_LAM_U48: u64 = 1 << 62;
/// In the operand of a MOV to CR3: keep what is cached for the new PCID. Never stored.
pub const CR3_NOFLUSH: u64 = 1 << 63;

/// Physical address extension; always set in IA-32e mode.
pub const CR4_PAE: u64 = 1 << 5;
/// Global pages enabled.
pub const CR4_PGE: u64 = 1 << 7;
/// 5-level paging.
pub const CR4_LA57: u64 = 1 << 12;
/// PCIDs enabled.
pub const CR4_PCIDE: u64 = 1 << 17;
/// Supervisor code is not fetched from user pages.
pub const CR4_SMEP: u64 = 1 << 20;
/// Supervisor data is not in user pages, unless RFLAGS.AC is set.
pub const CR4_SMAP: u64 = 1 << 21;
/// LAM for supervisor pointers.
pub const CR4_LAM_SUP: u64 = 1 << 28;

/// The entry is present.
pub const ENTRY_P: u64 = 1;
/// Writes are allowed.
pub const ENTRY_RW: u64 = 1 << 1;
/// User-mode accesses are allowed.
pub const ENTRY_US: u64 = 1 << 2;
/// Accessed: set by the processor.
pub const ENTRY_A: u64 = 1 << 5;
/// Dirty: set by the processor, in the entry that maps the page.
pub const ENTRY_D: u64 = 1 << 6;
/// The entry maps a page of 2 MiB or 1 GiB. In a PTE, bit 7 is PAT.
pub const ENTRY_PS: u64 = 1 << 7;
/// Global, in the entry that maps the page.
pub const ENTRY_G: u64 = 1 << 8;
/// Instruction fetches are not allowed. Reserved unless EFER.NXE is set.
pub const ENTRY_XD: u64 = 1 << 63;

/// Protection violation: the page was present.
pub const FAULT_P: u32 = 1;
/// The access was a write.
pub const FAULT_W: u32 = 1 << 1;
/// The access was a user-mode access.
pub const FAULT_U: u32 = 1 << 2;
/// A reserved bit was set.
pub const FAULT_RSVD: u32 = 1 << 3;
/// The access was an instruction fetch.
pub const FAULT_I: u32 = 1 << 4;

/// Number of physical address bits of the modelled CPU (MAXPHYADDR).
pub const PHYSICAL_BITS: u32 = 46;
