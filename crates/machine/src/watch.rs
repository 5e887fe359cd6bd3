//! Events that a caller may watch while a step runs.
//!
//! The search watches nothing (`()`), and the calls vanish.

use mmu::Kind;

use crate::agent::Agent;
use crate::route::{Kept, Route};

/// Something that happens during a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load of `size` bytes at linear address `va`; `locked` as part of an atomic update.
    Load {
        /// Address.
        va: u64,
        /// Bytes.
        size: u8,
        /// The value.
        value: u64,
        /// Another agent can notice or influence it.
        shared: bool,
        /// The load of an atomic read-modify-write.
        locked: bool,
    },
    /// A store.
    Store {
        /// Address.
        va: u64,
        /// Bytes.
        size: u8,
        /// Value before.
        old: u64,
        /// Value after.
        value: u64,
        /// Another agent can notice it.
        shared: bool,
        /// The store of an atomic read-modify-write.
        locked: bool,
        /// Into the store buffer: `old` is what memory still holds.
        buffered: bool,
    },
    /// The oldest store in the buffer becomes visible.
    Drain {
        /// Address.
        va: u64,
        /// Bytes.
        size: u8,
        /// Value before.
        old: u64,
        /// Value after.
        value: u64,
    },
    /// A control register of this CPU, or an MSR, is written.
    WriteRegister {
        /// `CR3`.
        register: &'static str,
        /// Value before.
        old: u64,
        /// The operand.
        operand: u64,
    },
    /// INVLPG.
    Invlpg {
        /// Its operand.
        va: u64,
        /// Not canonical, so nothing happens.
        nothing: bool,
    },
    /// A store to a paging-structure entry leaves something in a CPU's caches that memory no longer has;
    /// told of that CPU's hardware.
    Cached {
        /// The entry that may be left.
        kept: Kept,
        /// Linear address of the entry, in the direct map.
        entry: u64,
    },
    /// An access uses something else than a walk from CR3 gives; told of that CPU's hardware.
    Stale(Route),
    /// A frame is free from now on.
    FrameFreed {
        /// Its physical address.
        pa: u64,
    },
    /// Something legal that is probably a mistake.
    Warning(Warning),
    /// A bound of the model that this run has come to.
    Bound(Bound),
    /// INVPCID.
    Invpcid {
        /// Type.
        kind: u64,
        /// Descriptor.
        descriptor: [u64; 2],
    },
    /// RFLAGS.IF changes.
    InterruptFlag {
        /// The new value.
        on: bool,
    },
    /// An IPI is sent.
    SendIpi {
        /// Target.
        to: u8,
        /// Vector.
        vector: u8,
    },
    /// An interrupt is delivered; an NMI has vector 2.
    Ipi {
        /// Vector.
        vector: u8,
        /// A CPU has sent it.
        sent: bool,
    },
    /// The handler returns.
    IpiDone {
        /// Vector.
        vector: u8,
    },
    /// An access at CPL 3.
    User {
        /// Read, write or execute.
        kind: Kind,
        /// The pointer.
        pointer: u64,
        /// The fault it takes: vector and error code.
        fault: Option<(u8, u32)>,
    },
    /// `note`.
    Note(String),
    /// `mark`.
    Mark(String),
    /// `choose`.
    Choose {
        /// Alternatives.
        of: u16,
        /// Taken.
        picked: u16,
    },
    /// HLT.
    Halt,
    /// The thread's closure returned.
    End,
}

/// Something legal that is probably a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Others see the stores of a repeated string instruction in order; a processor may make them visible in
    /// another (SDM vol. 3 §9.2.4).
    FastString,
    /// INVLPG of an address that is not canonical invalidates nothing.
    Invlpg {
        /// The operand.
        va: u64,
    },
}

/// A bound of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// More than this number of equal interrupts on their way to a CPU count as this number.
    EqualInterrupts(u8),
}

/// One [`Access`] with where it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The agent.
    pub agent: Agent,
    /// Address of the instruction.
    pub rip: u64,
    /// The event.
    pub access: Access,
}

/// The effect of an instruction on the call stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// CALL.
    Call,
    /// RET, or the end of a hypercall.
    Return,
    /// Anything else.
    Other,
}

/// A watcher.
pub trait Watch {
    /// `false` makes every report vanish at compile time.
    const ON: bool;

    /// Something happened.
    fn seen(&mut self, seen: Seen);

    /// An instruction at `rip`, or the hypercall there, has been executed; RSP is now this.
    fn retired(&mut self, agent: Agent, rip: u64, flow: Flow, rsp_after: u64);
}

impl Watch for () {
    const ON: bool = false;

    fn seen(&mut self, _: Seen) {}

    fn retired(&mut self, _: Agent, _: u64, _: Flow, _: u64) {}
}
