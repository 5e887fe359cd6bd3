//! The crate `aspace`, proved as compiled: the questions of the seed, asked of it, and those that
//! only it has. All of them must pass.
//!
//! [`machine`] is what a kernel would give the crate; [`property`] what must hold; the other modules
//! are the scenarios, by what is done to a space.

#![no_std]
#![no_main]

mod machine;
mod property;
mod scene;

mod flush;
mod id;
mod lam;
mod retire;
