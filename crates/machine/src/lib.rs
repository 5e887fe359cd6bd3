//! The modelled SMP machine: `step(state, choice)`.
//!
//! A [`Machine`] is what never changes while a scenario runs: the code, the layout of memory, what the
//! set-up registered. A [`State`] is what does: memory and CPUs. [`Machine::step`] takes one CPU from
//! one *scheduling point* to the next: it performs the pending visible operation and then runs on until
//! just before the next one. Which words are shared, and therefore visible, the caller says through
//! [`Accesses`]; every access is reported to it.
//!
//! # Rooms
//!
//! | file | holds |
//! | --- | --- |
//! | `layout` | where things are; address to location; permissions |
//! | `memory` | copy-on-write words and their fingerprint |
//! | `cpu` | one CPU: registers, control registers, level, suspended instruction |
//! | `state` | lists the parts; fingerprint |
//! | `code` | decoded instructions |
//! | `lam` | Linear Address Masking and canonicality, pure |
//! | `control` | control registers, MSRs, CPUID, INVPCID: their rules |
//! | `exec` | what an instruction sees: accesses, faults, suspension |
//! | `hypercall` | what a guest asks of the machine |
//! | `interrupt` | IPIs: pending, delivery, return |
//! | `machine` | loading, set-up, choices, observers |
//! | `step` | one step: from a scheduling point to the next |
//!
//! # Invariants
//!
//! - Sequential consistency: an access is performed when it is made. Store buffers, modelled page tables
//!   and TLBs, NMIs and APIC registers have no model here: reaching them is a [`Gap`].
//! - Nothing here knows of searches, files or reports.
//! - What is not modelled is a [`Gap`], never skipped.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

mod code;
mod control;
mod cpu;
mod exec;
mod hypercall;
mod interrupt;
pub mod lam;
mod layout;
mod machine;
mod memory;
mod state;
mod step;
mod watch;

pub use control::{CR3_LAM_U48, CR3_LAM_U57, CR4_PCIDE};
pub use cpu::{Activity, Cpu};
pub use exec::Accesses;
pub use hypercall::{Entry, Failure, Named, Registered};
pub use layout::{Layout, Segment};
pub use machine::{Config, Machine};
pub use state::{Agent, Role, State, Word};
pub use step::{Bad, Gap, Halt, NextOperation, Violation};
pub use watch::{Access, Flow, Seen, Watch};
pub use x86::Fault;
