//! Verdicts and the events of a run: what `check` makes and `report` renders.
//!
//! Invariant: only shapes and their meaning, no behaviour. Apart from `abi` because a guest must not
//! link what these need.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// What is known of a scenario after its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Searched to the end within the bounds; nothing violated, every mark reached.
    Pass,
    /// A property is violated.
    Fail,
    /// The scenario re-creates a known bug, and the bug was found as declared.
    Found,
    /// The scenario re-creates a known bug, and that bug was not found.
    Lost,
    /// Nothing is claimed: a budget was used up, or something not modelled was reached.
    Undecided,
}

/// The result of checking one scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// `crate::module::function`.
    pub scenario: String,
    /// First paragraph of its documentation.
    pub about: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The property it declares to violate.
    pub finds: Option<String>,
    /// How many CPUs run something.
    pub cpus: u8,
    /// What the verdict holds for beside that number.
    #[serde(default)]
    pub bounds: Bounds,
    /// What is legal, but probably unintended, whatever the verdict: a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Figures of the search.
    pub stats: Stats,
    /// Marks declared or reached.
    pub marks: Vec<Mark>,
    /// The counterexample, for `Fail` and `Found`, and for `Lost` where another property is violated.
    pub finding: Option<Finding>,
    /// Why nothing is claimed, for `Undecided`; for `Lost` without counterexample.
    pub reason: Option<Reason>,
    /// What was run.
    pub image: ImageId,
}

/// What a verdict holds for, beside the number of CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// `x86-TSO` or `SC`.
    pub memory_model: String,
    /// What the guest was built for: `x86_64-unknown-none at opt-level 3`. Empty where nothing was run.
    #[serde(default)]
    pub built_for: String,
    /// The other bounds, a few words each: `IPIs`, `no NMI`.
    pub others: Vec<String>,
}

/// Figures of a search.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Distinct states in the last round.
    pub states: u64,
    /// Steps taken in the last round.
    pub transitions: u64,
    /// Steps taken in all rounds.
    pub transitions_all: u64,
    /// Guest instructions executed in all rounds.
    pub instructions: u64,
    /// Most steps from the initial state to any state.
    pub depth: u32,
    /// For a passing scenario the most context switches on any shortest path, none excluded; for an
    /// undecided one the number of switches up to which all runs were explored, none if not even those
    /// without a switch were; else the counterexample's.
    pub switches: Option<u32>,
    /// For an undecided scenario: up to `switches` a run may still come to where no end can be reached.
    #[serde(default)]
    pub livelocks_apart: bool,
    /// Rounds until the set of shared words no longer grew.
    pub rounds: u32,
    /// Words found to be shared.
    pub shared_words: u32,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Bytes the search held at its peak, by its own count.
    pub peak_bytes: u64,
    /// Bytes per stored state: visited set and graph, without the frontier's snapshots.
    pub bytes_per_state: f64,
}

/// A mark and whether some run reached it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its text.
    pub name: String,
    /// Did some run reach it?
    pub reached: bool,
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageId {
    /// File name.
    pub name: String,
    /// Build-id, or a hash of the file.
    pub id: String,
    /// The compiler, as the image names it.
    pub compiler: Option<String>,
}

/// Why nothing is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One sentence.
    pub sentence: String,
    /// Where, if at an instruction.
    pub place: Option<Place>,
    /// The instruction, disassembled.
    pub instruction: Option<String>,
    /// The CPU it was on.
    pub cpu: Option<u8>,
}

/// A position in the guest's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `symbol+0x1a`.
    pub symbol: String,
    /// Source file, as short as it is unambiguous to a reader.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
}

/// A counterexample.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// The violated property, in kebab-case.
    pub property: String,
    /// What is wrong, in one sentence, in the kernel's terms.
    pub sentence: String,
    /// What the property asks for.
    pub expected: Option<String>,
    /// What there is instead.
    pub found: Option<String>,
    /// The CPU on which it shows; `None` for a property of a whole state.
    pub cpu: Option<u8>,
    /// Where it shows.
    pub place: Option<Place>,
    /// How often a CPU is interrupted by another's step.
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

/// The level at which a CPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The code `lamprey::cpu` registered.
    Thread,
    /// An interrupt handler.
    Interrupt,
    /// An NMI handler.
    Nmi,
}

/// Something another CPU could notice, or that a reader must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number of the scheduling step it belongs to, from 1.
    pub step: u32,
    /// The CPU.
    pub cpu: u8,
    /// Its level.
    pub level: Level,
    /// Functions active there, outermost first, the scenario's own plumbing left out.
    pub stack: Vec<Frame>,
    /// Instruction address and disassembly.
    pub instruction: Option<Instruction>,
    /// What happens.
    pub what: What,
}

/// An active function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// Address.
    pub address: u64,
    /// `symbol+0x1a`.
    pub symbol: String,
    /// AT&T syntax.
    pub text: String,
}

/// What happens in an [`Event`]. Objects and values are named where names are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum What {
    /// A load from shared memory.
    Read {
        /// `mm_a.lam_cr3_mask`.
        object: String,
        /// The value.
        value: String,
    },
    /// A store to shared memory.
    Write {
        /// The object.
        object: String,
        /// Value before.
        old: String,
        /// Value after.
        value: String,
    },
    /// An atomic read-modify-write of shared memory.
    Update {
        /// The object.
        object: String,
        /// Value before.
        old: String,
        /// Value after.
        value: String,
    },
    /// The hardware does something by itself: a store leaves the store buffer.
    Hardware {
        /// `store buffer drains: A.lam: 0 -> 1`.
        text: String,
    },
    /// A control register or MSR is written.
    WriteRegister {
        /// `CR3`.
        register: String,
        /// Value before.
        old: String,
        /// Value after.
        value: String,
    },
    /// TLB entries are invalidated.
    Invalidate {
        /// `invpcid 1 {pcid 1}`.
        text: String,
    },
    /// RFLAGS.IF changes.
    Interrupts {
        /// To this.
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
        /// `read`, `write` or `execute`.
        access: String,
        /// The pointer.
        pointer: String,
        /// `ok`, or the fault: `#GP`.
        result: String,
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
