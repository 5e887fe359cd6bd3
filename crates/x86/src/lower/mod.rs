//! The decoder: from bytes to [`Op`].

mod operands;
mod table;

use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, Formatter, GasFormatter, Instruction, Mnemonic,
    OpKind,
};

use crate::num::{mask, small};
use crate::op::{Kind, NO_REG, Op, Operand, mem, prefix};
use crate::{Fault, cpuid};

/// Longest instruction, in bytes (SDM vol. 2 §2.3.11).
pub const MAX_LEN: usize = 15;

/// The result of [`lower`] for some bytes.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// An instruction that [`exec`](crate::exec()) can run.
    Op(Op),
    /// An instruction that exists on the modelled processor, and has no model.
    Unsupported {
        /// Length in bytes.
        len: u8,
        /// AT&T disassembly, or `(bad)` for an encoding that the manuals leave open.
        text: String,
        /// The check that the instruction makes before all else.
        first: Check,
    },
    /// The bytes end before the instruction does.
    Incomplete,
}

/// The first check of an instruction without a model: if it fails, the instruction is known to
/// fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// No check that is known here.
    Nothing,
    /// CPL 0, or #GP(0).
    Privileged,
    /// SYSCALL: IA32_EFER.SCE, or #UD.
    Syscall,
    /// SYSRET: IA32_EFER.SCE, or #UD; then CPL 0, or #GP(0).
    Sysret,
}

impl Check {
    /// Returns the fault of the instruction at this CPL and with this value of IA32_EFER.SCE, if it
    /// is known.
    pub fn fault(self, cpl: u8, sce: bool) -> Option<Fault> {
        match self {
            Check::Syscall | Check::Sysret if !sce => Some(Fault::UD),
            Check::Privileged | Check::Sysret if cpl > 0 => Some(Fault::GP),
            _ => None,
        }
    }
}

/// The class of a form, by iced's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// [`exec`](crate::exec()) runs it.
    Supported,
    /// #UD: CPUID does not enumerate it.
    Absent,
    /// #UD on every processor.
    Undefined,
    /// The form exists and has no model.
    Unmodelled,
}

/// Returns the class of a form. A few operand values of a supported one are refused (ENTER with a
/// nesting level above 1, prefixes that vendors read differently).
pub fn class(code: Code) -> Class {
    match table::kind(code) {
        _ if cpuid::lacking(code).is_some() => Class::Absent,
        Some(Kind::Ud) => Class::Undefined,
        Some(_) => Class::Supported,
        None => Class::Unmodelled,
    }
}

/// Decodes the instruction at `ip`; `bytes` are the readable bytes there, up to [`MAX_LEN`] bytes.
///
/// Bytes that are no instruction in 64-bit mode, name a register that does not exist (CR1), have a
/// LOCK prefix where none is allowed, or are not enumerated by [`cpuid`] give an [`Op`] that raises
/// #UD; one longer than [`MAX_LEN`] gives one that raises #GP(0).
pub fn lower(bytes: &[u8], ip: u64) -> Lowered {
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    let mut decoder = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let len = small(instruction.len());
    if instruction.is_invalid() {
        return match decoder.last_error() {
            DecoderError::NoMoreBytes if bytes.len() < MAX_LEN && may_go_on(bytes) => {
                Lowered::Incomplete
            }
            _ if is_too_long(bytes) => Lowered::Op(blank(Kind::TooLong, len)),
            _ if is_open(bytes) => refused(len, "(bad)".to_owned(), Check::Nothing),
            _ => Lowered::Op(blank(Kind::Ud, len)),
        };
    }
    match class(instruction.code()) {
        Class::Absent | Class::Undefined => return Lowered::Op(blank(Kind::Ud, len)),
        Class::Supported | Class::Unmodelled => {}
    }
    match op_of(&instruction) {
        Some(op) if !vendors_differ(&op, &instruction, bytes) => Lowered::Op(op),
        _ => refused(len, text(&instruction), first_check(&instruction)),
    }
}

/// Returns the feature set of the instruction in `bytes` if the modelled processor lacks it.
pub fn lacking(bytes: &[u8]) -> Option<String> {
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    let instruction = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
    Some(format!("{:?}", cpuid::lacking(instruction.code())?))
}

fn refused(len: u8, text: String, first: Check) -> Lowered {
    Lowered::Unsupported { len, text, first }
}

fn first_check(instruction: &Instruction) -> Check {
    match instruction.mnemonic() {
        Mnemonic::Syscall => Check::Syscall,
        Mnemonic::Sysret | Mnemonic::Sysretq => Check::Sysret,
        _ if instruction.op_code().must_be_cpl0() => Check::Privileged,
        _ => Check::Nothing,
    }
}

/// Returns whether iced lacks this encoding and the manuals do not define it as #UD: encodings of
/// x87, and those reserved for NOPs.
fn is_open(bytes: &[u8]) -> bool {
    let prefixes = bytes.iter().take_while(|&&byte| is_legacy_prefix(byte));
    if prefixes.clone().any(|&byte| byte == 0xf0) {
        return false;
    }
    let mut opcode = opcode(bytes);
    match opcode.next() {
        Some(0xd8..=0xdf) => true,
        Some(0x0f) => matches!(opcode.next(), Some(0x0d | 0x18..=0x1f)),
        _ => false,
    }
}

/// Returns whether `bytes`, which end too early, can be the start of an instruction. The decoder
/// looks for a byte behind opcodes of the first map that do not exist; all others are taken to go
/// on.
fn may_go_on(bytes: &[u8]) -> bool {
    let opcode = opcode(bytes).next();
    if matches!(opcode, None | Some(0x0f | 0x62 | 0x8f | 0xc4 | 0xc5)) {
        return true;
    }
    let mut longer = [0; MAX_LEN];
    longer[..bytes.len()].copy_from_slice(bytes);
    (0..=u8::MAX).any(|next| {
        longer[bytes.len()] = next;
        !Decoder::new(64, &longer, DecoderOptions::NONE).decode().is_invalid()
    })
}

/// Returns whether an instruction with this start goes on after 15 bytes. The decoder does not
/// distinguish it from other invalid instructions, unless it has one byte less of it: without the
/// first, which is a prefix in an instruction that long.
fn is_too_long(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(64, bytes.get(1..).unwrap_or_default(), DecoderOptions::NONE);
    let cut_off =
        decoder.decode().is_invalid() && decoder.last_error() == DecoderError::NoMoreBytes;
    bytes.len() == MAX_LEN && cut_off
}

/// Returns the bytes after legacy prefixes and REX.
fn opcode(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let is_prefix = |byte: &u8| is_legacy_prefix(*byte) || byte & 0xf0 == 0x40;
    bytes.iter().copied().skip_while(is_prefix)
}

fn is_legacy_prefix(byte: u8) -> bool {
    matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3)
}

/// Returns the AT&T disassembly of the instruction in `bytes` at `ip`, `(bad)` if there is none;
/// for reports.
pub fn disassemble(bytes: &[u8], ip: u64) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_LEN)];
    let instruction = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE).decode();
    if instruction.is_invalid() { "(bad)".to_owned() } else { text(&instruction) }
}

/// Returns every form that [`lower`] accepts, by iced's name. A few operand values of a form can
/// still be refused (ENTER with a nesting level above 1). iced gives the flags that a form leaves
/// undefined through `Instruction::rflags_undefined`.
pub fn supported() -> impl Iterator<Item = Code> {
    Code::values().filter(|&code| table::kind(code).is_some() && class(code) != Class::Absent)
}

fn text(instruction: &Instruction) -> String {
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// Returns whether the vendors read the prefixes differently. Such an instruction is refused, so
/// that neither reading is assumed.
///
/// Before a branch, an operand-size prefix without REX.W: AMD cuts the target of a near branch to
/// 16 bits, Intel does not (APM vol. 3 and SDM vol. 2, JMP). Before LOOPE and LOOPNE, F2 and F3: on
/// an AMD family 1AH they choose the condition. Before a string instruction, a repeat prefix with
/// 32-bit addresses: if ECX is 0, Intel clears the upper halves of RCX and, for some, of RSI and
/// RDI; AMD changes nothing (each as `native` measured it).
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
            let prefixes = bytes.iter().take_while(|&&byte| is_legacy_prefix(byte)).count();
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
        // Two immediates. The frame pointers of outer levels would need loads after stores;
        // compilers do not use them.
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
