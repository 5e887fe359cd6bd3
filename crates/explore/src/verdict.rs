//! What a search found.

use crate::Choice;

/// The outcome of a search.
#[derive(Clone, Debug)]
pub struct Found<B, G> {
    /// What can be said.
    pub verdict: Verdict<B, G>,
    /// What it took.
    pub stats: Stats,
    /// The shared words under which trails are to be [replayed](crate::replay()).
    pub shared: Vec<u32>,
}

/// What can be said after a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<B, G> {
    /// Every run was searched, and none is bad.
    Pass,
    /// A run is bad.
    Violated {
        /// In what way.
        what: What<B>,
        /// The choices that lead there.
        trail: Vec<Choice>,
        /// The context switches of the trail.
        switches: u32,
        /// Whether no bad run has fewer switches, nor any of the [wanted](crate::Model::is_wanted) kinds, or where
        /// this is of none, as many and fewer steps. A run that goes on
        /// for ever counts as bad from where it comes back to a state on its way; one that goes
        /// round a larger circle than a search looks for on the way does not count.
        shortest: bool,
    },
    /// Not every run was searched, and none of those searched is bad.
    Undecided {
        /// What was in the way.
        why: Why<G>,
        /// No run with up to this many context switches is bad, livelocks apart;
        /// none where not even those without a switch have all been searched.
        complete_switches: Option<u32>,
        /// No run with up to this many context switches, at most `complete_switches`, comes to a
        /// state from which no end can be reached.
        complete_livelocks: Option<u32>,
    },
}

/// What is bad about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<B> {
    /// The model says so.
    Bad(B),
    /// No agent can go on, and that is not a proper end.
    Deadlock,
    /// Agents go on for ever: from the last state of the trail no end can be reached.
    Livelock,
}

/// Why a search decided nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why<G> {
    /// A run met something unmodelled; the choices lead there.
    Gap(G, Vec<Choice>),
    /// The budget of states (or the 32-bit number of a state) was used up.
    States,
    /// The budget of memory was used up.
    Bytes,
    /// The deadline passed.
    Time,
    /// The progress callback asked to stop.
    Interrupted,
}

/// What a search took. Counts are those of the last round unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Different states.
    pub states: u64,
    /// Steps taken.
    pub transitions: u64,
    /// Steps taken in all rounds, also to simplify a trail.
    pub transitions_all: u64,
    /// Rounds.
    pub rounds: u32,
    /// Shared words.
    pub shared_words: u64,
    /// The length of the longest run searched (of the shortest to each state).
    pub depth: u32,
    /// The most context switches of a run searched.
    pub switches: u32,
    /// Proper ends: different states that [ended](crate::Model::ended).
    pub ends: u64,
    /// The most states with steps to take at a time.
    pub frontier_peak: u64,
    /// The most memory in use at a time, as accounted, over all rounds.
    pub peak_bytes: u64,
    /// The memory of visited states and of the graph between them.
    pub graph_bytes: u64,
}
