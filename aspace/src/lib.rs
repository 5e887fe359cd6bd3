#![doc = include_str!("../README.md")]
#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

mod core_state;
mod cpuset;
mod cr3;
mod hardware;
mod shootdown;
mod slots;
mod space;
mod switch;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;

pub use core_state::{Config, Core};
pub use cpuset::{CpuId, CpuSet, MAX_CPUS};
pub use cr3::{Cr3, Lam, Pcid, Root};
pub use hardware::Hardware;
pub use slots::SLOTS;
pub use space::{InUse, LamError, Space};
