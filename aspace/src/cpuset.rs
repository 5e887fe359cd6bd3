//! CPU numbers and sets of them.

use core::sync::atomic::{AtomicU64, Ordering};

/// CPUs this version can tell apart: one bit each in a 64-bit word.
pub const MAX_CPUS: u32 = 64;

/// The number of a CPU, below [`MAX_CPUS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u8);

impl CpuId {
    /// CPU number `index`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`MAX_CPUS`].
    #[inline]
    #[must_use]
    pub const fn new(index: u32) -> Self {
        assert!(index < MAX_CPUS, "CPU number out of range");
        Self(index as u8)
    }

    /// The number, for indexing.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// This CPU's bit. The wrapping shift never wraps (the number is below 64); it spares the
    /// check that `<<` would compile to.
    const fn bit(self) -> u64 {
        1u64.wrapping_shl(self.0 as u32)
    }
}

/// A set of CPUs: a plain value, iterated in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(u64);

impl CpuSet {
    /// No CPU.
    pub const EMPTY: Self = Self(0);

    /// Whether no CPU is in the set.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `cpu` is in the set.
    #[must_use]
    pub const fn contains(self, cpu: CpuId) -> bool {
        self.0 & cpu.bit() != 0
    }

    /// The set and `cpu`.
    #[must_use]
    pub const fn with(self, cpu: CpuId) -> Self {
        Self(self.0 | cpu.bit())
    }

    /// The set without `cpu`.
    #[must_use]
    pub const fn without(self, cpu: CpuId) -> Self {
        Self(self.0 & !cpu.bit())
    }

    /// Bit *n* is CPU *n*.
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

/// The CPUs that may use a space. Every CPU changes its own bit only.
#[derive(Debug)]
pub(crate) struct AtomicCpuSet(AtomicU64);

impl AtomicCpuSet {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// SeqCst, a locked instruction. Partner: an initiator increments the generation and then
    /// [`load`](Self::load)s the set. Joining comes *before* the joiner reads the generation, so
    /// either the initiator finds the bit or the joiner finds the new generation, never neither.
    #[inline]
    pub(crate) fn join(&self, cpu: CpuId) {
        self.0.fetch_or(cpu.bit(), Ordering::SeqCst);
    }

    /// Release. Partner: the Acquire in [`is_empty`](Self::is_empty). Whoever finds the bit clear
    /// comes after everything this CPU did with the space, its walks through CR3 included, for the
    /// CR3 write that left the space is earlier in program order. It is the CPU's last access to
    /// the space.
    #[inline]
    pub(crate) fn leave(&self, cpu: CpuId) {
        self.0.fetch_and(!cpu.bit(), Ordering::Release);
    }

    /// SeqCst; see [`join`](Self::join).
    #[inline]
    pub(crate) fn load(&self) -> CpuSet {
        CpuSet(self.0.load(Ordering::SeqCst))
    }

    /// Acquire; see [`leave`](Self::leave).
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}
