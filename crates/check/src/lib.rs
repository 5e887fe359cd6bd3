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
mod limits;
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

pub use image::{InputError, read_file};

pub use guest::{Guest, LoadError, Scenario};
pub use judge::{Checked, bounds};
pub use limits::{Limits, Progress};
pub use machine::{Config, Cutoff, Fill, MemoryModel};
pub use replay::replay;
pub use trail::{ReplayError, Trail, TrailError};

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
