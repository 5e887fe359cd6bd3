//! Decoding and execution of one x86-64 instruction.
//!
//! [`lower()`] turns bytes into an [`Op`], [`exec()`] runs it on [`Regs`] and an [`Env`], which is
//! the machine around it: memory, control registers, interrupts. The mode is 64-bit at any CPL. The
//! semantics of a form is written beside its family (`exec/shift.rs`, …), after SDM vol. 2;
//! `native` compares it with the processor, form by form.
//!
//! # Invariants
//!
//! - This crate knows no memory, no paging, no other CPU, and does no I/O. Of iced its interface has
//!   [`iced_x86::Code`] alone.
//! - An instruction of the modelled processor that is not on the list of `lower/table.rs` is
//!   refused with its text, never guessed. An instruction that this processor lacks by [`cpuid`],
//!   or that no processor has, is #UD.
//! - [`exec()`] allocates nothing, and after `Err` no register has changed.
//! - Segment bases are added, nothing else is done to an address: LAM, canonicality and paging are the
//!   machine's. Only the alignment of 16-byte operands is checked here, as it belongs to the
//!   instruction.
//!
//! # Flags and results that the manual leaves undefined
//!
//! They have one value, so that a run can be repeated and states do not differ without need:
//!
//! | what | here |
//! | --- | --- |
//! | CF of SHL, SHR by a count of at least the operand size | the last bit shifted out, 0 beyond |
//! | SHLD, SHRD of 16 bits by more than 16 | destination unchanged, the six status flags cleared |
//! | destination of BSF, BSR if the source is 0 | unchanged, upper half too |
//! | OF, SF, AF, PF of BT, BTS, BTR, BTC; every other undefined flag | cleared |
//!
//! # Where the vendors differ
//!
//! Near branches with an operand-size prefix, LOOPE and LOOPNE with a repeat prefix, repeated string
//! instructions that count in ECX, BSWAP and MOVSXD of 16 bits are refused. If a call has a bad target and a
//! bad stack at once, the target is reported. A call with a bad target stores nothing, as SDM vol. 2 has it;
//! an Intel processor stores the return address before it faults. A repeated CMPS or SCAS that faults has
//! the flags of its last comparison; Intel restores those before the instruction (SDM vol. 2, REP).
//!
//! # Left to the caller
//!
//! TF can be set by POPF and IRETQ, but no instruction here traps because of it. A near branch
//! checks its target at 48 bits. INT n and INT3 leave RIP at the instruction; the machine receives
//! the address after it. The machine inhibits interrupts after STI and MOV to SS, and NMIs until
//! IRETQ.
//!
//! IN and OUT with CPL above IOPL are #GP(0), as without an I/O permission bitmap.
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

pub mod cpuid;
mod env;
mod exec;
pub mod flags;
mod lower;
pub mod num;
mod op;
mod refusal;

pub use env::{At, Env, FarReturn, Fence, IfChange, Segment, Table};
pub use exec::exec;
pub use lower::{Check, Class, Lowered, MAX_LEN, class, disassemble, lacking, lower, supported};
pub use op::Op;
pub use refusal::Refusal;

/// The registers that an instruction may read and write: those of SDM vol. 1 §3.4 that the model
/// has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regs {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub gpr: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS; bit 1 always set.
    pub rflags: u64,
    /// XMM0 to XMM15.
    pub xmm: [u128; 16],
    /// FS base.
    pub fs_base: u64,
    /// GS base.
    pub gs_base: u64,
    /// IA32_KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
}

/// An architectural fault (SDM vol. 3 §6.15), reported with RIP at the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Vector: 0 #DE, 1 #DB, 3 #BP, 6 #UD, 7 #NM, 12 #SS, 13 #GP, 14 #PF, 17 #AC.
    pub vector: u8,
    /// Error code, 0 where the vector has none.
    pub code: u32,
    /// For #PF the faulting linear address (CR2); else 0.
    pub va: u64,
}

impl Fault {
    /// #DE, divide error.
    pub const DE: Fault = Fault::plain(0);
    /// #BP, breakpoint.
    pub const BP: Fault = Fault::plain(3);
    /// #UD, invalid opcode.
    pub const UD: Fault = Fault::plain(6);
    /// #GP(0), general protection.
    pub const GP: Fault = Fault::plain(13);

    const fn plain(vector: u8) -> Fault {
        Fault { vector, code: 0, va: 0 }
    }
}

/// Index of RAX in [`Regs::gpr`].
pub const RAX: usize = 0;
/// Index of RCX in [`Regs::gpr`].
pub const RCX: usize = 1;
/// Index of RDX in [`Regs::gpr`].
pub const RDX: usize = 2;
/// Index of RBX in [`Regs::gpr`].
pub const RBX: usize = 3;
/// Index of RSP in [`Regs::gpr`].
pub const RSP: usize = 4;
/// Index of RBP in [`Regs::gpr`].
pub const RBP: usize = 5;
/// Index of RSI in [`Regs::gpr`].
pub const RSI: usize = 6;
/// Index of RDI in [`Regs::gpr`].
pub const RDI: usize = 7;
/// Index of R8 in [`Regs::gpr`].
pub const R8: usize = 8;
/// Index of R9 in [`Regs::gpr`].
pub const R9: usize = 9;
/// Index of R10 in [`Regs::gpr`].
pub const R10: usize = 10;
/// Index of R11 in [`Regs::gpr`].
pub const R11: usize = 11;
/// Index of R12 in [`Regs::gpr`].
pub const R12: usize = 12;
/// Index of R13 in [`Regs::gpr`].
pub const R13: usize = 13;
/// Index of R14 in [`Regs::gpr`].
pub const R14: usize = 14;
/// Index of R15 in [`Regs::gpr`].
pub const R15: usize = 15;

/// Names of the general registers, by their index in [`Regs::gpr`].
pub const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
