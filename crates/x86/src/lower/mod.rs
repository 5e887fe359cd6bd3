//! From bytes to [`Op`].

mod operands;
mod table;

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, Formatter, GasFormatter, Instruction, OpKind,
};

use crate::num::{mask, small};
use crate::op::{Kind, NO_REG, Op, Operand, mem, prefix};

/// Longest instruction, in bytes (SDM vol. 2 §2.3.11).
pub const MAX_LEN: usize = 15;

/// What [`lower`] makes of some bytes.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// An instruction that [`exec`](crate::exec()) can run.
    Op(Op),
    /// One that it cannot.
    Unsupported {
        /// Length in bytes; 0 if the bytes are not an instruction.
        len: u8,
        /// AT&T disassembly, or `(bad)`.
        text: String,
    },
}

/// Decodes the instruction at `ip`; `bytes` is what is readable there, up to [`MAX_LEN`] bytes.
///
/// A LOCK prefix where none is allowed gives an [`Op`] that raises #UD; bytes that are no instruction
/// at all, and an instruction cut off by the end of `bytes`, are [`Lowered::Unsupported`] with `len` 0.
pub fn lower(bytes: &[u8], ip: u64) -> Lowered {
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    let mut decoder = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return match misused_lock(bytes, ip, decoder.last_error()) {
            Some(op) => Lowered::Op(op),
            None => Lowered::Unsupported { len: 0, text: "(bad)".to_owned() },
        };
    }
    match op_of(&instruction) {
        Some(op) if !vendors_differ(&op, &instruction, bytes) => Lowered::Op(op),
        _ => Lowered::Unsupported { len: small(instruction.len()), text: text(&instruction) },
    }
}

/// AT&T disassembly of the instruction in `bytes` at `ip`, `(bad)` if there is none; for reports.
pub fn disassemble(bytes: &[u8], ip: u64) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    let instruction = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE).decode();
    if instruction.is_invalid() { "(bad)".to_owned() } else { text(&instruction) }
}

/// Every form that [`lower`] accepts, by iced's name. A few operand values of a form can still be
/// refused (ENTER with a nesting level above 1). Which flags a form leaves undefined, iced tells
/// through `Instruction::rflags_undefined`.
pub fn supported() -> impl Iterator<Item = Code> {
    Code::values().filter(|&code| table::kind(code).is_some())
}

fn text(instruction: &Instruction) -> String {
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// #UD, if all that is wrong with the bytes is a LOCK prefix (SDM vol. 2, LOCK).
fn misused_lock(bytes: &[u8], ip: u64, error: DecoderError) -> Option<Op> {
    if error != DecoderError::InvalidInstruction {
        return None;
    }
    let mut decoder = Decoder::with_ip(64, bytes, ip, DecoderOptions::NO_INVALID_CHECK);
    let instruction = decoder.decode();
    let known = !instruction.is_invalid() && instruction.has_lock_prefix();
    (known && table::kind(instruction.code()).is_some())
        .then(|| blank(Kind::Ud, small(instruction.len())))
}

/// Prefixes that the vendors read differently. Refused, so that neither is assumed.
///
/// Before a branch: an operand-size prefix without REX.W: AMD cuts the target of a near branch to 16 bits, Intel does
/// not (APM vol. 3 and SDM vol. 2, JMP). F2 and F3 before LOOPE and LOOPNE: an AMD family 1AH lets them
/// choose the condition. Before a string instruction, a repeat prefix with 32-bit addresses: if ECX is 0,
/// Intel clears the upper halves of RCX and, for some, of RSI and RDI; AMD changes nothing (each as
/// `native` measured it).
fn vendors_differ(op: &Op, instruction: &Instruction, bytes: &[u8]) -> bool {
    use Kind as K;
    let repeat = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    match op.kind {
        K::Loope | K::Loopne if repeat => true,
        K::Movs | K::Stos | K::Lods | K::Scas | K::Cmps => repeat && op.mem & mem::ADDR32 != 0,
        K::Jcc
        | K::Jmp
        | K::JmpIndirect
        | K::Call
        | K::CallIndirect
        | K::Ret
        | K::Jrcxz
        | K::Loop
        | K::Loope
        | K::Loopne => {
            let legacy = |byte: &u8| {
                matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
            };
            let prefixes = bytes.iter().take_while(|byte| legacy(byte)).count();
            let wide = bytes.get(prefixes).is_some_and(|byte| byte & 0xf8 == 0x48);
            bytes[..prefixes].contains(&0x66) && !wide
        }
        _ => false,
    }
}

fn blank(kind: Kind, len: u8) -> Op {
    Op {
        imm: 0,
        disp: 0,
        kind,
        size: 8,
        src_size: 8,
        len,
        dst: Operand::None,
        src: Operand::None,
        src2: Operand::None,
        base: NO_REG,
        index: NO_REG,
        scale: 0,
        mem: 0,
        prefix: 0,
        cond: 0,
    }
}

fn op_of(instruction: &Instruction) -> Option<Op> {
    let kind = table::kind(instruction.code())?;
    let mut op = blank(kind, small(instruction.len()));
    operands::resolve(&mut op, instruction);
    set_prefixes(&mut op, instruction);
    operands::set_sizes(&mut op, instruction);
    match kind {
        // Two immediates. The frame pointers of outer levels are loads after stores, which nobody needs.
        Kind::Enter => {
            let level = instruction.immediate8_2nd() & 31;
            if level > 1 {
                return None;
            }
            op.imm = u64::from(instruction.immediate16()) | u64::from(level) << 16;
        }
        Kind::Jcc | Kind::Setcc | Kind::Cmov => op.cond = table::condition(instruction),
        Kind::ReadCr => op.imm = u64::from(operands::number(instruction.op1_register())),
        Kind::WriteCr => op.imm = u64::from(operands::number(instruction.op0_register())),
        Kind::ReadSegment => op.imm = u64::from(operands::number(instruction.op1_register())),
        Kind::WriteSegment => op.imm = u64::from(operands::number(instruction.op0_register())),
        Kind::Int if instruction.code() == Code::Int3 => op.imm = 3,
        Kind::Ret | Kind::Pinsr | Kind::Pextr => {}
        _ if is_branch(instruction) => {}
        _ => op.imm &= mask(op.size.min(8)),
    }
    Some(op)
}

fn is_branch(instruction: &Instruction) -> bool {
    instruction.op_count() == 1 && instruction.op0_kind() == OpKind::NearBranch64
}

fn set_prefixes(op: &mut Op, instruction: &Instruction) {
    let exchange = op.kind == Kind::Xchg && (op.dst == Operand::Mem || op.src == Operand::Mem);
    if instruction.has_lock_prefix() || exchange {
        op.prefix |= prefix::LOCK;
    }
    if instruction.has_rep_prefix() {
        op.prefix |= prefix::REP;
    }
    if instruction.has_repne_prefix() {
        op.prefix |= prefix::REPNE;
    }
}
