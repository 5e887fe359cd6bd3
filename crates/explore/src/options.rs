//! What a search may spend, and what it tells while it runs.

use std::time::{Duration, Instant};

/// How to search, and the budgets.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most states a round may visit.
    pub states: u64,
    /// The most memory, in bytes, that a round may use as accounted.
    pub bytes: u64,
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Whether to leave out orders of independent steps.
    pub reduction: bool,
    /// Whether every access is a scheduling point: brute force, no fixpoint.
    pub every_access: bool,
    /// Whether a run that goes round for ever ends the search when it is met. Otherwise it is told when
    /// all is searched.
    pub circles: bool,
    /// A round that is not the last, as it has learnt something, ends after twice the transitions that
    /// took, and so many: what else it learns spares others.
    pub patience: u64,
    /// The most states to visit in order to simplify a violation that was found
    /// under reduction.
    pub shorten_states: u64,
    /// Every how many transitions to report progress; at least 1.
    pub progress_every: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            states: u64::from(u32::MAX),
            bytes: u64::MAX,
            deadline: None,
            reduction: true,
            every_access: false,
            circles: true,
            patience: 1_000,
            shorten_states: 1_000_000,
            progress_every: 1_000,
        }
    }
}

/// The moment `seconds` after `start`. `None`, no end, where that is later than clocks go.
#[must_use]
pub fn deadline(start: Instant, seconds: f64) -> Option<Instant> {
    start.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?)
}

/// How far a search has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The round, from 1.
    pub round: u32,
    /// Whether a violation was found and a simpler run of it is sought.
    pub shortening: bool,
    /// States visited in this round.
    pub states: u64,
    /// Steps taken in this round.
    pub transitions: u64,
    /// Steps taken in all rounds.
    pub transitions_all: u64,
    /// The context switches of the runs now being searched.
    pub switches: u32,
    /// The length of the runs now being searched.
    pub depth: u32,
    /// States of this round with steps still to take.
    pub frontier: u64,
    /// Words known to be shared.
    pub shared_words: u64,
    /// Memory in use, as accounted.
    pub bytes: u64,
}
