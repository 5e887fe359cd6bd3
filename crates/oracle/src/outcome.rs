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
    /// States that were visited.
    pub states: usize,
}
