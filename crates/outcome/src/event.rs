//! Events of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Cr3, Exception, Hex, Kept, Level, Object, PhysicalFrame, Route, Value};

/// A position in the guest's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// `symbol+0x1a`.
    pub symbol: String,
    /// Source file, as short as it is unambiguous to a reader.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
}

/// A step of the story: something that another CPU could notice, or that a reader must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Number of the scheduling step it belongs to, from 1; 0 before the first.
    pub step: u32,
    /// The CPU.
    pub cpu: u8,
    /// Its level.
    pub level: Level,
    /// Functions active there, outermost first, the scenario's own plumbing left out.
    pub stack: Vec<Frame>,
    /// Instruction address and disassembly.
    pub instruction: Option<Instruction>,
    /// The event itself.
    pub what: What,
}

/// An active function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// As a person would write it in a mail: `switch_to`, `Core::switch_to`.
    pub function: String,
    /// Identifies this activation: two calls of one function differ.
    pub activation: u64,
    /// Source file.
    pub file: Option<String>,
    /// Line that is executing, from 1.
    pub line: Option<u32>,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// Address.
    pub address: Hex,
    /// `symbol+0x1a`.
    pub symbol: String,
    /// AT&T syntax.
    pub text: String,
}

/// An access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessKind {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The kinds of events, with their facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum What {
    /// A load from shared memory.
    Read {
        /// The bytes read.
        object: Object,
        /// The value.
        value: Value,
    },
    /// A store to shared memory.
    Write {
        /// The bytes written.
        object: Object,
        /// Value before.
        old: Value,
        /// Value after.
        value: Value,
    },
    /// An atomic read-modify-write of shared memory.
    Update {
        /// The bytes written.
        object: Object,
        /// Value before.
        old: Value,
        /// Value after.
        value: Value,
    },
    /// A store leaves the store buffer of the CPU and becomes visible.
    Drained {
        /// The bytes written.
        object: Object,
        /// Value before.
        old: Value,
        /// Value after.
        value: Value,
    },
    /// From here on the CPU's caches may keep an entry that memory no longer has.
    Cached {
        /// The entry that they may keep.
        entry: Kept,
        /// The paging-structure entry whose change leaves it there.
        of: Object,
    },
    /// The next access uses something else than a walk from CR3 gives.
    Stale {
        /// The way it goes.
        route: Route,
    },
    /// CR3 is written.
    WriteCr3 {
        /// Value before.
        old: Cr3,
        /// Value after.
        value: Cr3,
    },
    /// Another control register or an MSR is written.
    WriteRegister {
        /// `CR4`.
        register: String,
        /// Value before.
        old: Hex,
        /// Value after.
        value: Hex,
    },
    /// INVLPG.
    Invlpg {
        /// The operand.
        va: Hex,
        /// Otherwise nothing is invalidated.
        is_canonical: bool,
    },
    /// INVPCID.
    Invpcid {
        /// The type.
        operation: u64,
        /// The PCID of the descriptor.
        pcid: u64,
        /// The linear address of the descriptor.
        va: Hex,
    },
    /// A frame is free from here on.
    FrameFreed {
        /// The frame.
        frame: PhysicalFrame,
    },
    /// RFLAGS.IF changes.
    Interrupts {
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
    /// An IPI is delivered; the handler starts.
    Ipi {
        /// Vector.
        vector: u8,
        /// Sender, if only one sent it.
        from: Option<u8>,
    },
    /// The handler returns.
    IpiDone {
        /// Vector.
        vector: u8,
    },
    /// An access at CPL 3.
    User {
        /// Read, write or execute.
        access: AccessKind,
        /// The pointer.
        pointer: Hex,
        /// The exception it takes.
        fault: Option<Exception>,
    },
    /// `lamprey::note`.
    Note {
        /// The text.
        text: String,
    },
    /// `lamprey::mark`.
    Mark {
        /// The text.
        name: String,
    },
    /// `lamprey::choose`.
    Choose {
        /// Alternatives.
        of: u64,
        /// The one taken.
        picked: u64,
    },
    /// HLT.
    Halt,
    /// The CPU's closure has returned.
    End,
    /// The violated property shows here; always the last event.
    Violation,
}
