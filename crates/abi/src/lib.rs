//! The interface between a guest and Lamprey.
//!
//! - [`hypercall`]: the calls that a guest makes, by symbol name.
//! - [`table`]: the record of a scenario in the guest's image.
//! - [`layout`]: addresses and numbers that both sides rely on.
//! - [`property`]: properties that are checked without being written.
//!
//! Invariant: this crate never contains behaviour, only shapes and their meaning.

#![no_std]
#![forbid(unsafe_code)]

pub mod hypercall;
pub mod layout;
pub mod property;
pub mod table;
