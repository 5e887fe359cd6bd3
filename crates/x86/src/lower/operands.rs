//! Operands of an instruction: registers by number, the memory operand, the immediate, widths.

use iced_x86::{Instruction, OpKind, Register};

use crate::num::small;
use crate::op::{Kind, NO_REG, Op, Operand, mem};

/// Returns the number of a register within its file: 0 to 15. RIP, or no register, is [`NO_REG`].
pub(super) fn number(register: Register) -> u8 {
    if register == Register::None || register.is_ip() { NO_REG } else { small(register.number()) }
}

/// Fills in the operands and the memory reference.
pub(super) fn resolve(op: &mut Op, instruction: &Instruction) {
    let mut operands = [Operand::None; 3];
    for (i, operand) in (0..instruction.op_count()).zip(&mut operands) {
        *operand = one(op, instruction, i);
    }
    [op.dst, op.src, op.src2] = operands;
}

fn one(op: &mut Op, instruction: &Instruction, i: u32) -> Operand {
    match instruction.op_kind(i) {
        OpKind::Register => register(instruction.op_register(i)),
        OpKind::Memory => {
            memory(op, instruction);
            Operand::Mem
        }
        OpKind::NearBranch64 => {
            op.imm = instruction.near_branch64();
            op.mem |= address_size(branch_address_register(instruction));
            Operand::Imm
        }
        // String operands: the segment of the source can be overridden, that of the destination
        // cannot.
        OpKind::MemorySegRSI | OpKind::MemorySegESI => {
            op.mem |= segment(instruction.segment_prefix());
            op.mem |= width_flag(instruction.op_kind(i) == OpKind::MemorySegESI);
            Operand::Mem
        }
        OpKind::MemoryESRDI | OpKind::MemoryESEDI => {
            op.mem |= width_flag(instruction.op_kind(i) == OpKind::MemoryESEDI);
            Operand::Mem
        }
        _ => {
            op.imm = instruction.immediate(i);
            Operand::Imm
        }
    }
}

fn register(register: Register) -> Operand {
    if register.is_xmm() {
        Operand::Xmm(number(register))
    } else if matches!(register, Register::AH | Register::CH | Register::DH | Register::BH) {
        Operand::High(number(register) & 3)
    } else {
        Operand::Reg(number(register.full_register()))
    }
}

fn memory(op: &mut Op, instruction: &Instruction) {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    // iced gives the address itself for RIP-relative operands.
    op.disp = instruction.memory_displacement64();
    op.base = number(base);
    op.index = number(index);
    op.scale = match instruction.memory_index_scale() {
        8 => 3,
        4 => 2,
        2 => 1,
        _ => 0,
    };
    op.mem |= segment(instruction.segment_prefix());
    let stack = matches!(base, Register::RSP | Register::ESP | Register::RBP | Register::EBP);
    if stack && op.mem & (mem::FS | mem::GS) == 0 {
        op.mem |= mem::STACK;
    }
    // An absolute address: a displacement of 4 bytes means address size 32, of 8 (encoded in 4 or 8) 64.
    let absolute = base == Register::None && index == Register::None;
    let short = absolute && instruction.memory_displ_size() == 4;
    op.mem |= address_size(base) | address_size(index) | width_flag(short);
}

/// Returns the segment override. CS, DS, ES and SS prefixes have no effect in 64-bit mode (SDM vol.
/// 1 §3.4.2.1).
fn segment(prefix: Register) -> u8 {
    match prefix {
        Register::FS => mem::FS,
        Register::GS => mem::GS,
        _ => 0,
    }
}

fn address_size(register: Register) -> u8 {
    width_flag(register.is_gpr32() || register == Register::EIP)
}

fn width_flag(address_is_32_bits: bool) -> u8 {
    if address_is_32_bits { mem::ADDR32 } else { 0 }
}

/// Returns the counter of JRCXZ and LOOP, which determines their address size.
fn branch_address_register(instruction: &Instruction) -> Register {
    use iced_x86::Code;
    match instruction.code() {
        Code::Jecxz_rel8_64
        | Code::Loop_rel8_64_ECX
        | Code::Loope_rel8_64_ECX
        | Code::Loopne_rel8_64_ECX => Register::ECX,
        _ => Register::RCX,
    }
}

/// Fills in `size` and `src_size`.
pub(super) fn set_sizes(op: &mut Op, instruction: &Instruction) {
    let size = |i| if i < instruction.op_count() { operand_size(instruction, i) } else { 0 };
    let own = (0..instruction.op_count()).map(size).find(|&size| size != 0).unwrap_or(8);
    op.size = own;
    op.src_size = size(1);
    match op.kind {
        Kind::Push
        | Kind::Pushf
        | Kind::Pop
        | Kind::Popf
        | Kind::Ret
        | Kind::Call
        | Kind::CallIndirect => op.size = stack_width(instruction),
        Kind::Out => op.size = size(1),
        Kind::Leave | Kind::Enter => op.size = frame_width(instruction),
        Kind::Cbw | Kind::Cwd => op.size = accumulator_width(instruction),
        // A register source of the narrow PINSR forms is wider than the lane.
        Kind::Pinsr | Kind::Pextr => op.src_size = lane_width(instruction),
        _ => {}
    }
}

fn operand_size(instruction: &Instruction, i: u32) -> u8 {
    match instruction.op_kind(i) {
        OpKind::Register => small(instruction.op_register(i).size()),
        OpKind::Memory
        | OpKind::MemorySegRSI
        | OpKind::MemorySegESI
        | OpKind::MemoryESRDI
        | OpKind::MemoryESEDI => small(instruction.memory_size().size()),
        _ => 0,
    }
}

fn stack_width(instruction: &Instruction) -> u8 {
    let change = instruction.stack_pointer_increment().unsigned_abs();
    if change == 2 { 2 } else { 8 }
}

fn frame_width(instruction: &Instruction) -> u8 {
    use iced_x86::Code;
    if matches!(instruction.code(), Code::Leavew | Code::Enterw_imm16_imm8) { 2 } else { 8 }
}

fn accumulator_width(instruction: &Instruction) -> u8 {
    use iced_x86::Mnemonic;
    match instruction.mnemonic() {
        Mnemonic::Cbw | Mnemonic::Cwd => 2,
        Mnemonic::Cwde | Mnemonic::Cdq => 4,
        _ => 8,
    }
}

fn lane_width(instruction: &Instruction) -> u8 {
    use iced_x86::Mnemonic;
    match instruction.mnemonic() {
        Mnemonic::Pinsrb | Mnemonic::Pextrb => 1,
        Mnemonic::Pinsrw | Mnemonic::Pextrw => 2,
        Mnemonic::Pinsrd | Mnemonic::Pextrd => 4,
        _ => 8,
    }
}
