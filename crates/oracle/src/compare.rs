//! Runs a program on both sides and compares.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::assemble::assemble;
use crate::enumerate::{Refused, enumerate};
use crate::naive::Naive;
use crate::outcome::{Bad, Outcome};
use crate::program::Program;
use crate::search::{Mode, Undecided, heap, search};

/// The most states that each side may visit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the enumerator.
    pub naive: usize,
    /// Of the search.
    pub search: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { naive: 20_000, search: 50_000 }
    }
}

/// What a comparison gave.
#[derive(Clone, Debug)]
pub enum Compared {
    /// Both say this; the search stops at the first violation, and may say less then.
    Agreed(Outcome),
    /// One of them says nothing.
    Skipped(String),
    /// They say different things.
    Disagreed(Box<Disagreement>),
}

/// What both say.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// How it was searched.
    pub mode: Mode,
    /// What the enumerator says.
    pub naive: Outcome,
    /// What the search says.
    pub searched: Outcome,
}

/// Compares under each of `modes`.
pub fn compare(program: &Program, modes: &[Mode], limits: Limits) -> Compared {
    let heap = heap();
    let image = match assemble(program, heap) {
        Ok(image) => image,
        Err(error) => return Compared::Skipped(format!("assembler: {error}")),
    };
    let naive = match enumerate(program, &Naive::new(program, &image, heap), limits.naive) {
        Ok(naive) => naive,
        Err(Refused::Large(_)) => return Compared::Skipped("enumerator: too many states".into()),
        Err(Refused::NoRule(what)) => return Compared::Skipped(format!("enumerator: {what}")),
    };
    for mode in modes {
        // A search that panics is wrong, too.
        let searching = AssertUnwindSafe(|| search(program, &image, heap, *mode, limits.search));
        let searched = match catch_unwind(searching).unwrap_or_else(|_| Ok(panicked())) {
            Ok(searched) => searched,
            Err(Undecided::Gap(what)) => return Compared::Skipped(format!("search: {what}")),
            Err(Undecided::Large) => return Compared::Skipped("search: too many states".into()),
        };
        if !agree(&naive, &searched) {
            return Compared::Disagreed(Box::new(Disagreement { mode: *mode, naive, searched }));
        }
    }
    Compared::Agreed(naive)
}

/// What is said of a search that panics.
fn panicked() -> Outcome {
    Outcome { bad: BTreeSet::from([Bad::Failed("the search panics".into())]), ..Outcome::default() }
}

/// A search that finds something finds one of the things that can be found; one that finds nothing has all
/// final states.
fn agree(naive: &Outcome, searched: &Outcome) -> bool {
    let found: &BTreeSet<Bad> = &searched.bad;
    match found.is_empty() {
        true => naive.bad.is_empty() && naive.ends == searched.ends,
        false => found.is_subset(&naive.bad) && switches_agree(naive, searched),
    }
}

/// Where a run is called the simplest, none has fewer context switches. It may have fewer than any that the
/// enumerator knows: what CPUs do before their first visible operations belongs to no run, and costs nothing.
fn switches_agree(naive: &Outcome, searched: &Outcome) -> bool {
    match (naive.switches, searched.switches) {
        (Some((fewest, _)), Some((told, true))) => told <= fewest,
        _ => true,
    }
}
