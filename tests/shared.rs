//! What the CPUs of a case share.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

/// Words that start as 0.
pub(crate) fn words<const N: usize>() -> &'static [AtomicU64; N] {
    lamprey::new([const { AtomicU64::new(0) }; N])
}

/// A critical section: it is wrong for two CPUs to be inside.
pub(crate) struct Section(AtomicU64);

impl Section {
    /// With the invariant. For set-up.
    pub(crate) fn new() -> &'static Section {
        let section = lamprey::new(Section(AtomicU64::new(0)));
        lamprey::always(|| {
            let inside = section.0.load(SeqCst);
            lamprey::require!(inside <= 1, "mutual-exclusion", "{inside} CPUs are inside");
        });
        section
    }

    /// In, and out again.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, SeqCst);
        self.0.fetch_sub(1, SeqCst);
    }
}
