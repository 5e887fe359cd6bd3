//! From a program to an image: set-up, CPUs, handlers, and the addresses of their instructions.

use abi::hypercall::{FAILURE_WORDS, Hypercall};
use abi::layout::{HEAP_BASE, HEAP_PHYS, IMAGE_BASE};
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code as Form, IcedError, Instruction, InstructionBlock,
    MemoryOperand, Register,
};

use crate::check_code;
use crate::program::{
    Code, DATA, DESCRIPTORS, Op, PROPERTIES, Place, Program, RDI, RDX, RSI, Reg, Rmw, Strings,
    failure, result,
};

/// What the machine loads, and where everything is in it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its code.
    pub code: Vec<u8>,
    /// Its data, from [`DATA`] on.
    pub data: Vec<u8>,
    /// Where hypercalls are.
    pub calls: Vec<(u64, Hypercall)>,
    /// Set-up.
    pub entry: u64,
    /// Of each code, the address of each instruction.
    pub addresses: Vec<(Code, Vec<u64>)>,
}

/// Size of the data in bytes.
pub const DATA_BYTES: u64 = 0x1000;

impl Image {
    /// The address of an instruction.
    pub fn address(&self, code: Code, pc: usize) -> u64 {
        let of = self.addresses.iter().find(|(of, _)| *of == code);
        of.map_or(0, |(_, addresses)| addresses.get(pc).copied().unwrap_or(0))
    }

    /// Adds a function, and gives its address.
    ///
    /// # Errors
    ///
    /// An instruction has no encoding.
    pub fn append(&mut self, ops: &[Op]) -> Result<u64, IcedError> {
        Ok(place(&mut self.code, ops)?[0])
    }
}

/// Where a hypercall is.
pub fn stub(call: Hypercall) -> u64 {
    let number = Hypercall::ALL.iter().position(|other| *other == call);
    IMAGE_BASE + 16 * number.unwrap_or(0) as u64
}

/// The virtual address of the frame that set-up takes as number `frame`, if `heap` is the first.
pub fn frame_pa(heap: u64, frame: usize) -> u64 {
    heap - HEAP_BASE + HEAP_PHYS + 4096 * frame as u64
}

/// Makes an image. `heap` is the address of the first frame that set-up gets.
///
/// # Errors
///
/// An instruction has no encoding.
pub fn assemble(program: &Program, heap: u64) -> Result<Image, IcedError> {
    let calls: Vec<_> = Hypercall::ALL.iter().map(|call| (stub(*call), *call)).collect();
    let mut code = Vec::new();
    for _ in &calls {
        code.extend([0x0f, 0x0b]);
        code.resize(code.len().next_multiple_of(16), 0xcc);
    }
    let mut addresses = Vec::new();
    for which in program.codes() {
        let at = place(&mut code, program.code(which))?;
        addresses.push((which, at));
    }
    let first = |which: Code| {
        let of = addresses.iter().find(|(of, _)| *of == which);
        of.map_or(0, |(_, at)| at.first().copied().unwrap_or(0))
    };
    let mut checks = Vec::new();
    let kinds = [(Hypercall::Always, &program.always), (Hypercall::Finally, &program.finally)];
    for (call, all) in kinds {
        for check in all {
            checks.push((call, place(&mut code, &check_code::ops(check))?[0]));
        }
    }
    let set_up = set_up(program, heap, first, &checks);
    let entry = place(&mut code, &set_up)?[0];
    Ok(Image { code, data: data(program), calls, entry, addresses })
}

/// Appends a function; gives the addresses of its instructions.
fn place(code: &mut Vec<u8>, ops: &[Op]) -> Result<Vec<u64>, IcedError> {
    code.resize(code.len().next_multiple_of(16), 0xcc);
    let base = IMAGE_BASE + code.len() as u64;
    let mut instructions = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let mut instruction = encode(*op)?;
        // Branches name instructions by number, from 1.
        instruction.set_ip(at as u64 + 1);
        instructions.push(instruction);
    }
    let block = InstructionBlock::new(&instructions, base);
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS
        | BlockEncoderOptions::DONT_FIX_BRANCHES;
    let encoded = BlockEncoder::encode(64, block, options)?;
    code.extend(encoded.code_buffer);
    Ok(encoded.new_instruction_offsets.iter().map(|offset| base + u64::from(*offset)).collect())
}

/// The function that runs alone, first.
fn set_up(
    program: &Program,
    heap: u64,
    first: impl Fn(Code) -> u64,
    checks: &[(Hypercall, u64)],
) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut call = |call, arguments: &[(Reg, u64)]| {
        ops.extend(arguments.iter().map(|(reg, value)| Op::Set(*reg, *value)));
        ops.push(Op::Call(call));
    };
    for (handler, number) in program.handlers.iter().zip(0u8..) {
        let vector = (RDI, u64::from(handler.vector));
        let entry = (RSI, first(Code::Handler(number)));
        match handler.raw {
            true => call(Hypercall::RawHandler, &[vector, entry]),
            false => call(Hypercall::Handler, &[vector, entry, (RDX, 0)]),
        }
    }
    if let Some(handler) = &program.nmi {
        let (budget, entry) = ((RDI, u64::from(program.nmi_budget)), (RSI, first(Code::Nmi)));
        match handler.raw {
            true => call(Hypercall::RawNmi, &[budget, entry]),
            false => call(Hypercall::Nmi, &[budget, entry, (RDX, 0)]),
        }
    }
    for (kind, entry) in checks {
        call(*kind, &[(RDI, *entry), (RSI, 0)]);
    }
    for number in 0..program.cpus.len() as u8 {
        let entry = (RSI, first(Code::Cpu(number)));
        call(Hypercall::Cpu, &[(RDI, u64::from(number)), entry, (RDX, 0)]);
    }
    if let Some(tables) = &program.tables {
        call(Hypercall::PageTables, &[(RDI, 4)]);
        call(Hypercall::Alloc, &[(RDI, 4096 * tables.frames as u64), (RSI, 4096)]);
        let store = |ops: &mut Vec<Op>, (frame, word, value): &(usize, usize, u64)| {
            ops.push(Op::Set(RDI, heap + (4096 * frame + 8 * word) as u64));
            ops.push(Op::Set(RSI, *value));
            ops.push(Op::Store(RSI, 8, Place::At(RDI)));
        };
        tables.entries.iter().chain(&tables.words).for_each(|entry| store(&mut ops, entry));
        if tables.cr3 != 0 {
            ops.push(Op::Set(RDI, tables.cr3));
            ops.push(Op::ToCr(3, RDI));
        }
        tables.later.iter().for_each(|entry| store(&mut ops, entry));
    }
    ops.push(Op::Ret);
    ops
}

/// The data segment.
fn data(program: &Program) -> Vec<u8> {
    let mut data = vec![0u8; DATA_BYTES as usize];
    let mut put = |va: u64, value: u64| {
        let at = (va - DATA) as usize;
        data[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    for (word, value) in program.initial.iter().enumerate() {
        put(DATA + 8 * word as u64, *value);
    }
    for property in 0..PROPERTIES {
        let record = failure(property);
        let text = record + 8 * FAILURE_WORDS as u64;
        put(record, text);
        put(record + 8, 2);
        put(text, u64::from(b'p') | (u64::from(b'0') + property) << 8);
    }
    if let Some(tables) = &program.tables {
        for (number, (pcid, va)) in (0u8..).zip(&tables.descriptors) {
            put(descriptor(number), *pcid);
            put(descriptor(number) + 8, *va);
        }
    }
    data
}

/// Where a descriptor of INVPCID is.
pub fn descriptor(number: u8) -> u64 {
    DESCRIPTORS + 16 * u64::from(number)
}

/// A general register of so many bytes.
fn register(reg: Reg, width: u8) -> Register {
    use Register::{
        AL, AX, BL, BP, BPL, BX, CL, CX, DI, DIL, DL, DX, EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP,
        R8, R8D, R8L, R8W, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, SI, SIL, SP, SPL,
    };
    let low = match width {
        1 => [AL, CL, DL, BL, SPL, BPL, SIL, DIL],
        2 => [AX, CX, DX, BX, SP, BP, SI, DI],
        4 => [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI],
        _ => [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI],
    };
    let high = match width {
        1 => R8L,
        2 => R8W,
        4 => R8D,
        _ => R8,
    };
    match low.get(usize::from(reg)) {
        Some(register) => *register,
        None => high + u32::from(reg - 8),
    }
}

fn memory(place: Place) -> MemoryOperand {
    match place {
        Place::Data(offset) => MemoryOperand::with_displ(DATA + u64::from(offset), 8),
        Place::At(reg) => MemoryOperand::with_base(register(reg, 8)),
    }
}

/// The one of four forms for so many bytes.
fn form(width: u8, forms: [Form; 4]) -> Form {
    forms[match width {
        1 => 0,
        2 => 1,
        4 => 2,
        _ => 3,
    }]
}

fn encode(op: Op) -> Result<Instruction, IcedError> {
    use Form::*;
    let wide = |reg| register(reg, 8);
    match op {
        Op::Set(reg, value) => Instruction::with2(Mov_r64_imm64, wide(reg), value),
        Op::Lea(to, from, by) => {
            let sum = MemoryOperand::with_base_displ(wide(from), i64::from(by));
            Instruction::with2(Lea_r64_m, wide(to), sum)
        }
        Op::And(reg, mask) => Instruction::with2(And_rm64_imm32, wide(reg), mask.cast_signed()),
        Op::Nop => Ok(Instruction::with(Nopd)),
        Op::Jrcxz(to) => Instruction::with_branch(Jrcxz_rel8_64, to as u64 + 1),
        Op::Jmp(to) => Instruction::with_branch(Jmp_rel8_64, to as u64 + 1),
        Op::Call(call) => Instruction::with_branch(Call_rel32_64, stub(call)),
        Op::Push(reg) => Instruction::with1(Push_r64, wide(reg)),
        Op::Pop(reg) => Instruction::with1(Pop_r64, wide(reg)),
        Op::Iret => Ok(Instruction::with(Iretq)),
        Op::Ret => Ok(Instruction::with(Retnq)),
        Op::Load(..) | Op::Store(..) | Op::StoreImm(..) | Op::Frame(..) | Op::Keep(..) => {
            encode_move(op)
        }
        Op::Rmw(how, locked, reg, width, place) => encode_rmw(how, locked, reg, width, place),
        Op::Cmpxchg16b(locked, place) => {
            let mut instruction = Instruction::with1(Cmpxchg16b_m128, memory(place))?;
            instruction.set_has_lock_prefix(locked);
            Ok(instruction)
        }
        Op::Rep(how, width) => encode_string(how, width),
        _ => encode_system(op),
    }
}

fn encode_move(op: Op) -> Result<Instruction, IcedError> {
    use Form::*;
    const STORES: [Form; 4] = [Mov_rm8_r8, Mov_rm16_r16, Mov_rm32_r32, Mov_rm64_r64];
    match op {
        Op::Load(reg, width, place) => {
            let forms = [Movzx_r32_rm8, Movzx_r32_rm16, Mov_r32_rm32, Mov_r64_rm64];
            let to = register(reg, width.max(4));
            Instruction::with2(form(width, forms), to, memory(place))
        }
        Op::Store(reg, width, place) => {
            Instruction::with2(form(width, STORES), memory(place), register(reg, width))
        }
        Op::StoreImm(value, width, place) => {
            let forms = [Mov_rm8_imm8, Mov_rm16_imm16, Mov_rm32_imm32, Mov_rm64_imm32];
            let value = match width {
                1 => value & 0xff,
                2 => value & 0xffff,
                _ => value,
            };
            Instruction::with2(form(width, forms), memory(place), value)
        }
        Op::Frame(reg, word) => {
            let word = MemoryOperand::with_base_displ(Register::RSP, 8 * i64::from(word));
            Instruction::with2(Mov_r64_rm64, register(reg, 8), word)
        }
        Op::Keep(reg, slot) => {
            // The low bits of a slot's number are those of the word, the others those of the CPU.
            let word = MemoryOperand::with_displ(result(slot >> 4, slot & 15), 8);
            Instruction::with2(Mov_rm64_r64, word, register(reg, 8))
        }
        _ => Ok(Instruction::with(Nopd)),
    }
}

fn encode_rmw(
    how: Rmw,
    locked: bool,
    reg: Reg,
    width: u8,
    place: Place,
) -> Result<Instruction, IcedError> {
    use Form::*;
    let forms = match how {
        Rmw::Add => [Add_rm8_r8, Add_rm16_r16, Add_rm32_r32, Add_rm64_r64],
        Rmw::Or => [Or_rm8_r8, Or_rm16_r16, Or_rm32_r32, Or_rm64_r64],
        Rmw::Xadd => [Xadd_rm8_r8, Xadd_rm16_r16, Xadd_rm32_r32, Xadd_rm64_r64],
        Rmw::Xchg => [Xchg_rm8_r8, Xchg_rm16_r16, Xchg_rm32_r32, Xchg_rm64_r64],
        Rmw::Cmpxchg => [Cmpxchg_rm8_r8, Cmpxchg_rm16_r16, Cmpxchg_rm32_r32, Cmpxchg_rm64_r64],
    };
    let mut instruction =
        Instruction::with2(form(width, forms), memory(place), register(reg, width))?;
    instruction.set_has_lock_prefix(locked && how != Rmw::Xchg);
    Ok(instruction)
}

fn encode_string(how: Strings, width: u8) -> Result<Instruction, IcedError> {
    match (how, width) {
        (Strings::Stos, 1) => Instruction::with_rep_stosb(64),
        (Strings::Stos, 2) => Instruction::with_rep_stosw(64),
        (Strings::Stos, 4) => Instruction::with_rep_stosd(64),
        (Strings::Stos, _) => Instruction::with_rep_stosq(64),
        (Strings::Movs, 1) => Instruction::with_rep_movsb(64),
        (Strings::Movs, 2) => Instruction::with_rep_movsw(64),
        (Strings::Movs, 4) => Instruction::with_rep_movsd(64),
        (Strings::Movs, _) => Instruction::with_rep_movsq(64),
    }
}

fn encode_system(op: Op) -> Result<Instruction, IcedError> {
    use Form::*;
    let wide = |reg| register(reg, 8);
    let control = |number: u8| Register::CR0 + u32::from(number);
    match op {
        Op::Mfence => Ok(Instruction::with(Mfence)),
        Op::Lfence => Ok(Instruction::with(Lfence)),
        Op::Sfence => Ok(Instruction::with(Sfence)),
        Op::Cli => Ok(Instruction::with(Cli)),
        Op::Sti => Ok(Instruction::with(Sti)),
        Op::Pushf => Ok(Instruction::with(Pushfq)),
        Op::Popf => Ok(Instruction::with(Popfq)),
        Op::Hlt => Ok(Instruction::with(Hlt)),
        Op::MovSs(reg) => Instruction::with2(Mov_Sreg_r32m16, Register::SS, register(reg, 4)),
        Op::Wrmsr => Ok(Instruction::with(Wrmsr)),
        Op::Invlpg(reg) => Instruction::with1(Invlpg_m, MemoryOperand::with_base(wide(reg))),
        Op::Invpcid(reg, place) => Instruction::with2(Invpcid_r64_m128, wide(reg), memory(place)),
        Op::ToCr(number, reg) => Instruction::with2(Mov_cr_r64, control(number), wide(reg)),
        Op::FromCr(reg, number) => Instruction::with2(Mov_r64_cr, wide(reg), control(number)),
        _ => Ok(Instruction::with(Nopd)),
    }
}
