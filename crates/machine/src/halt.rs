//! Why a run does not go on.

use x86::Fault;

use crate::agent::Agent;

/// A property is violated by what an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Who.
    pub agent: Agent,
    /// At this instruction.
    pub rip: u64,
    /// What.
    pub what: Violation,
}

/// How a property is violated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The guest said so.
    Failure(Box<Failure>),
    /// A fault nobody handles.
    Fault(Fault),
    /// Code that runs by itself does not end.
    Endless,
}

/// The model ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Who.
    pub agent: Agent,
    /// At this instruction.
    pub rip: u64,
    /// What is not modelled, or what the scenario did wrong.
    pub what: String,
    /// The scenario calls Lamprey in a way that makes no sense: nothing follows for the code it runs.
    pub scenario: bool,
    /// The instruction, disassembled.
    pub instruction: Option<String>,
}

/// Why a run does not go on.
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
    /// What is wrong.
    pub sentence: String,
    /// What the property asks for; may be empty.
    pub expected: String,
    /// What there is; may be empty.
    pub found: String,
    /// Source file of the check; may be empty.
    pub file: String,
    /// Line.
    pub line: u64,
}
