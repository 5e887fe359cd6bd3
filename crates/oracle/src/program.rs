//! Programs: what CPUs, handlers and set-up do, instruction by instruction.
//!
//! An [`Op`] is one machine instruction, so that a handler which looks at RIP tells as many places apart as
//! on the machine.

use abi::hypercall::Hypercall;
use abi::layout::IMAGE_BASE;

/// A general register by its number in an encoding: 0 RAX, 1 RCX, 2 RDX, 3 RBX, 5 RBP and so on. Not RSP.
pub type Reg = u8;

/// RAX.
pub const RAX: Reg = 0;
/// RCX.
pub const RCX: Reg = 1;
/// RDX.
pub const RDX: Reg = 2;
/// RBX.
pub const RBX: Reg = 3;
/// RSI.
pub const RSI: Reg = 6;
/// RDI.
pub const RDI: Reg = 7;
/// R8, the first of those that no instruction uses by itself.
pub const R8: Reg = 8;

/// The data of a program.
pub const DATA: u64 = IMAGE_BASE + 0x1_0000;
/// Words that all may access, from [`DATA`] on.
pub const SHARED_WORDS: usize = 6;
/// Where results are kept: [`KEEPS`] words for each CPU.
pub const RESULTS: u64 = DATA + 0x100;
/// Words of results of each CPU.
pub const KEEPS: usize = 4;
/// What [`Hypercall::UserRead`] reads comes here: a word for each CPU.
pub const VALUES: u64 = DATA + 0x300;
/// Descriptors of INVPCID, constant: 16 bytes each.
pub const DESCRIPTORS: u64 = DATA + 0x400;
/// Arguments of [`Hypercall::Fail`], one for each property.
pub const FAILURES: u64 = DATA + 0x800;
/// How many properties a program can violate by itself.
pub const PROPERTIES: u64 = 4;

/// What a memory operand names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So many bytes behind [`DATA`].
    Data(u16),
    /// What the register points to.
    At(Reg),
}

/// What a read-modify-write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rmw {
    /// ADD to memory.
    Add,
    /// OR to memory.
    Or,
    /// XADD.
    Xadd,
    /// XCHG, which is LOCKed by itself.
    Xchg,
    /// CMPXCHG, with RAX.
    Cmpxchg,
}

/// A string instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// STOS: of RAX, to where RDI points.
    Stos,
    /// MOVS: from where RSI points to where RDI points.
    Movs,
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// MOV of a constant.
    Set(Reg, u64),
    /// LEA: the first becomes the second plus the constant.
    Lea(Reg, Reg, i32),
    /// AND with a constant.
    And(Reg, u32),
    /// Loads so many bytes, with zeroes above.
    Load(Reg, u8, Place),
    /// Stores so many bytes.
    Store(Reg, u8, Place),
    /// Stores a constant of so many bytes, sign-extended.
    StoreImm(i32, u8, Place),
    /// A read-modify-write of so many bytes, LOCKed or not.
    Rmw(Rmw, bool, Reg, u8, Place),
    /// CMPXCHG16B, LOCKed or not.
    Cmpxchg16b(bool, Place),
    /// A string instruction on so many bytes, repeated RCX times, upwards.
    Rep(Strings, u8),
    /// MFENCE.
    Mfence,
    /// LFENCE.
    Lfence,
    /// SFENCE.
    Sfence,
    /// CLI.
    Cli,
    /// STI.
    Sti,
    /// PUSHFQ.
    Pushf,
    /// POPFQ.
    Popf,
    /// HLT.
    Hlt,
    /// MOV to SS, of a register that has 18H.
    MovSs(Reg),
    /// PUSH.
    Push(Reg),
    /// POP.
    Pop(Reg),
    /// Loads the word of the frame of a raw handler: 0 RIP, 2 RFLAGS. [`Op::And`] with 200H comes next for
    /// the latter, as no other flag has a model.
    Frame(Reg, u8),
    /// NOP.
    Nop,
    /// JRCXZ to that instruction.
    Jrcxz(usize),
    /// JMP to that instruction.
    Jmp(usize),
    /// CALL of a hypercall.
    Call(Hypercall),
    /// WRMSR.
    Wrmsr,
    /// INVLPG of what the register points to.
    Invlpg(Reg),
    /// INVPCID: the type in the register, the descriptor at the place.
    Invpcid(Reg, Place),
    /// MOV to the control register.
    ToCr(u8, Reg),
    /// MOV from the control register.
    FromCr(Reg, u8),
    /// Stores a register to a word of results, which nobody reads: the CPU in the upper four bits of the
    /// number, which of its words in the lower ones.
    Keep(Reg, u8),
    /// IRETQ.
    Iret,
    /// RET.
    Ret,
}

impl Op {
    /// Where it may jump to.
    pub fn target(&mut self) -> Option<&mut usize> {
        match self {
            Op::Jrcxz(to) | Op::Jmp(to) => Some(to),
            _ => None,
        }
    }
}

/// A handler of interrupts or NMIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Of interrupts; 2 for that of NMIs.
    pub vector: u8,
    /// Finds a frame and ends with IRETQ.
    pub raw: bool,
    /// What it does.
    pub code: Vec<Op>,
}

/// What an invariant or a final check asks for: where one shared word has a value, another has one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Where this word has this value, ...
    pub when: (u8, u32),
    /// ... this one has this; it is not looked at otherwise.
    pub then: (u8, u32),
    /// The property that is violated if it has not; a run that is discarded, if there is none.
    pub property: Option<u64>,
}

/// A whole program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// What shared words have at first.
    pub initial: [u64; SHARED_WORDS],
    /// What each CPU runs.
    pub cpus: Vec<Vec<Op>>,
    /// Handlers of interrupts.
    pub handlers: Vec<Handler>,
    /// That of NMIs.
    pub nmi: Option<Handler>,
    /// How many NMIs come unsent.
    pub nmi_budget: u8,
    /// Page tables.
    pub tables: Option<Tables>,
    /// Invariants.
    pub always: Vec<Check>,
    /// Final checks.
    pub finally: Vec<Check>,
}

/// Page tables of a program, in frames that set-up takes one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Frames of 4 KiB, tables and pages.
    pub frames: usize,
    /// Stores that set-up makes: frame, word in the frame, value.
    pub entries: Vec<(usize, usize, u64)>,
    /// What set-up loads CR3 of CPU 0 with; 0 for nothing.
    pub cr3: u64,
    /// Stores that set-up makes after that: what was there before may be cached.
    pub later: Vec<(usize, usize, u64)>,
    /// Words of frames that are pages and are observed: frame, word, first value.
    pub words: Vec<(usize, usize, u64)>,
    /// Descriptors of INVPCID: PCID and address.
    pub descriptors: Vec<(u64, u64)>,
    /// Linear addresses that the program uses: those for which something can be cached.
    pub pages: Vec<u64>,
    /// Entries may have A clear.
    pub unaccessed: bool,
}

/// Which code: each is a function of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// That of a CPU.
    Cpu(u8),
    /// That of a handler, by its place in the list.
    Handler(u8),
    /// That of NMIs.
    Nmi,
}

impl Program {
    /// The instructions of `code`.
    pub fn code(&self, code: Code) -> &[Op] {
        match code {
            Code::Cpu(cpu) => &self.cpus[usize::from(cpu)],
            Code::Handler(handler) => &self.handlers[usize::from(handler)].code,
            Code::Nmi => self.nmi.as_ref().map_or(&[], |handler| &handler.code),
        }
    }

    /// All code there is.
    pub fn codes(&self) -> Vec<Code> {
        let cpus = (0u8..).zip(&self.cpus).map(|(cpu, _)| Code::Cpu(cpu));
        let handlers = (0u8..).zip(&self.handlers).map(|(handler, _)| Code::Handler(handler));
        cpus.chain(handlers).chain(self.nmi.iter().map(|_| Code::Nmi)).collect()
    }

    /// The instructions of `code`, to change them.
    pub fn code_mut(&mut self, code: Code) -> Option<&mut Vec<Op>> {
        match code {
            Code::Cpu(cpu) => self.cpus.get_mut(usize::from(cpu)),
            Code::Handler(handler) => {
                self.handlers.get_mut(usize::from(handler)).map(|handler| &mut handler.code)
            }
            Code::Nmi => self.nmi.as_mut().map(|handler| &mut handler.code),
        }
    }

    /// The words whose last values make a final state.
    pub fn observed(&self, heap: u64) -> Vec<u64> {
        let shared = (0..SHARED_WORDS as u64).map(|word| DATA + 8 * word);
        let kept = (0..(self.cpus.len() * KEEPS) as u64).map(|word| RESULTS + 8 * word);
        let pages = self.tables.iter().flat_map(|tables| &tables.words);
        let pages = pages.map(|(frame, word, _)| heap + (4096 * frame + 8 * word) as u64);
        shared.chain(kept).chain(pages).collect()
    }
}

/// The address of the word of results `slot` of `cpu`.
pub fn result(cpu: u8, slot: u8) -> u64 {
    RESULTS + 8 * (KEEPS as u64 * u64::from(cpu) + u64::from(slot))
}

/// Returns the argument with which [`Hypercall::Fail`] violates the property `p0`, `p1` and so on.
pub fn failure(property: u64) -> u64 {
    FAILURES + 128 * property
}
