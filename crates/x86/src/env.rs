//! The machine around an instruction, as the instruction uses it.
//!
//! The machine implements [`Env`]; this crate calls it. An instruction first performs all its
//! loads, computes, then performs its stores, and only when the last of them has succeeded changes
//! the [`Regs`]: whatever stops it in between leaves the registers as they were (REP string
//! instructions: as they were after the last whole iteration). Given the same registers and the
//! same loaded values, an instruction makes the same accesses in the same order; the machine relies
//! on both when it suspends an instruction between two of its accesses and runs it again later.

use crate::{Fault, Regs};

/// One memory access of at most 8 bytes (16 for the `128` forms), by linear address before LAM and
/// paging: the segment base is added, nothing is checked.
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

/// The kind of a fence instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// MFENCE.
    Mfence,
    /// SFENCE.
    Sfence,
    /// LFENCE.
    Lfence,
}

/// A change of RFLAGS.IF by an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfChange {
    /// CLI: clears IF.
    Cli,
    /// STI: sets IF; interrupts stay inhibited for one more instruction if IF was 0.
    Sti,
    /// POPF with this value of IF; no shadow.
    Popf(bool),
}

/// A segment register. SDM vol. 2 numbers them in this order, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// ES.
    Es,
    /// CS; never written by MOV.
    Cs,
    /// SS.
    Ss,
    /// DS.
    Ds,
    /// FS.
    Fs,
    /// GS.
    Gs,
}

/// A descriptor-table register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// GDTR.
    Gdt,
    /// IDTR.
    Idt,
}

/// The values that IRETQ or RETFQ has popped, and is about to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarReturn {
    /// RIP.
    pub rip: u64,
    /// CS selector; its RPL is the privilege level returned to.
    pub cs: u16,
    /// RFLAGS as loaded, with IF and IOPL changed only if CPL permits.
    pub rflags: u64,
    /// RSP.
    pub rsp: u64,
    /// SS selector; `None` for RETFQ to the same privilege level, which keeps SS.
    pub ss: Option<u16>,
}

/// The machine, as one instruction sees it.
///
/// A machine implements what it models: whatever else an instruction asks for ends in [`Env::unmodelled`], so a
/// new instruction is refused by every machine until one says what it does there.
pub trait Env {
    /// The reason why an instruction stops: an architectural fault, or a reason of the machine's
    /// own.
    type Stop: From<Fault>;

    /// Refuses what the machine does not model; `what` names the instruction or its operand.
    fn unmodelled(&mut self, what: String) -> Self::Stop;

    /// Loads 1, 2, 4 or 8 bytes, zero-extended.
    fn load(&mut self, at: At) -> Result<u64, Self::Stop>;
    /// Stores the low `at.size` (1, 2, 4 or 8) bytes of `value`.
    fn store(&mut self, at: At, value: u64) -> Result<(), Self::Stop>;
    /// Returns CPL, 0 to 3.
    fn cpl(&self) -> u8;

    /// Loads 16 bytes.
    fn load128(&mut self, at: At) -> Result<u128, Self::Stop> {
        Err(self.unmodelled(format!("a load of 16 bytes at {:#x}", at.va)))
    }
    /// Stores 16 bytes.
    fn store128(&mut self, at: At, _value: u128) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("a store of 16 bytes at {:#x}", at.va)))
    }
    /// Performs a fence instruction.
    fn fence(&mut self, fence: Fence) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("{fence:?}").to_lowercase()))
    }

    /// Records a write of RFLAGS.IF, possibly with its present value; the caller updates
    /// [`Regs::rflags`] after this returns.
    fn interrupt_flag(&mut self, _regs: &Regs, _change: IfChange) -> Result<(), Self::Stop> {
        Err(self.unmodelled("a change of RFLAGS.IF".into()))
    }
    /// Executes HLT. The caller advances RIP after this returns.
    fn hlt(&mut self, _regs: &Regs) -> Result<(), Self::Stop> {
        Err(self.unmodelled("hlt".into()))
    }
    /// Reads CR0, CR2, CR3, CR4 or CR8 for MOV.
    fn read_cr(&mut self, cr: u8) -> Result<u64, Self::Stop> {
        Err(self.unmodelled(format!("mov from CR{cr}")))
    }
    /// Writes CR0, CR2, CR3, CR4 or CR8 for MOV.
    fn write_cr(&mut self, cr: u8, _value: u64) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("mov to CR{cr}")))
    }
    /// Executes INVLPG of the operand's linear address.
    fn invlpg(&mut self, _va: u64) -> Result<(), Self::Stop> {
        Err(self.unmodelled("invlpg".into()))
    }
    /// Executes INVPCID with the type operand and the two quadwords of the descriptor.
    fn invpcid(&mut self, _kind: u64, _descriptor: [u64; 2]) -> Result<(), Self::Stop> {
        Err(self.unmodelled("invpcid".into()))
    }
    /// Reads MSR number `msr`. FS and GS bases are in [`Regs`].
    fn rdmsr(&mut self, _regs: &Regs, msr: u32) -> Result<u64, Self::Stop> {
        Err(self.unmodelled(format!("rdmsr of {msr:#x}")))
    }
    /// Writes an MSR. May change the segment bases in `regs`.
    fn wrmsr(&mut self, _regs: &mut Regs, msr: u32, _value: u64) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("wrmsr of {msr:#x}")))
    }
    /// Returns CR4.FSGSBASE, for RDFSBASE, RDGSBASE, WRFSBASE and WRGSBASE.
    fn fsgsbase(&mut self) -> Result<bool, Self::Stop> {
        Err(self.unmodelled("rdfsbase, wrfsbase, rdgsbase or wrgsbase".into()))
    }
    /// Executes CPUID; returns EAX, EBX, ECX, EDX.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Self::Stop> {
        Err(self.unmodelled(format!("cpuid leaf {leaf:#x}, subleaf {subleaf:#x}")))
    }
    /// Returns the time-stamp counter, for RDTSC and RDTSCP.
    fn rdtsc(&mut self) -> Result<u64, Self::Stop> {
        Err(self.unmodelled("rdtsc".into()))
    }

    /// Returns the selector in `segment`.
    fn selector(&mut self, segment: Segment) -> Result<u16, Self::Stop> {
        Err(self.unmodelled(format!("mov from segment register {segment:?}")))
    }
    /// Loads a segment register other than CS for MOV: checks the selector, loads the descriptor. May
    /// change the segment bases in `regs`. MOV to SS inhibits interrupts for one more instruction.
    fn load_segment(
        &mut self,
        _regs: &mut Regs,
        segment: Segment,
        selector: u16,
    ) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("selector {selector:#x} for segment register {segment:?}")))
    }
    /// Returns base and limit of a table, for SGDT and SIDT.
    fn table(&mut self, table: Table) -> Result<(u64, u16), Self::Stop> {
        Err(self.unmodelled(if table == Table::Gdt { "sgdt" } else { "sidt" }.into()))
    }
    /// Loads a table register for LGDT and LIDT. The machine checks that the base is canonical.
    fn load_table(&mut self, table: Table, _base: u64, _limit: u16) -> Result<(), Self::Stop> {
        Err(self.unmodelled(if table == Table::Gdt { "lgdt" } else { "lidt" }.into()))
    }
    /// Executes LTR.
    fn load_task_register(&mut self, _selector: u16) -> Result<(), Self::Stop> {
        Err(self.unmodelled("ltr".into()))
    }
    /// Performs the checks and loads of IRETQ and RETFQ: checks CS, SS and RIP and loads the two segments, and with CS the CPL. May change
    /// the segment bases in `regs`, as a return to an outer level clears segment registers. The caller
    /// sets RIP, RFLAGS and RSP after this returns.
    fn far_return(&mut self, _regs: &mut Regs, _to: &FarReturn) -> Result<(), Self::Stop> {
        Err(self.unmodelled("a far return".into()))
    }
    /// Returns the stop with which the machine delivers `vector` as a software interrupt, for INT n and
    /// INT3. `next` is the address after the instruction, which such a frame holds.
    fn software_interrupt(&mut self, vector: u8, _next: u64) -> Self::Stop {
        self.unmodelled(format!("int {vector:#x}"))
    }
    /// Reads 1, 2 or 4 bytes from a port, for IN.
    fn port_in(&mut self, port: u16, _size: u8) -> Result<u32, Self::Stop> {
        Err(self.unmodelled(format!("in from port {port:#x}")))
    }
    /// Writes the low `size` (1, 2 or 4) bytes of `value` to a port, for OUT; the rest is zero.
    fn port_out(&mut self, port: u16, _size: u8, _value: u32) -> Result<(), Self::Stop> {
        Err(self.unmodelled(format!("out to port {port:#x}")))
    }
    /// Returns whether CPUID enumerates SMAP.
    fn smap(&mut self) -> Result<bool, Self::Stop> {
        Err(self.unmodelled("stac or clac".into()))
    }
}
