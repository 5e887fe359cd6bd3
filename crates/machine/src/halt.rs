//! Ends of runs: violations and gaps.

use abi::hypercall::Hypercall;
use abi::property::Property;
use x86::Fault;

use crate::agent::Agent;
use crate::route::Route;

/// A property is violated by what an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The agent at work.
    pub agent: Agent,
    /// The address of the instruction.
    pub rip: u64,
    /// The violation.
    pub what: Violation,
}

/// The violation of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The guest's own report.
    Failure(Box<Failure>),
    /// A fault nobody handles.
    Fault(Fault),
    /// Code that runs by itself does not end.
    Endless,
    /// The agent's closure returns with RFLAGS.IF clear.
    InterruptsOff,
    /// A CPU uses a translation to a frame that is free.
    FreedFrame {
        /// The CPU.
        cpu: u8,
        /// Physical address of the frame.
        frame: u64,
        /// The translation.
        route: Route,
    },
    /// A frame is freed while a store to it is in the store buffer of another CPU.
    FreedUnderStore {
        /// The CPU with the store.
        cpu: u8,
        /// Physical address of the frame.
        frame: u64,
    },
    /// The agent frees a frame that is free.
    FreedTwice {
        /// Physical address of the frame.
        frame: u64,
    },
    /// A CPU walks, or may walk at any time, through a table that is free.
    FreedTable {
        /// The CPU.
        cpu: u8,
        /// Physical address of the table.
        frame: u64,
        /// The walk.
        route: Route,
    },
    /// An agent accesses a stack frame that its owner has left.
    StackUseAfterReturn {
        /// The agent. For a store that leaves its CPU's store buffer it is that CPU's thread.
        by: Agent,
        /// A store.
        write: bool,
        /// The owner of the stack.
        owner: Agent,
        /// Linear address of the access.
        va: u64,
        /// Bytes from there to the owner's stack pointer.
        below: u64,
    },
}

impl Violation {
    /// Returns the name of the property that is violated.
    pub fn property(&self) -> &str {
        let property = match self {
            Violation::Failure(failure) => return &failure.property,
            Violation::Fault(_) => Property::Fault,
            Violation::Endless => Property::Endless,
            Violation::InterruptsOff => Property::EndsWithInterruptsOff,
            Violation::FreedFrame { .. } | Violation::FreedUnderStore { .. } => {
                Property::FreedFrame
            }
            Violation::FreedTwice { .. } => Property::FreedTwice,
            Violation::FreedTable { .. } => Property::FreedTable,
            Violation::StackUseAfterReturn { .. } => Property::StackUseAfterReturn,
        };
        property.name()
    }
}

/// The model ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The agent at work.
    pub agent: Agent,
    /// The address of the instruction.
    pub rip: u64,
    /// The reason.
    pub what: GapKind,
    /// The instruction, disassembled.
    pub instruction: Option<String>,
}

/// The kinds of gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// Something that is not modelled: a noun phrase.
    NotModelled(String),
    /// A call that makes no sense: nothing follows for the code that the scenario runs.
    Misuse(Misuse),
}

/// A call of Lamprey that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// The call.
    pub call: Hypercall,
    /// The rest of a sentence that begins with the call's name.
    pub what: String,
}

/// The reason that a run does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A violation.
    Bad(Bad),
    /// Not modelled.
    Gap(Gap),
    /// `assume` did not hold.
    Discarded,
    /// Code that runs by itself was cut off at this instruction: see [`Cutoff`](crate::Cutoff).
    CutOff {
        /// The instruction.
        rip: u64,
    },
}

/// A property that the guest found violated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The property, in kebab-case.
    pub property: String,
    /// The sentence that says what is wrong.
    pub sentence: String,
    /// The value that the property asks for; may be empty.
    pub expected: String,
    /// The value that there is; may be empty.
    pub found: String,
    /// Source file of the check; may be empty.
    pub file: String,
    /// Line.
    pub line: u64,
}
