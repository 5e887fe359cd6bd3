//! Litmus tests: small programs of a few threads, and all the states they can end in.
//!
//! [`parse()`] reads herd's formats `X86_64` and `X86`, [`run()`] takes the test through every interleaving of the
//! modelled machine, [`Report`] says what came out in herd's form, and [`Log`] reads what herd or litmus7
//! printed, so that the sets of final states can be [compared](compare()).
//!
//! # Rooms
//!
//! | file | holds |
//! | --- | --- |
//! | `test` | what a test is; the truth of a condition |
//! | `source` | comments, tokens, places in the text |
//! | `parse` | from text to test |
//! | `assemble` | from test to machine code and data |
//! | `run` | the machine as the search sees it; all final states |
//! | `states` | a final state as text, both ways |
//! | `report` | herd's output, and the same for tools |
//! | `log` | logs, and what differs from them |
//!
//! # Invariants
//!
//! - The syntax is ours, the encoding is iced's, and what instructions do is the machine's: nothing
//!   about memory ordering is decided here.
//! - What is not understood is an error with its place, and what is not modelled makes a test undecided;
//!   neither counts as agreement.
//! - Nothing here prints or reads files.

#![forbid(unsafe_code)]

mod assemble;
mod log;
mod parse;
mod report;
mod run;
mod source;
mod states;
mod test;

pub use assemble::Refused;
pub use log::{Difference, Listed, Log, LogError, compare, compare_subset};
pub use parse::parse;
pub use report::Report;
pub use run::{Budget, Final, Undecided, run};
pub use source::ParseError;
pub use test::{
    Expected, Formula, Location, MAX_LOCATIONS, MAX_THREADS, Model, OBSERVATIONS, Observable,
    Place, Quantifier, Shape, State, Term, Test, Thread,
};
