//! What an instruction needs from the machine around it.
//!
//! The machine implements [`Env`]; this crate calls it. An instruction first does all its loads,
//! computes, then does its stores, and only when the last of them has succeeded changes the
//! [`Regs`](crate::Regs): whatever stops it in between leaves the registers as they were (REP string
//! instructions: as they were after the last whole iteration). Given the same registers and the same
//! loaded values, an instruction makes the same accesses in the same order; the machine relies on
//! both when it suspends an instruction between two of its accesses and runs it again later.

use crate::{Fault, Regs};

/// One memory access of at most 8 bytes (16 for the `128` forms), by linear address before LAM and
/// paging: segment base added, nothing checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Linear address.
    pub va: u64,
    /// Width in bytes: 1, 2, 4, 8 or 16.
    pub size: u8,
    /// The reference is relative to SS: a non-canonical address is `#SS(0)`, not `#GP(0)`.
    pub stack: bool,
    /// Part of a LOCKed read-modify-write (or XCHG with memory): the load and the store of one
    /// instruction are one atomic access.
    pub locked: bool,
    /// A load whose location the same instruction will store to.
    pub for_write: bool,
}

/// Which fence instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// MFENCE.
    Mfence,
    /// SFENCE.
    Sfence,
    /// LFENCE.
    Lfence,
}

/// How an instruction changes RFLAGS.IF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfChange {
    /// CLI: off.
    Cli,
    /// STI: on; interrupts stay inhibited for one more instruction if IF was 0.
    Sti,
    /// POPF with this value of IF; no shadow.
    Popf(bool),
}

/// The machine, as one instruction sees it.
pub trait Env {
    /// What stops an instruction: an architectural fault, or a reason of the machine's own.
    type Stop: From<Fault>;

    /// Loads 1, 2, 4 or 8 bytes, zero-extended.
    fn load(&mut self, at: At) -> Result<u64, Self::Stop>;
    /// Stores the low `at.size` (1, 2, 4 or 8) bytes of `value`.
    fn store(&mut self, at: At, value: u64) -> Result<(), Self::Stop>;
    /// Loads 16 bytes.
    fn load128(&mut self, at: At) -> Result<u128, Self::Stop>;
    /// Stores 16 bytes.
    fn store128(&mut self, at: At, value: u128) -> Result<(), Self::Stop>;

    /// A fence instruction.
    fn fence(&mut self, fence: Fence) -> Result<(), Self::Stop>;
    /// RFLAGS.IF is about to change, or to be written with the value it has; the caller updates
    /// [`Regs::rflags`] after this returns.
    fn interrupt_flag(&mut self, regs: &Regs, change: IfChange) -> Result<(), Self::Stop>;
    /// HLT. The caller advances RIP after this returns.
    fn hlt(&mut self, regs: &Regs) -> Result<(), Self::Stop>;
    /// MOV from CR0, CR2, CR3, CR4 or CR8.
    fn read_cr(&mut self, cr: u8) -> Result<u64, Self::Stop>;
    /// MOV to CR0, CR2, CR3, CR4 or CR8.
    fn write_cr(&mut self, cr: u8, value: u64) -> Result<(), Self::Stop>;
    /// INVLPG of the operand's linear address.
    fn invlpg(&mut self, va: u64) -> Result<(), Self::Stop>;
    /// INVPCID: the type operand and the two quadwords of the descriptor.
    fn invpcid(&mut self, kind: u64, descriptor: [u64; 2]) -> Result<(), Self::Stop>;
    /// RDMSR of MSR number `msr`. FS and GS bases are in [`Regs`].
    fn rdmsr(&mut self, regs: &Regs, msr: u32) -> Result<u64, Self::Stop>;
    /// WRMSR. May change the segment bases in `regs`.
    fn wrmsr(&mut self, regs: &mut Regs, msr: u32, value: u64) -> Result<(), Self::Stop>;
    /// RDFSBASE and its kin: is CR4.FSGSBASE set?
    fn fsgsbase(&mut self) -> Result<bool, Self::Stop>;
    /// CPUID: EAX, EBX, ECX, EDX.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Self::Stop>;
    /// RDTSC and RDTSCP.
    fn rdtsc(&mut self) -> Result<u64, Self::Stop>;
}
