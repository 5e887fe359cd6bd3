//! A second machine and a second search, as simple as they can be: the oracle of the search mode.
//!
//! [`generate`](generate()) makes random programs of a [`Class`], and [`compare`](compare()) runs each twice:
//! on the machine by the search, and by an enumerator that visits every state, with every access a step and
//! nothing left out. Whole sets of final states must be equal, and so must what goes wrong: properties, faults,
//! deadlocks, livelocks. The enumerator's rules are written from the manual and docs/model.md; it shares no
//! code with `machine`, `mmu`, `x86` and `explore`.
//!
//! # Rooms
//!
//! | `program` | programs, an instruction each step of the way |
//! |---|---|
//! | `random` | random numbers |
//! | `outcome` | what comes out of a program |
//! | `checks` | invariants and final checks |
//! | `assemble` | from a program to an image |
//! | `tlb`, `state` | states of the enumerator |
//! | `naive`, `execute`, `several`, `paging` | what can come next |
//! | `switches` | the fewest context switches |
//! | `enumerate` | all states |
//! | `search` | the program on the searched machine |
//! | `compare` | both |
//! | `generate` | random programs by class |
//! | `shrink` | smaller programs that still disagree |
//! | `show` | programs as text |

#![forbid(unsafe_code)]

pub mod assemble;
mod check_code;
mod checks;
mod compare;
mod enumerate;
mod execute;
mod generate;
mod naive;
mod outcome;
mod paging;
pub mod program;
mod random;
mod search;
mod several;
mod show;
mod shrink;
mod state;
mod switches;
mod tlb;

pub use compare::{Compared, Disagreement, Limits, compare};
pub use generate::{Class, generate};
pub use outcome::{Bad, Outcome};
pub use program::Program;
pub use random::Random;
pub use search::{Mode, heap};
pub use show::{show, show_disagreement};
pub use shrink::shrink;
