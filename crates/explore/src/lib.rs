//! Explicit-state search over a trait.
//!
//! A [`Model`] says which [`Choice`]s a state has and what a step of one agent
//! does; [`search()`] visits every state that matters, simplest runs first, and
//! says whether one of them is bad, stuck, or can never end. [`replay()`] runs a
//! trail again.
//!
//! Nothing has to be declared shared. The search starts with no *shared* word,
//! so that every agent runs through in one step; [`Words`] records who touches
//! what; and the search starts over with what it learnt until a whole round
//! brings nothing new (see [`search()`] for why that is enough).
//!
//! # Invariants
//!
//! - This crate knows neither x86 nor kernels: words, agents and program points
//!   are numbers.
//! - It is deterministic: the same model and options give the same verdict, the
//!   same trail and the same counts (a deadline or an interrupt apart).
//! - A run that was cut short (budget, gap) never counts as searched.
#![forbid(unsafe_code)]

mod choice;
mod model;
mod search;

mod reduce;
mod round;

mod knowledge;
mod queue;
mod store;
mod turn;

mod options;
mod replay;
mod verdict;
mod words;

pub use choice::{Agent, Agents, Choice, Touch};
pub use model::{Model, Next, Stop};
pub use options::{Options, Progress, deadline};
pub use replay::{ReplayError, Replayed, replay};
pub use search::search;
pub use turn::Switches;
pub use verdict::{Found, Stats, Verdict, What, Why};
pub use words::Words;
