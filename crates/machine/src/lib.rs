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
//! From the bottom up; a file imports only from files above it in this table.
//!
//! | file | holds |
//! | --- | --- |
//! | `agent`, `word` | who acts, and on what |
//! | `gdt`, `registered` | the kernel's segments; what set-up said |
//! | `layout`, `code` | where things are, permissions; decoded instructions |
//! | `frames` | which stack frames are gone: pure |
//! | `route` | translations as facts: what caches may keep, ways to a frame |
//! | `apic`, `halt`, `watch` | what local APICs send, pure; why a run ends; what is told |
//! | `msr` | who notices a change of an MSR |
//! | `cutoff` | when code that runs by itself is cut off |
//! | `requests` | interrupts that were sent and not delivered: pure |
//! | `walker` | what a CPU walks through |
//! | `next` | what an agent stands before |
//! | `cpu` | one CPU: registers, control registers, level, suspended instruction |
//! | `state`, `look` | lists the parts; what a CPU shows of itself |
//! | `exec` | what an instruction sees: gates, suspension, faults |
//! | `access`, `dead` | accesses to memory, through the store buffer; bytes of stacks that nobody reads again |
//! | `gone` | accesses of others to stack frames that their owner has left |
//! | `send`, `env` | what an instruction does to interrupts: IPIs, IRETQ, MOV to SS; all else that it asks for |
//! | `machine`, `translation` | loading, and what can happen next; the user half under page tables: TLBs, freed frames |
//! | `hypercall`, `interrupt` | what a guest asks of the machine; a handler starts and returns |
//! | `user`, `deliver` | accesses to the user half; when interrupts and NMIs come |
//! | `step`, `alone` | one step: from a scheduling point to the next; set-up, invariants and final checks |
//!
//! # Invariants
//!
//! - Nothing here knows of searches, files or reports.
//! - What is not modelled is a [`Gap`], never skipped.
//! - Events and violations are facts: nobody has to read a sentence to compare them.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

mod access;
mod agent;
mod alone;
mod apic;
mod code;
mod cpu;
mod cutoff;
mod dead;
mod deliver;
mod env;
mod exec;
mod frames;
mod gdt;
mod gone;
mod halt;
mod hypercall;
mod interrupt;
mod layout;
mod look;
mod machine;
mod msr;
mod next;
mod registered;
mod requests;
mod route;
mod send;
mod state;
mod step;
mod translation;
mod user;
mod walker;
mod watch;
mod word;

pub use agent::{Agent, Role};
pub use cpu::{Activity, Cpu};
pub use cutoff::Cutoff;
pub use exec::Accesses;
pub use halt::{Bad, Failure, Gap, GapKind, Halt, Misuse, Violation};
pub use layout::{Layout, Region, Segment};
pub use machine::{Config, Machine, MemoryModel};
pub use mmu::bits::{CR3_LAM_U48, CR3_LAM_U57, CR4_PCIDE};
pub use mmu::{Fill, Kind, Tag};
pub use next::NextOperation;
pub use registered::{Entry, Handler, Named, NmiHandler, Registered};
pub use route::{Kept, Route};
pub use state::State;
pub use watch::{Access, Bound, Flow, Seen, Warning, Watch};
pub use word::Word;
pub use x86::Fault;
