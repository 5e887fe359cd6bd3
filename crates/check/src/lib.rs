//! Scenario, image, machine, search and properties make a verdict and a trail.
//!
//! [`Guest::open`] reads an image and its scenarios; [`check`] searches one scenario and gives an
//! [`Outcome`](outcome::Outcome), with a [`Trail`] where something was found; [`replay()`] runs a trail
//! again and tells the same story. Apart from these, [`run`] boots a kernel on a machine of its own.
//!
//! # Invariants
//!
//! - Does no output and reads no file but through `image`.
//! - A verdict is a function of image, scenario and limits; only `Undecided` may depend on time.
//! - Says nothing in sentences, errors apart: outcomes are facts with names beside them.
//! - What is not modelled, not reached or not finished is `Undecided`, never `Pass`.

#![forbid(unsafe_code)]

mod guest;
mod judge;
mod model;
mod names;
mod narrate;
mod replay;
pub mod run;
mod stacks;
mod tell;
mod trail;
mod wrong;

use std::ops::ControlFlow;
use std::time::Instant;

use outcome::{Bounds, UserMemory};

pub use image::{InputError, read_file};

pub use guest::{Guest, LoadError, Scenario};
pub use machine::{Config, Cutoff, Fill, MemoryModel};
pub use replay::replay;
pub use trail::{ReplayError, Trail, TrailError};

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

/// A verdict, and the trail to what was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The verdict and all that belongs to it.
    pub outcome: outcome::Outcome,
    /// How to run the counterexample again.
    pub trail: Option<Trail>,
}

/// What verdicts on this machine hold for, for a scenario with page tables or without, and with so many
/// NMIs, if it handles any.
pub fn bounds(config: Config, page_tables: bool, nmi_budget: Option<u64>) -> Bounds {
    let user_memory = match (page_tables, config.fill) {
        (false, _) => UserMemory::Flat,
        (true, Fill::Adversarial) => UserMemory::Adversarial,
        (true, Fill::Retain) => UserMemory::Retain,
        (true, Fill::Eager) => UserMemory::Eager,
    };
    let memory_model = match config.memory_model {
        MemoryModel::Sc => outcome::MemoryModel::Sc,
        MemoryModel::Tso => outcome::MemoryModel::Tso,
    };
    Bounds { memory_model, nmi_budget, user_memory, ..Bounds::default() }
}

/// Checks `scenario`. `progress` is called about every thousand steps; `Break` ends the search.
pub fn check(
    guest: &Guest,
    scenario: &Scenario,
    limits: &Limits,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Checked {
    let start = Instant::now();
    let defaults = explore::Options::default();
    let bytes = limits.bytes.unwrap_or(defaults.bytes);
    if let Some(why) = guest.too_large_for(bytes) {
        return judge::cannot_start(guest, scenario, why);
    }
    let mut model = match model::Model::new(guest, scenario, limits.config) {
        Ok(model) => model,
        Err(what) => {
            return judge::cannot_start(guest, scenario, outcome::Cause::NoStart { what });
        }
    };
    let deadline = limits.seconds.and_then(|seconds| explore::deadline(start, seconds));
    let interrupted = limits.interrupted.clone();
    model.set_budget(model::Budget { deadline, interrupted });
    let options = explore::Options {
        states: limits.states.unwrap_or(defaults.states),
        bytes,
        deadline,
        reduction: limits.reduction,
        every_access: limits.every_access,
        ..defaults
    };
    let found = explore::search(&mut system::System::new(&mut model), &options, &mut |p| {
        progress(&Progress {
            states: p.states,
            transitions: p.transitions,
            depth: p.depth,
            switches: p.switches,
            queue: p.frontier,
            round: p.round,
            bytes: p.bytes,
            seconds: start.elapsed().as_secs_f64(),
        })
    });
    judge::judge(guest, scenario, limits, model, &found, start)
}
