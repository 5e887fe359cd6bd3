//! A machine that boots a kernel of its own: RAM by physical address, page tables from the first
//! instruction on, descriptor tables, local APICs, a serial line. One schedule, no search.
//!
//! It shares with the searched machine what an instruction does (`x86`), what a translation is (`mmu`), how
//! interrupts are delivered (`interrupts`), the rules of control registers (`registers`), memory and store
//! buffers (`memory`). What is around them, which the searched machine replaces by hypercalls, is here. So a
//! kernel whose output is compared with other machines' compares these shared parts, too.
//!
//! From the bottom up; a file imports only from files above it in this table.
//!
//! | file | holds |
//! | --- | --- |
//! | `control` | which values control registers and MSRs take, CPUID; pure |
//! | `apic` | a local APIC |
//! | `ports` | the serial line, the way to end |
//! | `ram` | memory, and what was decoded of it |
//! | `core` | the registers of a CPU that are not an instruction's everyday business |
//! | `view` | what an instruction stops with; translations, accesses, descriptors |
//! | `env` | `x86::Env`: what an instruction asks for |
//! | `deliver` | exceptions and interrupts through the IDT |
//! | `fetch` | from RIP to an instruction |
//! | `random` | numbers from a seed |
//! | `board` | loading, one instruction, the schedule |
//!
//! # What is chosen where the manuals leave a choice
//!
//! - A translation in the TLB is used if it permits the access, else a walk is made. Walks fill the TLB;
//!   nothing is evicted; paging-structure caches are filled and start no walks.
//! - A walk that would fault, or set A or D, first makes the CPU's own buffered stores visible.
//! - Instructions see the CPU's own stores to code.
//! - MOV to SS and STI hold back maskable interrupts for one instruction, MOV to SS NMIs, too.
//! - An access of which one byte is not canonical faults before any translation.
//!
//! # Not modelled
//!
//! Real, protected and compatibility mode, task switches, LDTs, debug registers and single steps, alignment
//! checks, APIC timers and the APIC's registers in memory, machine checks, SMM. Whatever needs one of
//! them ends the run with what it was.
//!
//! # Invariants
//!
//! - Whatever a kernel does, the machine goes on or ends the run with a reason; it never panics.
//! - Equal settings and images give equal runs.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

mod apic;
mod board;
mod control;
mod core;
mod deliver;
mod env;
mod fetch;
mod ports;
mod ram;
mod random;
#[cfg(test)]
mod tests;
mod view;

pub use board::{Board, Ended, Event, Load, Settings, Start};
