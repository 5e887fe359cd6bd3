//! Random instances of a form: encoding, registers, memory.

mod memory;
mod operands;
mod special;

use iced_x86::{
    Code, Decoder, DecoderOptions, Encoder, FlowControl, Instruction, Mnemonic, OpKind,
};
use x86::{RSP, Regs, flags};

use crate::cpu::{Cpu, IP};
use crate::rng::Rng;
use crate::window::{SIZE, WINDOW};

/// An instruction with its complete initial state.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The instruction as decoded from `bytes`.
    pub instruction: Instruction,
    /// The encoding.
    pub bytes: Vec<u8>,
    /// Registers before; RIP is [`IP`].
    pub regs: Regs,
    /// The window before.
    pub memory: Vec<u8>,
}

/// The properties that all instances of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// True if GS base can be chosen.
    pub fsgsbase: bool,
    /// FS base, which cannot be chosen.
    pub fs_base: u64,
}

impl Host {
    /// Returns the properties of this processor and thread.
    pub fn of(cpu: &Cpu) -> Host {
        Host { fsgsbase: cpu.fsgsbase(), fs_base: cpu.fs_base() }
    }
}

/// A draft that the parts of the generator fill in.
struct Draft<'a> {
    rng: &'a mut Rng,
    host: Host,
    instruction: Instruction,
    regs: Regs,
    memory: Vec<u8>,
    /// Effective address of the memory operand, if it has one.
    effective: Option<u64>,
    /// Linear address of the memory operand, if it has one.
    target: u64,
}

/// Returns an endless sequence of random instances of `code`.
///
/// The sequence ends if no encoding can be found for the form: then the form is not one that decodes
/// to itself.
pub fn instances(code: Code, host: Host, rng: &mut Rng) -> impl Iterator<Item = Instance> {
    let mut memory: Vec<u8> = (0..SIZE).map(|_| rng.bits() as u8).collect();
    std::iter::from_fn(move || {
        (0..10_000).find_map(|_| {
            let instance = attempt(code, host, rng, &memory)?;
            memory.clone_from(&instance.memory);
            Some(instance)
        })
    })
}

/// Returns one instance, or `None` if the draft has no encoding.
fn attempt(code: Code, host: Host, rng: &mut Rng, memory: &[u8]) -> Option<Instance> {
    let regs = registers(host, rng);
    let mut instruction = Instruction::default();
    instruction.set_code(code);
    let mut draft =
        Draft { rng, host, instruction, regs, memory: memory.to_vec(), effective: None, target: 0 };
    draft.operands();
    draft.specialise();
    let mut encoder = Encoder::new(64);
    let len = encoder.encode(&draft.instruction, IP).ok()?;
    let mut bytes = encoder.take_buffer();
    let mut instruction = decode(&bytes);
    if instruction.code() != code || instruction.len() != len {
        return None;
    }
    if draft.rng.one_in(8) {
        (bytes, instruction) = with_idle_prefix(bytes, instruction, draft.rng);
    }
    if repeats_by_ecx(&instruction) || !draft.lands(&instruction) {
        return None;
    }
    Some(Instance { instruction, bytes, regs: draft.regs, memory: draft.memory })
}

fn decode(bytes: &[u8]) -> Instruction {
    Decoder::with_ip(64, bytes, IP, DecoderOptions::NONE).decode()
}

/// Returns whether this is a repeated string instruction with 32-bit addresses, which the
/// interpreter refuses: vendors differ.
fn repeats_by_ecx(instruction: &Instruction) -> bool {
    use OpKind as O;
    let narrow = |kind| matches!(kind, O::MemoryESEDI | O::MemorySegESI | O::MemorySegEDI);
    let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    repeated && instruction.is_string_instruction() && instruction.op_kinds().any(narrow)
}

/// Adds a prefix in front that does not change the form: ignored, or a second one of its kind.
fn with_idle_prefix(
    bytes: Vec<u8>,
    instruction: Instruction,
    rng: &mut Rng,
) -> (Vec<u8>, Instruction) {
    let branch = instruction.flow_control() != FlowControl::Next;
    if branch && instruction.is_ip_rel_memory_operand() {
        // One byte further the target is another.
        return (bytes, instruction);
    }
    // The interpreter refuses LOOPE and LOOPNE with F2 or F3, and branches with 66: vendors differ.
    let looped = matches!(instruction.mnemonic(), Mnemonic::Loope | Mnemonic::Loopne);
    let prefix = match rng.below(8) {
        0..2 if !branch => 0x66,
        2 if !looped => 0xf2,
        3 if !looped => 0xf3,
        4 => 0x40 | rng.below(16) as u8,
        _ => rng.pick(&[0x26, 0x2e, 0x36, 0x3e]),
    };
    let longer: Vec<u8> = [prefix].into_iter().chain(bytes.iter().copied()).collect();
    let decoded = decode(&longer);
    let same =
        decoded.code() == instruction.code() && decoded.op_kinds().eq(instruction.op_kinds());
    let operands = (0..decoded.op_count()).all(|i| {
        decoded.op_kind(i) != OpKind::Register
            || decoded.op_register(i) == instruction.op_register(i)
    });
    let address = decoded.memory_base() == instruction.memory_base()
        && decoded.memory_index() == instruction.memory_index();
    if same && operands && address { (longer, decoded) } else { (bytes, instruction) }
}

fn registers(host: Host, rng: &mut Rng) -> Regs {
    let mut gpr: [u64; 16] = std::array::from_fn(|_| rng.value());
    let misaligned = if rng.one_in(8) { rng.below(8) } else { 0 };
    gpr[RSP] = WINDOW + 0xc00 + (rng.below(0x800) & !7) + misaligned;
    let chosen = flags::STATUS | flags::DF | flags::ID;
    let gs_base = match rng.below(4) {
        _ if !host.fsgsbase => 0,
        0 => 0,
        1 => WINDOW - 0x1234,
        2 => WINDOW + rng.below(SIZE as u64),
        _ => ((rng.bits() << 16).cast_signed() >> 16).cast_unsigned(),
    };
    Regs {
        gpr,
        rip: IP,
        rflags: rng.bits() & chosen | flags::IF | flags::FIXED,
        xmm: std::array::from_fn(|_| rng.vector()),
        fs_base: host.fs_base,
        gs_base,
        kernel_gs_base: 0,
    }
}

impl Draft<'_> {
    /// Writes the part of `bytes` at a linear address that is in the window.
    fn poke(&mut self, address: u64, bytes: &[u8]) {
        let start = address.wrapping_sub(WINDOW);
        if start < SIZE as u64 {
            let start = start as usize;
            let end = (start + bytes.len()).min(SIZE);
            self.memory[start..end].copy_from_slice(&bytes[..end - start]);
        }
    }
}
