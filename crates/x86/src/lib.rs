//! One x86-64 instruction: decode, and what it does. (Doc to be completed.)
mod env;
pub use env::{At, Env, Fence, IfChange};

/// The registers an instruction may read and write. (Doc to be completed.)
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

/// An architectural fault. (Doc to be completed.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Vector: 0 #DE, 1 #DB, 3 #BP, 6 #UD, 7 #NM, 12 #SS, 13 #GP, 14 #PF, 17 #AC.
    pub vector: u8,
    /// Error code, 0 where the vector has none.
    pub code: u32,
    /// For #PF the faulting linear address (CR2); else 0.
    pub va: u64,
}
