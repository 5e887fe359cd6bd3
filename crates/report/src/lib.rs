//! A verdict and its run, told as text: one line, CPU columns, a mail, assembly, or JSON.
//!
//! ```text
//! outcome::Outcome ──► Text      verdict_line, columns, asm, mail, summary
//!                   └─► Value     json
//! ```
//!
//! [`Form`] has all forms of one outcome: [`columns()`] is what a failing check prints, [`mail()`] is the
//! same run in the shape in which races are told on kernel lists, [`asm()`] adds the instruction under each
//! event, and [`json()`] is for other tools, by the [`schema`] that is in `docs`. [`first_line`] is the
//! stable key by which findings are grouped; `facts` and `sentences` have the words that all forms share.
//!
//! What all forms have in common:
//!
//! - Only events of the run are told; what no other CPU can notice is counted, not listed.
//! - Functions nest by two spaces and are named when they are entered, not at each event.
//! - The number before an event is its scheduling step: the number that the headline counts, that
//!   JSON carries. Events of one step share one number, shown once.
//! - A source position is shown where it changes: `tlb.c:509`, then `:512` in the same function,
//!   the latter if there is room; [`json()`] has them all.
//! - A text that is too long wraps within its column. Only commands do not, for they shall work
//!   when they are copied, nor a verdict line, for it shall be found by `grep`.
//!
//! # Invariants
//!
//! Sentences are made here and nowhere else: what an outcome has is facts, apart from the guest's own words.
//!
//! This crate never reads or writes anything, never looks at the environment, and knows neither the
//! machine nor the search: its input is [`outcome`]. Equal input gives equal output. It emits no
//! colour codes: a [`Text`] carries [`Role`]s, and the caller may paint those, but whatever a role
//! says is also said in words. One `char` counts as one column.

#![forbid(unsafe_code)]

mod asm;
mod columns;
mod facts;
mod form;
mod json;
mod key;
mod lines;
mod mail;
mod numbers;
mod options;
mod sentences;
mod summary;
mod text;
mod wrap;

pub use asm::asm;
pub use columns::columns;
pub use form::Form;
pub use json::{VERSION, json, schema};
pub use key::first_line;
pub use lines::{verdict_line, verdict_word};
pub use mail::mail;
pub use numbers::count;
pub use options::{Context, Options};
pub use sentences::{bounds_in_words, expected, found, reason, sentence, warning};
pub use summary::{bounds, summary};
pub use text::{Line, Role, Span, Text};
