//! What a check may use, and how far it has come.

use machine::{Config, Cutoff};

/// What a check may use, and what may be switched off to see that it changes no verdict.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Wall-clock seconds.
    pub seconds: Option<f64>,
    /// States.
    pub states: Option<u64>,
    /// Bytes of memory, by the search's own count.
    pub bytes: Option<u64>,
    /// Leave out orders of independent steps.
    pub reduction: bool,
    /// Every access is a scheduling point, not only those to shared words: the control of what makes a word
    /// shared. For small scenarios.
    pub every_access: bool,
    /// What the modelled machine is like.
    pub config: Config,
    /// When set-up, invariants and final checks are cut off although there is time left. The search itself
    /// hears of it through `progress`.
    pub interrupted: Cutoff,
}

impl Default for Limits {
    fn default() -> Limits {
        let config = Config::default();
        Limits {
            seconds: None,
            states: None,
            bytes: None,
            reduction: true,
            every_access: false,
            config,
            interrupted: Cutoff::default(),
        }
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// States found in this round.
    pub states: u64,
    /// Steps taken in this round.
    pub transitions: u64,
    /// Length of the runs now searched, in steps.
    pub depth: u32,
    /// Context switches of the runs now searched.
    pub switches: u32,
    /// States with steps still to take.
    pub queue: u64,
    /// Round, from 1.
    pub round: u32,
    /// Bytes in use.
    pub bytes: u64,
    /// Seconds since the check began.
    pub seconds: f64,
}
