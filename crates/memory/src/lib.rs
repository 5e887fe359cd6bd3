//! Words of memory, and the store buffers between a CPU and them.
//!
//! | file | holds |
//! | --- | --- |
//! | `words` | copy-on-write memory in 8-byte words, with a fingerprint |
//! | `buffer` | the store buffer of a CPU |
//!
//! # Invariants
//!
//! - An address here is a *location*, the number of a byte: what lies where, and who may access it, the machine
//!   knows.
//! - Equal contents have equal fingerprints, whatever led to them.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

pub mod buffer;
mod words;

pub use words::{ALL_DEAD, Memory, index, mask, mix};
