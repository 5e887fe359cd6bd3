//! Counterexamples, and the facts of a violation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{AccessKind, Event, Place};
use crate::value::{Agent, Exception, Object, PhysicalFrame, Route};

/// A counterexample.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The violated property, in kebab-case.
    pub property: String,
    /// The facts of the violation.
    pub details: Details,
    /// The event since which it is so: its index among `events`. For an entry that caches may keep this is
    /// where they come to keep it; for a walk, the write of CR3; for a frame, that it was freed.
    pub since: Option<usize>,
    /// The write that this is about, its index among `events`: of the paging-structure entry that caches may
    /// keep as it was before, or the last one to an object that a check's words mention.
    pub write: Option<usize>,
    /// The CPU on which it shows; `None` for a property of a whole state.
    pub cpu: Option<u8>,
    /// The place where it shows.
    pub place: Option<Place>,
    /// Context switches: steps at which another CPU goes on although the last one could have.
    pub switches: u32,
    /// Steps of the trail: scheduling decisions.
    pub steps: u32,
    /// No run with fewer switches violates anything, nor any with as many and fewer steps the property that is
    /// declared, or anything if none or another is. Steps are those of this search: they end at words that it
    /// knows to be shared. A run that goes on for ever counts from where it has gone round once; of circles that are too large to be found
    /// before all is searched nothing is said.
    pub shortest: bool,
    /// The visible events in order.
    pub events: Vec<Event>,
    /// Instructions no other CPU can notice, not among the events.
    pub folded: u64,
}

/// The kinds of violations, with their facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Details {
    /// A check of the guest failed, in the guest's words.
    Check {
        /// The sentence that says what is wrong.
        sentence: String,
        /// The value that the property asks for.
        expected: Option<String>,
        /// The value that there is instead.
        found: Option<String>,
    },
    /// An exception that nothing handles.
    Fault {
        /// The exception.
        exception: Exception,
        /// The address of a page fault.
        address: Option<Object>,
        /// The instruction, disassembled.
        instruction: Option<String>,
        /// The set that the instruction belongs to, where CPUID does not enumerate it.
        lacks: Option<String>,
    },
    /// Set-up, an invariant or a final check does not end.
    Endless,
    /// A closure returns with RFLAGS.IF clear.
    InterruptsOff {
        /// Its CPU.
        cpu: u8,
    },
    /// A CPU uses a translation to a frame that is free.
    FreedFrame {
        /// The CPU.
        cpu: u8,
        /// The frame.
        frame: PhysicalFrame,
        /// The translation.
        route: Route,
    },
    /// A frame is freed while a store to it is in the store buffer of another CPU.
    FreedUnderStore {
        /// The CPU with the store.
        cpu: u8,
        /// The frame.
        frame: PhysicalFrame,
    },
    /// A frame is freed that is free.
    FreedTwice {
        /// The CPU that frees it.
        cpu: u8,
        /// The frame.
        frame: PhysicalFrame,
    },
    /// A CPU walks, or may walk, through a page table that is free.
    FreedTable {
        /// The CPU.
        cpu: u8,
        /// The table.
        frame: PhysicalFrame,
        /// The walk.
        route: Route,
    },
    /// A stack frame is accessed that its owner has left.
    StackUseAfterReturn {
        /// The agent that accesses it. For a store that leaves a store buffer, the thread of that CPU.
        by: Agent,
        /// Read or write.
        access: AccessKind,
        /// The owner of the stack.
        owner: Agent,
        /// The bytes.
        object: Object,
        /// Bytes from there to the owner's stack pointer.
        below: u64,
    },
    /// No CPU can go on.
    Deadlock {
        /// The CPUs that have not ended.
        waiting: Vec<Waiting>,
    },
    /// From here no run ends.
    Livelock {
        /// The CPUs that have not ended.
        waiting: Vec<Waiting>,
    },
}

/// A CPU that has not ended in the last state of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The CPU.
    pub cpu: u8,
    /// It is halted.
    pub is_halted: bool,
    /// The place where it is.
    pub place: Option<Place>,
}
