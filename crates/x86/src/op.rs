//! The compact form of a decoded instruction.

/// The operation. Variants carry the manual's mnemonic; several mnemonics with one effect share
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    // Moves.
    Mov,
    Movzx,
    Movsx,
    Lea,
    Xchg,
    Cmov,
    Bswap,
    Movbe,
    /// CBW, CWDE, CDQE by `size` of the result.
    Cbw,
    /// CWD, CDQ, CQO by `size` of the accumulator.
    Cwd,
    Setcc,
    Lahf,
    Sahf,
    // Stack.
    Push,
    Pop,
    Pushf,
    Popf,
    Leave,
    /// `imm` is the allocation in bits 15:0, the nesting level above.
    Enter,
    // Arithmetic and logic.
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
    Cmp,
    Test,
    Inc,
    Dec,
    Neg,
    Not,
    Adcx,
    Adox,
    Cmpxchg,
    Cmpxchg8b,
    Cmpxchg16b,
    Xadd,
    // Shifts.
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
    Rcl,
    Rcr,
    Shld,
    Shrd,
    Rorx,
    Sarx,
    Shlx,
    Shrx,
    // Multiplication and division.
    Mul,
    /// One-operand form.
    Imul,
    /// Two- and three-operand forms: `dst = src * src2`.
    ImulTrunc,
    Mulx,
    Div,
    Idiv,
    // Bits.
    Bt,
    Bts,
    Btr,
    Btc,
    Bsf,
    Bsr,
    Tzcnt,
    Lzcnt,
    Popcnt,
    Andn,
    Bextr,
    Blsi,
    Blsmsk,
    Blsr,
    Bzhi,
    Pdep,
    Pext,
    Crc32,
    // Flags.
    Clc,
    Stc,
    Cmc,
    Cld,
    Std,
    // Strings.
    Movs,
    Stos,
    Lods,
    Scas,
    Cmps,
    // Control.
    Jcc,
    Jmp,
    JmpIndirect,
    Call,
    CallIndirect,
    Ret,
    Jrcxz,
    Loop,
    Loope,
    Loopne,
    Nop,
    /// Any #UD: UD0 to UD2, and every encoding that does not exist.
    Ud,
    /// An instruction of more than 15 bytes.
    TooLong,
    /// INT3 and INT n; `imm` is the vector.
    Int,
    Iretq,
    Retfq,
    // System.
    Mfence,
    Sfence,
    Lfence,
    /// CLFLUSH, CLFLUSHOPT, CLWB.
    Clflush,
    Cli,
    Sti,
    Hlt,
    Cpuid,
    Rdtsc,
    Rdtscp,
    Rdmsr,
    Wrmsr,
    Swapgs,
    Rdfsbase,
    Rdgsbase,
    Wrfsbase,
    Wrgsbase,
    /// `imm` is the number of the control register.
    ReadCr,
    /// `imm` is the number of the control register.
    WriteCr,
    Invlpg,
    Invpcid,
    Lgdt,
    Lidt,
    Sgdt,
    Sidt,
    Ltr,
    /// `imm` is the number of the segment register.
    ReadSegment,
    /// `imm` is the number of the segment register.
    WriteSegment,
    In,
    Out,
    Stac,
    Clac,
    // SSE moves.
    /// 16 bytes, memory operand aligned.
    MovAligned,
    /// 16 bytes, any alignment.
    MovUnaligned,
    /// MOVD and MOVQ from a general register or memory; `src_size` bytes, the rest zeroed.
    MovdToXmm,
    /// MOVD and MOVQ to a general register or memory; `size` bytes.
    MovdFromXmm,
    /// MOVQ between vector registers or memory: the upper half of a register is zeroed.
    MovqXmm,
    Movss,
    Movsd,
    /// MOVLPS, MOVLPD.
    Movlp,
    /// MOVHPS, MOVHPD.
    Movhp,
    Movhlps,
    Movlhps,
    Movmskps,
    Movmskpd,
    Pmovmskb,
    // SSE logic and integer arithmetic: `dst = f(dst, src)`.
    Pand,
    Pandn,
    Por,
    Pxor,
    Paddb,
    Paddw,
    Paddd,
    Paddq,
    Psubb,
    Psubw,
    Psubd,
    Psubq,
    Pcmpeqb,
    Pcmpeqw,
    Pcmpeqd,
    Pcmpgtb,
    Pcmpgtw,
    Pcmpgtd,
    Pmaxub,
    Pminub,
    Pmaxsw,
    Pminsw,
    Pmuludq,
    Pmullw,
    Psadbw,
    Packuswb,
    Packsswb,
    Packssdw,
    // SSE shuffles.
    Pshufd,
    Pshuflw,
    Pshufhw,
    Shufps,
    Shufpd,
    Punpcklbw,
    Punpcklwd,
    Punpckldq,
    Punpcklqdq,
    Punpckhbw,
    Punpckhwd,
    Punpckhdq,
    Punpckhqdq,
    // SSE shifts.
    Pslldq,
    Psrldq,
    Psllw,
    Pslld,
    Psllq,
    Psrlw,
    Psrld,
    Psrlq,
    Psraw,
    Psrad,
    /// PINSRB, PINSRW, PINSRD, PINSRQ; `src_size` is the width of the lane.
    Pinsr,
    /// PEXTRB, PEXTRW, PEXTRD, PEXTRQ; `src_size` is the width of the lane.
    Pextr,
}

/// The location of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    None,
    /// A general register by number; the operation determines the width.
    Reg(u8),
    /// AH, CH, DH, BH: bits 15:8 of register 0 to 3.
    High(u8),
    /// An XMM register.
    Xmm(u8),
    /// The memory operand.
    Mem,
    /// The immediate, sign-extended and cut to the width of the operation.
    Imm,
}

/// The number that stands for no base or no index register.
pub(crate) const NO_REG: u8 = 0xff;

/// Bits of [`Op::mem`].
pub(crate) mod mem {
    /// The FS base is added to the address.
    pub(crate) const FS: u8 = 1;
    /// The GS base is added to the address.
    pub(crate) const GS: u8 = 2;
    /// SS is the default segment: base RSP or RBP.
    pub(crate) const STACK: u8 = 4;
    /// Address-size prefix: the effective address has 32 bits.
    pub(crate) const ADDR32: u8 = 8;
}

/// Bits of [`Op::prefix`].
pub(crate) mod prefix {
    /// LOCK, or XCHG with memory.
    pub(crate) const LOCK: u8 = 1;
    /// REP or REPE.
    pub(crate) const REP: u8 = 2;
    /// REPNE.
    pub(crate) const REPNE: u8 = 4;
}

/// One decoded instruction, operands resolved. Valid only at the address it was decoded for:
/// relative branch targets and RIP-relative addresses are absolute here.
#[derive(Clone, Debug)]
pub struct Op {
    /// The immediate, or the target of a direct branch.
    pub(crate) imm: u64,
    /// Displacement of the memory operand; the address itself if RIP-relative.
    pub(crate) disp: u64,
    pub(crate) kind: Kind,
    /// Bytes of the operation, usually of the first operand.
    pub(crate) size: u8,
    /// Bytes of the second operand if they can differ.
    pub(crate) src_size: u8,
    pub(crate) len: u8,
    pub(crate) dst: Operand,
    pub(crate) src: Operand,
    pub(crate) src2: Operand,
    pub(crate) base: u8,
    pub(crate) index: u8,
    /// Left shift of the index.
    pub(crate) scale: u8,
    pub(crate) mem: u8,
    pub(crate) prefix: u8,
    /// Condition code of Jcc, SETcc, CMOVcc.
    pub(crate) cond: u8,
}

// A page of code has about a thousand of them per CPU model: two fit in a cache line.
const _: () = assert!(size_of::<Op>() <= 32);

impl Op {
    /// Returns the length of the instruction in bytes, 1 to 15.
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Returns false: an instruction has at least one byte.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns whether this is a CALL, direct or indirect.
    pub fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Call | Kind::CallIndirect)
    }

    /// Returns whether this is a near RET.
    pub fn is_ret(&self) -> bool {
        self.kind == Kind::Ret
    }

    /// Returns whether the instruction moves RSP from `from` to `to` as code that makes and leaves
    /// frames does: by pushing and popping, by a constant, down by any amount, or up to the address
    /// in RBP. An IRETQ only pops its own frame.
    pub fn moves_frame(&self, from: u64, to: u64) -> bool {
        use Kind as K;
        const RSP: u8 = 4;
        const RBP: u8 = 5;
        let (down, up) = (to < from, to > from);
        match self.kind {
            K::Push | K::Pushf | K::Popf | K::Call | K::CallIndirect | K::Ret | K::Enter => true,
            K::Pop => self.dst != Operand::Reg(RSP),
            K::Leave => up,
            K::Add | K::Sub => self.size == 8 && (self.src == Operand::Imm || down),
            K::And => self.size == 8 && down,
            K::Lea => self.index == NO_REG && (self.base == RSP || (self.base == RBP && up)),
            K::Mov => self.src == Operand::Reg(RBP) && up,
            K::Iretq => up && to - from <= 48,
            _ => false,
        }
    }

    /// Returns whether this is IRETQ. It ends the blocking of NMIs whether or not it faults (SDM
    /// vol. 3 §6.7.1); the machine implements that.
    pub fn is_iret(&self) -> bool {
        self.kind == Kind::Iretq
    }

    /// Returns whether the instruction accesses several locations: MOVS and CMPS, a memory operand
    /// and the stack or RFLAGS.IF, a far frame, a descriptor.
    pub fn copies_memory(&self) -> bool {
        let on_stack = matches!(self.kind, Kind::Push | Kind::Pop | Kind::CallIndirect);
        let always = matches!(self.kind, Kind::Movs | Kind::Cmps | Kind::Enter | Kind::Popf);
        always || self.is_far_or_of_descriptors() || on_stack && self.dst == Operand::Mem
    }

    /// Returns whether this is REP MOVS or REP STOS, whose stores need not be seen in order (SDM
    /// vol. 3 §8.2.4).
    pub fn is_repeated_store(&self) -> bool {
        let repeated = self.prefix & (prefix::REP | prefix::REPNE) != 0;
        repeated && matches!(self.kind, Kind::Movs | Kind::Stos)
    }

    fn is_far_or_of_descriptors(&self) -> bool {
        use Kind as K;
        let far = matches!(self.kind, K::Iretq | K::Retfq | K::Ltr | K::WriteSegment);
        far || matches!(self.kind, K::Lgdt | K::Lidt | K::Sgdt | K::Sidt)
    }

    /// Returns whether this has a LOCK prefix, or is XCHG with memory.
    pub fn is_locked(&self) -> bool {
        self.prefix & prefix::LOCK != 0
    }
}
