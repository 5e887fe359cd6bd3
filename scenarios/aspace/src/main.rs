//! The crate `aspace`, proved as compiled: the questions of the seed, asked of it, and those that
//! only it has. All of them must pass.
//!
//! [`machine`] is what a kernel would give the crate; [`property`] what must hold, with [`translations`]
//! for the TLB; the other modules are the scenarios, by what is done to a space.

#![no_std]
#![no_main]

mod machine;
mod property;
mod scene;
mod translations;

mod flush;
mod id;
mod lam;
mod retire;

/// CPUs of the largest scenario.
const CPU_COUNT: usize = 3;
