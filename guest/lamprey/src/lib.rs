//! The library that a scenario imports.
//!
//! A scenario is an ordinary function with the attribute [`scenario`]. It runs alone on CPU 0,
//! builds what is needed, and registers the code that the CPUs then run at the same time, as
//! `thread::spawn` would. Lamprey runs the machine code of all of it through every interleaving.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! /// Two CPUs count by load and store: an increment can be lost.
//! #[lamprey::scenario(finds = "lost-update")]
//! fn lost_update() {
//!     let hits = lamprey::new(AtomicU64::new(0));
//!     lamprey::name(hits, "hits");
//!     for n in 0..2 {
//!         lamprey::cpu(n, move || {
//!             hits.store(hits.load(Relaxed) + 1, Relaxed);
//!             lamprey::mark!("counted");
//!         });
//!     }
//!     lamprey::finally(move || {
//!         lamprey::require_eq!(hits.load(Relaxed), 2, "lost-update", "an increment is lost", "hits");
//!     });
//! }
//! ```
//!
//! | purpose | items |
//! |---|---|
//! | register code to run | [`cpu`], [`handler`], [`nmi`] |
//! | state what must hold | [`require!`], [`require_eq!`], [`always`], [`finally`], any panic |
//! | add choices and assumptions | [`choose`], [`assume`] |
//! | check that the interesting case occurs | [`mark!`] |
//! | make a report readable | [`name`], [`name_value`], [`name_root`], [`note!`] |
//! | act on the machine | [`this_cpu`], [`send_ipi`], [`user`], and privileged instructions in `asm!` |
//! | use page tables | [`paging`] |
//! | read a CPU's registers in a check | [`cr3`], [`cr4`], [`interrupts_on`] |
//!
//! For interrupts, CR3, CR4 and `hlt`, use the instructions directly; there is no wrapper to
//! trust.
//!
//! Invariant: nothing here allocates, formats or takes a lock on the path of a run that violates
//! nothing, except [`alloc`] and [`new`].

#![no_std]

mod cpus;
mod hypercall;
mod names;
pub mod paging;
mod require;
mod runtime;
mod setup;
mod steer;
pub mod user;

pub use abi::layout::{FIRST_VECTOR, MAX_CPUS};
pub use lamprey_macros::scenario;

pub use crate::cpus::{cr3, cr4, interrupts_on, send_ipi, send_nmi, this_cpu};
pub use crate::names::{name, name_root, name_value};
pub use crate::require::panicked;
pub use crate::setup::{
    alloc, always, cpu, finally, fixed_clock, frame_free, handler, new, nmi, page_tables,
    physical_address, raw_handler, raw_nmi,
};
pub use crate::steer::{assume, choose, mark, note};

/// Items for the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::require::{Placed, fail, fail_eq};
    pub use abi::table::Text;

    use abi::layout::VERSION;
    use abi::table::Scenario;

    /// A record of the scenario table.
    #[repr(transparent)]
    pub struct Record(Scenario);

    // SAFETY: nothing writes to the memory that the pointers of a record lead to.
    unsafe impl Sync for Record {}

    impl Record {
        pub const fn new(
            name: &'static str,
            entry: extern "C" fn(),
            finds: &'static str,
            about: &'static str,
            file: &'static str,
            line: u32,
            marks: &'static [Text],
        ) -> Self {
            Self(Scenario {
                version: VERSION,
                name: Text::new(name),
                entry,
                finds: Text::new(finds),
                about: Text::new(about),
                file: Text::new(file),
                line: line as u64,
                marks: marks.as_ptr(),
                mark_count: marks.len(),
            })
        }
    }
}
