//! The numbers a search is about: agents, choices and touches.

/// One thread of control, 0 to 63. An interrupt level of a processor is an
/// agent of its own; so is its store buffer, and the observer on whose behalf
/// invariants read.
pub type Agent = u8;

/// A set of agents, one bit each.
pub type Agents = u64;

/// One way to go on from a state: a step of `agent`, and which of the outcomes
/// its pending operation leaves open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Choice {
    /// Who steps.
    pub agent: Agent,
    /// Which outcome; 0 where there is only one.
    pub pick: u16,
}

/// An access to a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Touch {
    /// The number of the word; numbers should be dense, tables are indexed by them.
    pub word: u32,
    /// Whether the word may be written; a read otherwise.
    pub write: bool,
}
