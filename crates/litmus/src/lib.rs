//! Litmus tests: small programs of a few threads, and all the states they can end in.
//!
//! [`parse()`] reads herd's formats `X86_64` and `X86`, [`run()`] runs the test in every
//! interleaving on the modelled machine, [`Report`] prints the result in herd's format, and [`Log`]
//! reads the output of herd or litmus7, so that the sets of final states can be
//! [compared](compare()).
//!
//! # Files
//!
//! | file | contents |
//! | --- | --- |
//! | `test` | the types of a test; evaluation of conditions |
//! | `source` | comments, tokens, positions in the text |
//! | `parse` | the parser |
//! | `assemble` | the assembler, from a test to machine code and data |
//! | `run` | the machine as the search sees it; all final states |
//! | `states` | printing and reading of final states |
//! | `report` | herd's output, and a form for tools |
//! | `log` | logs, and differences from them |
//!
//! # Invariants
//!
//! - This crate has the syntax, iced the encoding, and the machine the effects of instructions: nothing
//!   about memory ordering is decided here.
//! - Anything that is not understood is an error with its position, and anything that is not modelled
//!   makes a test undecided; neither counts as agreement.
//! - This crate prints nothing and reads no files.

#![forbid(unsafe_code)]

mod assemble;
mod log;
mod parse;
mod report;
mod run;
mod source;
mod states;
mod test;

pub use assemble::AssembleError;
pub use log::{Log, LogEntry, LogError, StateDifference, compare, compare_subset};
pub use parse::parse;
pub use report::Report;
pub use run::{Final, SearchBudget, UndecidedReason, run};
pub use source::ParseError;
pub use test::{
    Expected, FinalState, Formula, LitmusModel, Location, MAX_LOCATIONS, MAX_THREADS, OBSERVATIONS,
    Observable, ObservedPlace, Quantifier, Shape, Term, Test, TestThread,
};
