//! A state of the naive machine: nothing in it is shared, copied on write or cached.

use crate::program::{Code, Reg};
use crate::tlb::Tlb;

/// What holds interrupts back until the next instruction is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shadow {
    None,
    /// Of STI: interrupts.
    Interrupts,
    /// Of MOV to SS: interrupts and NMIs.
    All,
}

/// What a CPU does at one level: what it was started for, or a handler.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Level {
    pub(crate) code: Code,
    pub(crate) pc: usize,
    /// It has called, and stands before the hypercall.
    pub(crate) at_call: bool,
    pub(crate) regs: [u64; 16],
    /// What is on its stack, youngest last, without frames.
    pub(crate) stack: Vec<u64>,
    pub(crate) interrupts_on: bool,
    pub(crate) shadow: Shadow,
    pub(crate) halted: bool,
    pub(crate) ended: bool,
    /// Of an instruction that makes several accesses: what the first ones gave.
    pub(crate) loaded: Vec<u64>,
    /// Of such an instruction: the physical address that its translation gave.
    pub(crate) translated: Option<u64>,
}

impl Level {
    pub(crate) fn new(code: Code) -> Level {
        Level {
            code,
            pc: 0,
            at_call: false,
            regs: [0; 16],
            stack: Vec::new(),
            interrupts_on: true,
            shadow: Shadow::None,
            halted: false,
            ended: false,
            loaded: Vec::new(),
            translated: None,
        }
    }

    pub(crate) fn reg(&self, reg: Reg) -> u64 {
        self.regs[usize::from(reg)]
    }

    /// Writes the low bytes of a register, as instructions of that width do: four of them clear the rest.
    pub(crate) fn set(&mut self, reg: Reg, width: u8, value: u64) {
        let register = &mut self.regs[usize::from(reg)];
        *register = match width {
            1 | 2 => *register & !mask(width) | value & mask(width),
            _ => value & mask(width),
        };
    }
}

/// The bits of so many bytes.
pub(crate) fn mask(width: u8) -> u64 {
    if width == 8 { u64::MAX } else { (1 << (8 * width)) - 1 }
}

/// A store on its way to memory, within one aligned word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Buffered {
    pub(crate) va: u64,
    pub(crate) width: u8,
    pub(crate) value: u64,
    /// It was made through page tables.
    pub(crate) user: bool,
}

/// What one CPU sends to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Vector(u8),
    Nmi,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cpu {
    /// What it was started for, then what interrupted that, and so on.
    pub(crate) levels: Vec<Level>,
    /// Oldest first.
    pub(crate) buffer: Vec<Buffered>,
    /// How many of the oldest are older than an MFENCE.
    pub(crate) fenced: usize,
    /// Vectors that have arrived, ascending.
    pub(crate) requested: Vec<u8>,
    /// Vectors between delivery and EOI, in the order of delivery.
    pub(crate) in_service: Vec<u8>,
    pub(crate) nmi_requested: bool,
    pub(crate) nmis_blocked: bool,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) tlb: Tlb,
}

impl Cpu {
    pub(crate) fn top(&self) -> &Level {
        self.levels.last().expect("the lowest level stays")
    }

    pub(crate) fn top_mut(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the lowest level stays")
    }

    /// Whether it stands between two instructions.
    pub(crate) fn between(&self) -> bool {
        let top = self.top();
        top.loaded.is_empty() && top.translated.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) cpus: Vec<Cpu>,
    /// Words, by the numbers that the program's map gives them.
    pub(crate) memory: Vec<u64>,
    /// Messages that have been sent and have not arrived, sorted: to whom, and what.
    pub(crate) messages: Vec<(u8, Message)>,
    /// How many NMIs may come unsent.
    pub(crate) unsent: u8,
    /// Frames that are free, by physical address.
    pub(crate) freed: Vec<u64>,
    /// While a step is made: the words it has stored to.
    pub(crate) stored: Vec<usize>,
}

impl State {
    pub(crate) fn send(&mut self, to: u8, message: Message) {
        let at = self.messages.partition_point(|other| *other <= (to, message));
        self.messages.insert(at, (to, message));
    }

    /// All CPUs have ended and nothing is under way.
    pub(crate) fn ended(&self) -> bool {
        self.messages.is_empty()
            && self.cpus.iter().all(|cpu| {
                cpu.levels.len() == 1
                    && cpu.top().ended
                    && cpu.buffer.is_empty()
                    && cpu.requested.is_empty()
                    && !cpu.nmi_requested
            })
    }
}
