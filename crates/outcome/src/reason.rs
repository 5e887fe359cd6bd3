//! Reasons to claim nothing, and warnings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Place;
use crate::value::Hex;

/// The reason to claim nothing, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The cause.
    pub cause: Cause,
    /// The place, if it is an instruction's.
    pub place: Option<Place>,
    /// The instruction, disassembled.
    pub instruction: Option<String>,
    /// The CPU it was on.
    pub cpu: Option<u8>,
}

/// The kinds of reasons to claim nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Cause {
    /// Something that is not modelled was reached.
    NotModelled {
        /// A noun phrase.
        what: String,
    },
    /// The scenario calls the guest library in a way that makes no sense.
    Misuse {
        /// The function of the library.
        call: String,
        /// The rest of a sentence that begins with it.
        what: String,
    },
    /// A budget is used up.
    Budget {
        /// The budget.
        of: Budget,
    },
    /// Somebody ended the search.
    Interrupted,
    /// A part of the scenario that runs by itself was cut off.
    CutOff {
        /// The part.
        part: SoloPart,
        /// By somebody; else because the time was used up.
        interrupted: bool,
    },
    /// The set-up registers no CPU.
    NoCpu,
    /// Every run was discarded by `assume`.
    Discarded,
    /// No mark was reached, and none is declared.
    NoMark,
    /// Marks that no run reached.
    Unreached {
        /// The marks.
        marks: Vec<String>,
    },
    /// Nothing is violated, though the scenario declares that something is.
    NothingViolated,
    /// A violation was found, but its trail does not replay: a defect of Lamprey.
    NoReplay {
        /// The error of the replay.
        error: String,
    },
    /// The image alone would use up the budget of memory.
    TooLarge {
        /// MiB of the guest's memory that the image takes.
        image: u64,
        /// MiB that a search of it would take.
        needed: u64,
        /// MiB of the budget.
        budget: u64,
    },
    /// The machine does not start with this image.
    NoStart {
        /// The error.
        what: String,
    },
}

/// A budget of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// States.
    States,
    /// Bytes.
    Memory,
    /// Seconds.
    Time,
}

/// A part of a scenario that runs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SoloPart {
    /// The set-up.
    SetUp,
    /// An invariant.
    Invariant,
    /// A final check.
    FinalCheck,
}

/// Something legal that is probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// The instruction: `symbol+0x1a`.
    pub symbol: String,
    /// The action.
    pub what: Oddity,
}

/// An action that a [`Warning`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Oddity {
    /// Others see the stores of a repeated string instruction in order; a processor may make them visible in
    /// another.
    FastString,
    /// INVLPG of an address that is not canonical invalidates nothing.
    Invlpg {
        /// The operand.
        va: Hex,
    },
}
