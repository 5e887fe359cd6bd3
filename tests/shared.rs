//! State that the CPUs of a case share.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

/// Creates words that start as 0.
pub(crate) fn words<const N: usize>() -> &'static [AtomicU64; N] {
    lamprey::new([const { AtomicU64::new(0) }; N])
}

/// A critical section: a violation if two CPUs are inside.
pub(crate) struct Section(AtomicU64);

impl Section {
    /// Creates a section with the invariant. For set-up.
    pub(crate) fn new() -> &'static Section {
        let section = lamprey::new(Section(AtomicU64::new(0)));
        lamprey::always(|| {
            let inside = section.0.load(SeqCst);
            lamprey::require!(inside <= 1, "mutual-exclusion", "{inside} CPUs are inside");
        });
        section
    }

    /// Enters and leaves.
    pub(crate) fn pass(&self) {
        self.0.fetch_add(1, SeqCst);
        self.0.fetch_sub(1, SeqCst);
    }
}

/// The number of runs of [`counts`] and [`counts_without_eoi`].
pub(crate) static COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts, as a raw handler.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn counts() {
    naked_asm!(
        "push rax", "push rcx", "push rdx",
        "lock inc qword ptr [rip + {count}]",
        "mov ecx, 0x80b", "xor eax, eax", "xor edx, edx", "wrmsr",
        "pop rdx", "pop rcx", "pop rax",
        "iretq",
        count = sym COUNT,
    )
}

/// Counts, as a raw handler without EOI.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn counts_without_eoi() {
    naked_asm!("lock inc qword ptr [rip + {count}]", "iretq", count = sym COUNT)
}

/// Returns the part of `word` at `byte`.
pub(crate) fn part<T>(word: &AtomicU64, byte: usize) -> &T {
    // SAFETY: an atomic integer within a word, which lasts as long.
    unsafe { &*word.as_ptr().cast::<u8>().add(byte).cast::<T>() }
}
