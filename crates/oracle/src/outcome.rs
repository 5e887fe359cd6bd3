//! What comes out of a program, as both sides say it.

use std::collections::BTreeSet;

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    /// A property of that name is violated.
    Failed(String),
    /// An exception, of that vector.
    Fault(u8),
    /// Nothing moves.
    Deadlock,
    /// No end is reached any more.
    Livelock,
}

/// What comes out of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Final states: the values of the observed words.
    pub ends: BTreeSet<Vec<u64>>,
    /// What goes wrong in some run. The search stops at the first.
    pub bad: BTreeSet<Bad>,
    /// The fewest context switches with which a run goes wrong otherwise than by going on for ever, and
    /// whether that is claimed to be the fewest.
    pub switches: Option<(u32, bool)>,
    /// States that were visited.
    pub states: usize,
}
