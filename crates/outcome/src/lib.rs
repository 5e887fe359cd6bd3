//! Verdicts and the events of a run: what `check` makes and `report` renders.
//!
//! Everything is a fact with names beside it, for `report` to put into words and for tools to read.
//! Invariant: only shapes and their meaning, no behaviour. Apart from `abi` because a guest must not
//! link what these need.

#![forbid(unsafe_code)]

mod event;
mod finding;
mod reason;
mod value;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use event::{AccessKind, Event, Frame, Instruction, Place, What};
pub use finding::{Details, Finding, Waiting};
pub use reason::{Budget, Cause, Oddity, Reason, SoloPart, Warning};
pub use value::{
    Agent, Cr3, EntryLevel, Exception, Hex, Kept, Lam, Level, Object, PhysicalFrame, Region, Route,
    Value,
};

/// The verdict on a scenario, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// `crate::module::function`.
    pub scenario: String,
    /// First paragraph of its documentation.
    pub about: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The property it declares to violate.
    pub finds: Option<String>,
    /// Number of CPUs that run something.
    pub cpus: u8,
    /// The bounds of the verdict beside that number; `None` where no machine could be made.
    pub bounds: Option<Bounds>,
    /// Legal actions of the guest that are probably mistakes, whatever the verdict.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Figures of the search.
    pub stats: Stats,
    /// Marks declared or reached.
    pub marks: Vec<Mark>,
    /// The counterexample, for `Fail` and `Found`, and for `Lost` where another property is violated.
    pub finding: Option<Finding>,
    /// The reason to claim nothing, for `Undecided`; for `Lost` without counterexample.
    pub reason: Option<Reason>,
    /// The image that was run.
    pub image: ImageId,
}

/// The bounds within which a verdict holds, beside the number of CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The memory ordering.
    pub memory_model: MemoryModel,
    /// The target and settings of the guest's build: `x86_64-unknown-none at opt-level 3`.
    #[serde(default)]
    pub built_for: String,
    /// NMIs that nobody sends, in each run; `None` where none is handled.
    pub nmi_budget: Option<u64>,
    /// User memory.
    pub user_memory: UserMemory,
    /// Some run came to more equal interrupts on their way to a CPU than this number, and they counted as it.
    #[serde(default)]
    pub equal_interrupts: Option<u8>,
}

/// The order in which stores become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemoryModel {
    /// x86-TSO: a store buffer per CPU.
    #[default]
    Tso,
    /// Sequential consistency.
    Sc,
}

/// The kinds of user memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserMemory {
    /// Without page tables.
    #[default]
    Flat,
    /// Under page tables, with TLBs that are filled at any time.
    Adversarial,
    /// Under page tables, with TLBs that are filled by accesses alone.
    Retain,
    /// Under page tables, without TLBs.
    Eager,
}

/// Figures of a search.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Its text.
    pub name: String,
    /// Some run reached it.
    pub reached: bool,
}

/// The identity of the image that was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageId {
    /// File name.
    pub name: String,
    /// Build-id, or a hash of the file.
    pub id: String,
    /// The compiler, as the image names it.
    pub compiler: Option<String>,
}
