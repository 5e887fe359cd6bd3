//! Control registers, IA32_EFER, MSRs and CPUID of the modelled processor: rules of values.
//!
//! Both machines check values by these rules, and the one that boots a kernel refuses some more of them.
//!
//! From the bottom up; a file imports only from files above it in this table.
//!
//! | file | holds |
//! | --- | --- |
//! | `bits` | bits of the control registers |
//! | `control` | which values CR0, CR3, CR4 and IA32_EFER take |
//! | `cpuid` | the leaves of CPUID |
//! | `msr` | which model-specific registers exist |
//!
//! # Invariants
//!
//! - Everything is a function of its arguments: a CPU's registers are the machine's.
//! - A value that the architecture allows and that no machine models is refused as unmodelled, never accepted.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

pub mod bits;
pub mod control;
mod cpuid;
pub mod msr;

pub use cpuid::cpuid;
