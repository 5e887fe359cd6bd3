//! The supported forms with their operations. An allow-list: any other form is refused.

use iced_x86::{
    Code, ConditionCode, DecoderOptions, EncodingKind, Instruction, Mnemonic, OpCodeOperandKind,
};

use crate::op::Kind;

/// Returns the operation of a form, or `None` if it is not supported.
pub(super) fn kind(code: Code) -> Option<Kind> {
    let kind = by_code(code)?;
    let info = code.op_code();
    let encoded = matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX);
    // A decoder option marks forms of one vendor or of withdrawn processors.
    let usual = info.mode64() && encoded && info.decoder_option() == DecoderOptions::NONE;
    let operands = (0..info.op_count()).all(|i| operand(info.op_kind(i)));
    (usual && operands).then_some(kind)
}

/// Returns the condition number of a Jcc, SETcc or CMOVcc: the low four bits of its opcode.
pub(super) fn condition(instruction: &Instruction) -> u8 {
    match instruction.condition_code() {
        ConditionCode::None | ConditionCode::o => 0,
        ConditionCode::no => 1,
        ConditionCode::b => 2,
        ConditionCode::ae => 3,
        ConditionCode::e => 4,
        ConditionCode::ne => 5,
        ConditionCode::be => 6,
        ConditionCode::a => 7,
        ConditionCode::s => 8,
        ConditionCode::ns => 9,
        ConditionCode::p => 10,
        ConditionCode::np => 11,
        ConditionCode::l => 12,
        ConditionCode::ge => 13,
        ConditionCode::le => 14,
        ConditionCode::g => 15,
    }
}

/// Returns whether an operand kind is modelled: no x87, MMX, AVX or debug registers, no 16-bit
/// branches.
fn operand(kind: OpCodeOperandKind) -> bool {
    use OpCodeOperandKind as K;
    matches!(
        kind,
        K::None
            | K::mem_offs
            | K::mem
            | K::r8_or_mem
            | K::r16_or_mem
            | K::r32_or_mem
            | K::r64_or_mem
            | K::xmm_or_mem
            | K::r8_reg
            | K::r8_opcode
            | K::r16_reg
            | K::r16_rm
            | K::r16_opcode
            | K::r32_reg
            | K::r32_rm
            | K::r32_opcode
            | K::r32_vvvv
            | K::r64_reg
            | K::r64_rm
            | K::r64_opcode
            | K::r64_vvvv
            | K::xmm_reg
            | K::xmm_rm
            | K::cr_reg
            | K::seg_reg
            | K::dx
            | K::al
            | K::cl
            | K::ax
            | K::eax
            | K::rax
            | K::imm8
            | K::imm8_const_1
            | K::imm8sex16
            | K::imm8sex32
            | K::imm8sex64
            | K::imm16
            | K::imm32
            | K::imm32sex64
            | K::imm64
            | K::seg_rSI
            | K::es_rDI
            | K::br64_1
            | K::br64_4
    )
}

/// Maps forms whose mnemonic is not sufficient, then the rest by mnemonic.
fn by_code(code: Code) -> Option<Kind> {
    match code {
        // The manuals of the two vendors differ on 16-bit near branches, which compilers do not
        // emit; BSWAP of 16 bits is undefined, MOVSXD to 16 bits reads 2 or 4 bytes.
        Code::Jmp_rm16
        | Code::Call_rm16
        | Code::Retnw
        | Code::Retnw_imm16
        | Code::Bswap_r16
        | Code::Movsxd_r16_rm16
        | Code::Ud0 => None,
        Code::Movsd_m32_m32 => Some(Kind::Movs),
        Code::Cmpsd_m32_m32 => Some(Kind::Cmps),
        Code::Cmpsd_xmm_xmmm64_imm8 => None,
        Code::Mov_rm16_Sreg | Code::Mov_r32m16_Sreg | Code::Mov_r64m16_Sreg => {
            Some(Kind::ReadSegment)
        }
        Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 => {
            Some(Kind::WriteSegment)
        }
        Code::Retfq | Code::Retfq_imm16 => Some(Kind::Retfq),
        Code::Mov_r64_cr => Some(Kind::ReadCr),
        Code::Mov_cr_r64 => Some(Kind::WriteCr),
        Code::Movd_xmm_rm32 | Code::Movq_xmm_rm64 => Some(Kind::MovdToXmm),
        Code::Movd_rm32_xmm | Code::Movq_rm64_xmm => Some(Kind::MovdFromXmm),
        Code::Imul_rm8 | Code::Imul_rm16 | Code::Imul_rm32 | Code::Imul_rm64 => Some(Kind::Imul),
        Code::Jmp_rm64 => Some(Kind::JmpIndirect),
        Code::Call_rm64 => Some(Kind::CallIndirect),
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => Some(Kind::Jmp),
        Code::Call_rel32_64 => Some(Kind::Call),
        _ if code.is_jcc_short_or_near() => Some(Kind::Jcc),
        _ => {
            let mnemonic = code.mnemonic();
            integer(mnemonic)
                .or_else(|| rest(mnemonic))
                .or_else(|| conditional(mnemonic))
                .or_else(|| vector(mnemonic))
        }
    }
}

macro_rules! kinds {
    ($mnemonic:expr; $($($name:ident)|+ => $kind:ident,)*) => {
        match $mnemonic {
            $($(Mnemonic::$name)|+ => Some(Kind::$kind),)*
            _ => None,
        }
    };
}

/// Maps moves, arithmetic, bits.
fn integer(mnemonic: Mnemonic) -> Option<Kind> {
    kinds! { mnemonic;
        Mov => Mov, Movzx => Movzx, Movsx | Movsxd => Movsx, Lea => Lea, Xchg => Xchg,
        Bswap => Bswap, Movbe => Movbe, Cbw | Cwde | Cdqe => Cbw, Cwd | Cdq | Cqo => Cwd,
        Lahf => Lahf, Sahf => Sahf,
        Add => Add, Adc => Adc, Sub => Sub, Sbb => Sbb, And => And, Or => Or, Xor => Xor,
        Cmp => Cmp, Test => Test, Inc => Inc, Dec => Dec, Neg => Neg, Not => Not,
        Adcx => Adcx, Adox => Adox,
        Cmpxchg => Cmpxchg, Cmpxchg8b => Cmpxchg8b, Cmpxchg16b => Cmpxchg16b, Xadd => Xadd,
        Shl | Sal => Shl, Shr => Shr, Sar => Sar, Rol => Rol, Ror => Ror, Rcl => Rcl, Rcr => Rcr,
        Shld => Shld, Shrd => Shrd, Rorx => Rorx, Sarx => Sarx, Shlx => Shlx, Shrx => Shrx,
        Mul => Mul, Imul => ImulTrunc, Mulx => Mulx, Div => Div, Idiv => Idiv,
        Bt => Bt, Bts => Bts, Btr => Btr, Btc => Btc, Bsf => Bsf, Bsr => Bsr,
        Tzcnt => Tzcnt, Lzcnt => Lzcnt, Popcnt => Popcnt,
        Andn => Andn, Bextr => Bextr, Blsi => Blsi, Blsmsk => Blsmsk, Blsr => Blsr, Bzhi => Bzhi,
        Pdep => Pdep, Pext => Pext, Crc32 => Crc32,
    }
}

/// Maps stack, strings, control, system.
fn rest(mnemonic: Mnemonic) -> Option<Kind> {
    kinds! { mnemonic;
        Push => Push, Pop => Pop, Pushf | Pushfq => Pushf, Popf | Popfq => Popf,
        Leave => Leave, Enter => Enter,
        Clc => Clc, Stc => Stc, Cmc => Cmc, Cld => Cld, Std => Std,
        Movsb | Movsw | Movsq => Movs, Stosb | Stosw | Stosd | Stosq => Stos,
        Lodsb | Lodsw | Lodsd | Lodsq => Lods, Scasb | Scasw | Scasd | Scasq => Scas,
        Cmpsb | Cmpsw | Cmpsq => Cmps,
        Ret => Ret, Jrcxz | Jecxz => Jrcxz, Loop => Loop, Loope => Loope, Loopne => Loopne,
        Nop | Pause | Endbr64 | Endbr32 => Nop,
        Prefetch | Prefetchw | Prefetchwt1 | Prefetchnta => Nop,
        Rdsspd | Rdsspq | Cldemote => Nop,
        Prefetcht0 | Prefetcht1 | Prefetcht2 | Prefetchit0 | Prefetchit1 => Nop,
        Ud0 | Ud1 | Ud2 | Rsm => Ud, Int3 | Int => Int, Iretq => Iretq,
        Clflush | Clflushopt | Clwb => Clflush, Mfence => Mfence, Sfence => Sfence, Lfence => Lfence,
        Cli => Cli, Sti => Sti, Hlt => Hlt, Cpuid => Cpuid, Rdtsc => Rdtsc, Rdtscp => Rdtscp,
        Rdmsr => Rdmsr, Wrmsr => Wrmsr, Swapgs => Swapgs,
        Rdfsbase => Rdfsbase, Rdgsbase => Rdgsbase, Wrfsbase => Wrfsbase, Wrgsbase => Wrgsbase,
        Invlpg => Invlpg, Invpcid => Invpcid,
        Lgdt => Lgdt, Lidt => Lidt, Sgdt => Sgdt, Sidt => Sidt, Ltr => Ltr,
        In => In, Out => Out, Stac => Stac, Clac => Clac,
    }
}

/// Maps SETcc and CMOVcc.
fn conditional(mnemonic: Mnemonic) -> Option<Kind> {
    kinds! { mnemonic;
        Seto | Setno | Setb | Setae | Sete | Setne | Setbe | Seta => Setcc,
        Sets | Setns | Setp | Setnp | Setl | Setge | Setle | Setg => Setcc,
        Cmovo | Cmovno | Cmovb | Cmovae | Cmove | Cmovne | Cmovbe | Cmova => Cmov,
        Cmovs | Cmovns | Cmovp | Cmovnp | Cmovl | Cmovge | Cmovle | Cmovg => Cmov,
    }
}

/// Maps SSE and SSE2 without floating-point arithmetic, and a little of SSE4.1.
fn vector(mnemonic: Mnemonic) -> Option<Kind> {
    kinds! { mnemonic;
        Movaps | Movapd | Movdqa => MovAligned, Movups | Movupd | Movdqu | Lddqu => MovUnaligned,
        Movq => MovqXmm, Movss => Movss, Movsd => Movsd,
        Movlps | Movlpd => Movlp, Movhps | Movhpd => Movhp, Movhlps => Movhlps, Movlhps => Movlhps,
        Movmskps => Movmskps, Movmskpd => Movmskpd, Pmovmskb => Pmovmskb,
        Pand | Andps | Andpd => Pand, Pandn | Andnps | Andnpd => Pandn,
        Por | Orps | Orpd => Por, Pxor | Xorps | Xorpd => Pxor,
        Paddb => Paddb, Paddw => Paddw, Paddd => Paddd, Paddq => Paddq,
        Psubb => Psubb, Psubw => Psubw, Psubd => Psubd, Psubq => Psubq,
        Pcmpeqb => Pcmpeqb, Pcmpeqw => Pcmpeqw, Pcmpeqd => Pcmpeqd,
        Pcmpgtb => Pcmpgtb, Pcmpgtw => Pcmpgtw, Pcmpgtd => Pcmpgtd,
        Pmaxub => Pmaxub, Pminub => Pminub, Pmaxsw => Pmaxsw, Pminsw => Pminsw,
        Pmuludq => Pmuludq, Pmullw => Pmullw, Psadbw => Psadbw,
        Packuswb => Packuswb, Packsswb => Packsswb, Packssdw => Packssdw,
        Pshufd => Pshufd, Pshuflw => Pshuflw, Pshufhw => Pshufhw, Shufps => Shufps, Shufpd => Shufpd,
        Punpcklbw => Punpcklbw, Punpcklwd => Punpcklwd,
        Punpckldq | Unpcklps => Punpckldq, Punpcklqdq | Unpcklpd => Punpcklqdq,
        Punpckhbw => Punpckhbw, Punpckhwd => Punpckhwd,
        Punpckhdq | Unpckhps => Punpckhdq, Punpckhqdq | Unpckhpd => Punpckhqdq,
        Pslldq => Pslldq, Psrldq => Psrldq,
        Psllw => Psllw, Pslld => Pslld, Psllq => Psllq,
        Psrlw => Psrlw, Psrld => Psrld, Psrlq => Psrlq, Psraw => Psraw, Psrad => Psrad,
        Pinsrb | Pinsrw | Pinsrd | Pinsrq => Pinsr, Pextrb | Pextrw | Pextrd | Pextrq => Pextr,
    }
}
