//! x86-64 paging as functions of values: walks, permissions, LAM, and what TLBs may hold.
//!
//! | file | holds |
//! | --- | --- |
//! | `bits` | bits of control registers, entries and error codes |
//! | `lam` | LAM and canonicality: from a pointer to a linear address |
//! | `paging` | what a walk depends on; the meaning of one entry |
//! | `walk` | a walk, and the entries it reads |
//! | `permit` | whether a translation permits an access; the A and D flags it sets; error codes |
//! | `tlb` | one CPU's caches as sets of what they may hold; why that is enough |
//! | `capture` | what a change is about to make unreachable |
//! | `candidates` | the results that an access may get |
//! | `invalidate` | the entries that each operation must drop |
//! | `reach` | the frames that a CPU may still use |
//!
//! # Invariants
//!
//! - Everything is a function of its arguments. This crate knows no machine, scheduler or report.
//! - A [`Tlb`] is never smaller than what a processor may hold: nothing is dropped that the manual does
//!   not require to be dropped.
//! - Equal sets are equal values.
//!
//! # Not modelled
//!
//! 32-bit and PAE paging, protection keys, memory types, LASS, shadow stacks, nested paging. 1-GiB pages
//! are supported, and physical addresses have [`bits::PHYSICAL_BITS`] bits.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

pub mod bits;
mod candidates;
mod capture;
mod invalidate;
pub mod lam;
mod paging;
mod permit;
mod reach;
mod tlb;
mod walk;

pub use candidates::{Candidate, Outcome, Source};
pub use invalidate::Invpcid;
pub use paging::{Paging, Physical, Rights, Size, Translation};
pub use permit::{Kind, Request, error_code, permit, updates};
pub use reach::{Path, Reach};
pub use tlb::{Entry, Fill, Now, Table, Tag, Tlb};
pub use walk::{Failure, Read, Walk, walk};
