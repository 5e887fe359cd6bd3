//! CPU numbers and sets of them.

use core::sync::atomic::{AtomicU64, Ordering};

/// The number of CPUs that this version supports: one bit each in a 64-bit word.
pub const MAX_CPUS: u32 = 64;

/// The number of a CPU, below [`MAX_CPUS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u8);

impl CpuId {
    /// Creates CPU number `index`.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not below [`MAX_CPUS`].
    #[inline]
    #[must_use]
    pub const fn new(index: u32) -> Self {
        assert!(index < MAX_CPUS, "CPU number out of range");
        Self(index as u8)
    }

    /// Returns the number, for indexing.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns this CPU's bit. The wrapping shift never wraps (the number is below 64); it avoids
    /// the check that `<<` would compile to.
    const fn bit(self) -> u64 {
        1u64.wrapping_shl(self.0 as u32)
    }
}

/// A set of CPUs: a plain value, iterated in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(u64);

impl CpuSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Returns whether no CPU is in the set.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether `cpu` is in the set.
    #[must_use]
    pub const fn contains(self, cpu: CpuId) -> bool {
        self.0 & cpu.bit() != 0
    }

    /// Returns the set with `cpu`.
    #[must_use]
    pub const fn with(self, cpu: CpuId) -> Self {
        Self(self.0 | cpu.bit())
    }

    /// Returns the set without `cpu`.
    #[must_use]
    pub const fn without(self, cpu: CpuId) -> Self {
        Self(self.0 & !cpu.bit())
    }

    /// Returns the set as a word: bit *n* is CPU *n*.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl Iterator for CpuSet {
    type Item = CpuId;

    #[inline]
    fn next(&mut self) -> Option<CpuId> {
        if self.0 == 0 {
            return None;
        }
        let cpu = CpuId(self.0.trailing_zeros() as u8);
        self.0 &= self.0 - 1;
        Some(cpu)
    }
}

/// The CPUs that may use a space. Every CPU changes only its own bit.
#[derive(Debug)]
pub(crate) struct AtomicCpuSet(AtomicU64);

impl AtomicCpuSet {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Sets the bit: SeqCst, a locked instruction. Partner: an initiator increments the generation and
    /// then [`load`](Self::load)s the set. Joining comes *before* the joiner reads the generation, so
    /// either the initiator finds the bit or the joiner finds the new generation, never neither.
    #[inline]
    pub(crate) fn join(&self, cpu: CpuId) {
        self.0.fetch_or(cpu.bit(), Ordering::SeqCst);
    }

    /// Clears the bit: Release. Partner: the Acquire in [`is_empty`](Self::is_empty). A reader that
    /// finds it clear comes after everything this CPU did with the space, its walks through CR3
    /// included, as the CR3 write that left the space is earlier in program order. It is the CPU's
    /// last access to the space.
    #[inline]
    pub(crate) fn leave(&self, cpu: CpuId) {
        self.0.fetch_and(!cpu.bit(), Ordering::Release);
    }

    /// Reads the set: SeqCst; see [`join`](Self::join).
    #[inline]
    pub(crate) fn load(&self) -> CpuSet {
        CpuSet(self.0.load(Ordering::SeqCst))
    }

    /// Returns whether the set is empty: Acquire; see [`leave`](Self::leave).
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}
