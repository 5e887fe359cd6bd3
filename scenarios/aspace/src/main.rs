//! The crate `aspace`, proved as compiled: the questions of the seed, asked of it, and those that
//! only it has. All of them hold, but for those in which a kernel breaks the crate's contract; these say what
//! comes of it.
//!
//! Some have flat user memory, and count translations beside the code. The others have page tables, TLBs,
//! and kicks through the x2APIC: a page or a table is freed as soon as the crate says that it may be.
//!
//! | module | what it is about |
//! |---|---|
//! | [`flush`] | who a flush waits for, from one side and from two |
//! | [`id`] | the ids under which CPUs remember spaces |
//! | [`lam`] | the questions of the seed; LAM, the lock, and a fork |
//! | [`retire`] | the end of a space |
//! | [`pages`] | page tables: a page is freed after `flush` |
//! | [`tables`] | page tables: a table is freed after `flush_tables`, a root after `retire` |
//! | [`slots`] | page tables: more spaces than PCIDs, and a CPU that starts again |
//! | [`nmi`] | page tables: when an NMI may read user memory |
//! | [`machine`], [`scene`] | flat user memory: what a kernel gives the crate, the situation they share |
//! | [`property`], [`translations`] | what must hold there |
//! | [`paged`], [`process`] | page tables: what a kernel gives the crate, the situation they share |

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

/// CPUs of the largest scenario.
const CPU_COUNT: usize = 3;
