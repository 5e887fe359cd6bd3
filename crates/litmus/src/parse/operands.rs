//! Finds iced's form of an instruction by name and operands.

use std::collections::HashMap;
use std::sync::OnceLock;

use iced_x86::{Code, Instruction, MemoryOperand, Mnemonic, OpCodeOperandKind, Register};

pub(super) const NO_RSP: &str =
    "rsp is the stack pointer of the modelled machine; a test may use every other register";

/// Instructions with operands; they accept the suffixes `b`, `w`, `l`, `q`.
const SIZED: [(&str, Mnemonic); 23] = [
    ("mov", Mnemonic::Mov),
    ("add", Mnemonic::Add),
    ("or", Mnemonic::Or),
    ("and", Mnemonic::And),
    ("xor", Mnemonic::Xor),
    ("sub", Mnemonic::Sub),
    ("cmp", Mnemonic::Cmp),
    ("test", Mnemonic::Test),
    ("inc", Mnemonic::Inc),
    ("dec", Mnemonic::Dec),
    ("neg", Mnemonic::Neg),
    ("not", Mnemonic::Not),
    ("xchg", Mnemonic::Xchg),
    ("xadd", Mnemonic::Xadd),
    ("cmpxchg", Mnemonic::Cmpxchg),
    ("lea", Mnemonic::Lea),
    ("movabs", Mnemonic::Mov),
    ("shl", Mnemonic::Shl),
    ("sal", Mnemonic::Shl),
    ("shr", Mnemonic::Shr),
    ("sar", Mnemonic::Sar),
    ("rol", Mnemonic::Rol),
    ("ror", Mnemonic::Ror),
];

/// Suffixes of `set` and `cmov`, with synonyms.
const CONDITIONS: [(&[&str], Mnemonic, Mnemonic); 16] = [
    (&["o"], Mnemonic::Seto, Mnemonic::Cmovo),
    (&["no"], Mnemonic::Setno, Mnemonic::Cmovno),
    (&["b", "c", "nae"], Mnemonic::Setb, Mnemonic::Cmovb),
    (&["ae", "nb", "nc"], Mnemonic::Setae, Mnemonic::Cmovae),
    (&["e", "z"], Mnemonic::Sete, Mnemonic::Cmove),
    (&["ne", "nz"], Mnemonic::Setne, Mnemonic::Cmovne),
    (&["be", "na"], Mnemonic::Setbe, Mnemonic::Cmovbe),
    (&["a", "nbe"], Mnemonic::Seta, Mnemonic::Cmova),
    (&["s"], Mnemonic::Sets, Mnemonic::Cmovs),
    (&["ns"], Mnemonic::Setns, Mnemonic::Cmovns),
    (&["p", "pe"], Mnemonic::Setp, Mnemonic::Cmovp),
    (&["np", "po"], Mnemonic::Setnp, Mnemonic::Cmovnp),
    (&["l", "nge"], Mnemonic::Setl, Mnemonic::Cmovl),
    (&["ge", "nl"], Mnemonic::Setge, Mnemonic::Cmovge),
    (&["le", "ng"], Mnemonic::Setle, Mnemonic::Cmovle),
    (&["g", "nle"], Mnemonic::Setg, Mnemonic::Cmovg),
];

pub(super) fn is_set(mnemonic: Mnemonic) -> bool {
    CONDITIONS.iter().any(|(_, set, _)| *set == mnemonic)
}

pub(super) fn is_conditional_move(mnemonic: Mnemonic) -> bool {
    CONDITIONS.iter().any(|(_, _, cmov)| *cmov == mnemonic)
}

pub(super) fn is_shift(mnemonic: Mnemonic) -> bool {
    use Mnemonic::{Rol, Ror, Sar, Shl, Shr};
    matches!(mnemonic, Shl | Shr | Sar | Rol | Ror)
}

const PLAIN: [(&str, Code); 5] = [
    ("mfence", Code::Mfence),
    ("sfence", Code::Sfence),
    ("lfence", Code::Lfence),
    ("pause", Code::Pause),
    ("endbr64", Code::Endbr64),
];

/// Branches; `jlt` and `jgt` are herd's names.
const BRANCHES: [(&str, Code); 33] = [
    ("jmp", Code::Jmp_rel32_64),
    ("jo", Code::Jo_rel32_64),
    ("jno", Code::Jno_rel32_64),
    ("jb", Code::Jb_rel32_64),
    ("jc", Code::Jb_rel32_64),
    ("jae", Code::Jae_rel32_64),
    ("jnb", Code::Jae_rel32_64),
    ("jnc", Code::Jae_rel32_64),
    ("je", Code::Je_rel32_64),
    ("jz", Code::Je_rel32_64),
    ("jne", Code::Jne_rel32_64),
    ("jnz", Code::Jne_rel32_64),
    ("jbe", Code::Jbe_rel32_64),
    ("ja", Code::Ja_rel32_64),
    ("js", Code::Js_rel32_64),
    ("jns", Code::Jns_rel32_64),
    ("jp", Code::Jp_rel32_64),
    ("jnp", Code::Jnp_rel32_64),
    ("jl", Code::Jl_rel32_64),
    ("jlt", Code::Jl_rel32_64),
    ("jge", Code::Jge_rel32_64),
    ("jle", Code::Jle_rel32_64),
    ("jg", Code::Jg_rel32_64),
    ("jgt", Code::Jg_rel32_64),
    ("jnle", Code::Jg_rel32_64),
    ("jnl", Code::Jge_rel32_64),
    ("jnae", Code::Jb_rel32_64),
    ("jna", Code::Jbe_rel32_64),
    ("jnbe", Code::Ja_rel32_64),
    ("jpe", Code::Jp_rel32_64),
    ("jpo", Code::Jnp_rel32_64),
    ("jnge", Code::Jl_rel32_64),
    ("jng", Code::Jle_rel32_64),
];

/// The meaning of an instruction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Takes operands of this many bytes; `None` if the operands determine the width.
    Sized(Mnemonic, Option<u8>),
    /// Takes no operands.
    Plain(Code),
    /// Takes a label.
    Branch(Code),
    /// Ends the thread.
    Return,
    /// May have an operand, which has no effect.
    Nop,
    /// Writes a cache line back to memory, or drops it.
    Flush,
}

/// Returns the meaning of the lower-case `name`, if it is known.
pub(super) fn name(name: &str) -> Option<Name> {
    fn find<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
        list.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
    }
    match name {
        "ret" | "retq" => return Some(Name::Return),
        "nop" | "nopw" | "nopl" | "nopq" => return Some(Name::Nop),
        "clflush" | "clflushopt" | "clwb" => return Some(Name::Flush),
        _ => {}
    }
    if let Some(code) = find(&PLAIN, name) {
        return Some(Name::Plain(code));
    }
    if let Some(code) = find(&BRANCHES, name) {
        return Some(Name::Branch(code));
    }
    if let Some(mnemonic) = find(&SIZED, name) {
        return Some(Name::Sized(mnemonic, None));
    }
    if let Some(conditional) = conditional(name) {
        return Some(conditional);
    }
    let (stem, suffix) = name.split_at_checked(name.len().checked_sub(1)?)?;
    let bytes = match suffix {
        "b" => 1,
        "w" => 2,
        "l" => 4,
        "q" => 8,
        _ => return None,
    };
    find(&SIZED, stem).map(|mnemonic| Name::Sized(mnemonic, Some(bytes)))
}

/// Parses names like `setnb` and `cmovc`; also CMOVcc with a suffix that is not part of a condition.
fn conditional(name: &str) -> Option<Name> {
    let find = |condition: &str| CONDITIONS.iter().find(|(names, ..)| names.contains(&condition));
    if let Some(condition) = name.strip_prefix("set") {
        return find(condition).map(|(_, set, _)| Name::Sized(*set, None));
    }
    let condition = name.strip_prefix("cmov")?;
    if let Some((_, _, cmov)) = find(condition) {
        return Some(Name::Sized(*cmov, None));
    }
    let (stem, suffix) = condition.split_at_checked(condition.len().checked_sub(1)?)?;
    let bytes = match suffix {
        "w" => 2,
        "l" => 4,
        "q" => 8,
        _ => return None,
    };
    find(stem).map(|(_, _, cmov)| Name::Sized(*cmov, Some(bytes)))
}

/// Returns a general-purpose register by its lower-case name.
pub(super) fn register(name: &str) -> Option<Register> {
    static REGISTERS: OnceLock<HashMap<String, Register>> = OnceLock::new();
    let registers = REGISTERS.get_or_init(|| {
        let all = Register::values().filter(|register| register.is_gpr());
        let mut known: HashMap<String, Register> =
            all.map(|register| (format!("{register:?}").to_ascii_lowercase(), register)).collect();
        // The SDM calls the low byte of R8 to R15 R8B to R15B.
        let bytes: Vec<(String, Register)> = (8..16)
            .filter_map(|number| Some((format!("r{number}b"), *known.get(&format!("r{number}l"))?)))
            .collect();
        known.extend(bytes);
        known
    });
    registers.get(name).copied()
}

/// An operand of an instruction.
#[derive(Clone, Debug)]
pub(super) enum AsmOperand {
    Register(Register),
    Immediate(i64),
    Memory(MemoryOperand),
}

impl AsmOperand {
    /// Returns whether it is of this kind, if it is `bytes` bytes wide.
    fn fits(&self, kind: OpCodeOperandKind, bytes: u8) -> bool {
        use OpCodeOperandKind as Kind;
        let (register, memory, width) = match kind {
            Kind::r8_or_mem => (true, true, 1),
            Kind::r16_or_mem => (true, true, 2),
            Kind::r32_or_mem => (true, true, 4),
            Kind::r64_or_mem => (true, true, 8),
            Kind::r8_reg | Kind::r8_opcode => (true, false, 1),
            Kind::r16_reg | Kind::r16_opcode => (true, false, 2),
            Kind::r32_reg | Kind::r32_opcode => (true, false, 4),
            Kind::r64_reg | Kind::r64_opcode => (true, false, 8),
            Kind::mem => (false, true, bytes),
            _ => (false, false, bytes),
        };
        match *self {
            AsmOperand::Register(given) if kind == Kind::cl => given == Register::CL,
            AsmOperand::Register(given) => {
                register && width == bytes && given.size() == usize::from(bytes)
            }
            AsmOperand::Memory(_) => memory && width == bytes,
            AsmOperand::Immediate(value) => match kind {
                Kind::imm8 => (-0x80..0x100).contains(&value),
                Kind::imm8sex16 | Kind::imm8sex32 | Kind::imm8sex64 => {
                    (-0x80..0x80).contains(&value)
                }
                Kind::imm16 => (-0x8000..0x1_0000).contains(&value),
                Kind::imm32 => (-0x8000_0000..0x1_0000_0000).contains(&value),
                Kind::imm32sex64 => (-0x8000_0000..0x8000_0000).contains(&value),
                Kind::imm64 => true,
                _ => false,
            },
        }
    }
}

/// Returns the forms of an instruction in 64-bit mode, without those that name a fixed register.
fn forms(mnemonic: Mnemonic) -> &'static [Code] {
    static FORMS: OnceLock<HashMap<Mnemonic, Vec<Code>>> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        let mut forms: HashMap<Mnemonic, Vec<Code>> = HashMap::new();
        let sized = |code: &Code| {
            let mnemonic = code.mnemonic();
            SIZED.iter().any(|(_, known)| *known == mnemonic)
                || is_set(mnemonic)
                || is_conditional_move(mnemonic)
        };
        for code in Code::values().filter(sized).filter(|code| code.op_code().mode64()) {
            forms.entry(code.mnemonic()).or_default().push(code);
        }
        forms
    });
    forms.get(&mnemonic).map_or(&[], Vec::as_slice)
}

/// Returns the instruction with these operands, destination first, each `bytes` bytes wide.
pub(super) fn instruction(
    mnemonic: Mnemonic,
    bytes: u8,
    operands: &[AsmOperand],
) -> Option<Instruction> {
    forms(mnemonic).iter().find_map(|code| {
        let kinds = code.op_code().op_kinds();
        let fits = kinds.len() == operands.len()
            && operands.iter().zip(kinds).all(|(operand, kind)| operand.fits(*kind, bytes));
        fits.then(|| with(*code, operands)).flatten()
    })
}

fn with(code: Code, operands: &[AsmOperand]) -> Option<Instruction> {
    use AsmOperand::{Immediate, Memory, Register};
    let made = match *operands {
        [Register(one)] => Instruction::with1(code, one),
        [Memory(one)] => Instruction::with1(code, one),
        [Register(to), Register(from)] => Instruction::with2(code, to, from),
        [Register(to), Memory(from)] => Instruction::with2(code, to, from),
        [Memory(to), Register(from)] => Instruction::with2(code, to, from),
        // Iced checks immediates by sign: one that fits only unsigned is passed as unsigned.
        [Register(to), Immediate(value)] => Instruction::with2(code, to, value)
            .or_else(|_| Instruction::with2(code, to, u64::from_ne_bytes(value.to_ne_bytes()))),
        [Memory(to), Immediate(value)] => match i32::try_from(value) {
            Ok(value) => Instruction::with2(code, to, value).or_else(|error| {
                u32::try_from(value)
                    .map_err(|_| error)
                    .and_then(|value| Instruction::with2(code, to, value))
            }),
            Err(_) => Instruction::with2(code, to, u32::try_from(value).ok()?),
        },
        _ => return None,
    };
    made.ok()
}

/// Returns a branch, whose target is set later.
pub(super) fn branch(code: Code) -> Instruction {
    Instruction::with_branch(code, 0).expect("a form of a branch")
}

/// Returns the instruction without operands.
pub(super) fn plain(code: Code) -> Instruction {
    Instruction::with(code)
}
