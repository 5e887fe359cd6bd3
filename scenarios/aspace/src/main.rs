//! The crate `aspace`, checked as compiled: the questions of the seed, applied to it, and those
//! that only it has. All of them hold, but for those in which a kernel breaks the crate's contract;
//! these show the consequences.
//!
//! Some have flat user memory, and count translations beside the code. The others have page tables, TLBs,
//! and kicks through the x2APIC: a page or a table is freed as soon as the crate says that it may be.
//!
//! | module | subject |
//! |---|---|
//! | [`flush`] | the CPUs that a flush waits for, from one side and from two |
//! | [`id`] | the ids under which CPUs remember spaces |
//! | [`lam`] | the questions of the seed; LAM, the lock, and a fork |
//! | [`retire`] | the end of a space |
//! | [`pages`] | page tables: a page is freed after `flush` |
//! | [`tables`] | page tables: a table is freed after `flush_tables`, a root after `retire` |
//! | [`slots`] | page tables: more spaces than PCIDs, and a CPU that starts again |
//! | [`nmi`] | page tables: NMIs that read user memory |
//! | [`machine`], [`scene`] | flat user memory: the interface to the crate, the situation they share |
//! | [`property`], [`translations`] | the properties of these |
//! | [`paged`], [`process`] | page tables: the interface to the crate, the situation they share |

#![no_std]
#![no_main]

mod machine;
mod paged;
mod process;
mod property;
mod scene;
mod translations;

mod flush;
mod id;
mod lam;
mod nmi;
mod pages;
mod retire;
mod slots;
mod tables;

/// The number of CPUs of the largest scenario.
const CPU_COUNT: usize = 3;
