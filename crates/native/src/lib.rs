//! Runs instructions on the host's processor, as the oracle of the interpreter (tests only).
//!
//! [`check`] makes random instances of a form, runs each by [`Cpu::run`] and by [`x86::exec`], and
//! compares registers, flags, memory and fault. [`all`] does so for every form that the interpreter
//! supports. A form is covered, excluded with a reason ([`EXCLUDED`]), or skipped because this processor
//! lacks it; there is no fourth result.
//!
//! # Execution of an instruction
//!
//! Three pages at a fixed address hold an entry stub, the bytes under test, and the registers to
//! load. The stub loads everything, RSP and RFLAGS included, and jumps to the bytes; behind them is
//! a jump to the exit stub, all around them are INT3s on which a branch lands. A signal handler on
//! a stack of its own records a trap and resumes at the exit stub, which stores the registers as
//! the trap left them. Data is in a window of two pages between pages without access; RSP points
//! there too.
//!
//! # Invariants
//!
//! - This crate is a dependency of tests and of `xtask` only.
//! - No flag that the manual defines is masked. The mask is computed per instance, in `compare.rs`.
//! - Unsafe code is in `cpu.rs` alone.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod compare;
mod cpu;
mod generate;
mod rng;
mod scope;
mod stub;
mod window;

pub use compare::{Coverage, Mismatch, all, check};
pub use cpu::{Cpu, IP, Observed, is_landing};
pub use generate::{Host, Instance, instances};
pub use rng::Rng;
pub use scope::EXCLUDED;
pub use window::{SIZE, WINDOW, Window};
