//! An address space: its tables, its generation, and the CPUs that have it loaded.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::cpuset::{AtomicCpuSet, CpuSet};
use crate::cr3::{Lam, LamBits, Root};

/// An address space: the user half of a set of page tables, which the kernel owns and edits.
///
/// May be a `static`, or live in an `Arc` or anywhere else, as long as it is not moved.
#[derive(Debug)]
#[repr(align(64))]
pub struct Space {
    root: Root,
    /// 0 until first requested; then it never changes.
    ctx_id: AtomicU64,
    /// CR3's LAM bits, and [`LAM_LOCKED`]. Changes at most once from 0 to a mode.
    pub(crate) lam: AtomicU64,
    /// Grows by one with each change of the tables that CPUs must learn of, and with LAM.
    pub(crate) tlb_gen: AtomicU64,
    /// CPUs whose CR3 may be on `root`.
    pub(crate) cpus: AtomicCpuSet,
}

/// The LAM mode is final. Not one of CR3's LAM bits.
pub(crate) const LAM_LOCKED: u64 = 1;

/// The next id. Ids are never reused: at one in each nanosecond they last five hundred years.
static NEXT_CTX_ID: AtomicU64 = AtomicU64::new(1);

/// The CPUs of the set that an initiator waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// CPUs that use the space. Lazy ones find the new generation when they return.
    Users,
    /// Lazy CPUs, too: they leave the space.
    Lazy,
}

impl Space {
    /// Creates a space with LAM off.
    #[must_use]
    pub const fn new(root: Root) -> Self {
        Self::with_lam_word(root, 0)
    }

    /// Creates a space for a child of `parent`, with its LAM mode and its lock.
    #[must_use]
    pub fn forked(root: Root, parent: &Self) -> Self {
        // Relaxed: no other data depends on the bits.
        Self::with_lam_word(root, parent.lam.load(Ordering::Relaxed))
    }

    const fn with_lam_word(root: Root, lam: u64) -> Self {
        Self {
            root,
            ctx_id: AtomicU64::new(0),
            lam: AtomicU64::new(lam),
            tlb_gen: AtomicU64::new(0),
            cpus: AtomicCpuSet::new(),
        }
    }

    /// Returns the top-level table.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// Returns the LAM mode; `None` is off. Until [`enable_lam`](Self::enable_lam) has returned,
    /// CPUs may still run without it.
    #[must_use]
    pub fn lam(&self) -> Option<Lam> {
        self.lam_bits().mode()
    }

    /// Returns the CPUs that may have the space loaded, lazy ones included, as of some recent moment.
    #[must_use]
    pub fn loaded_on(&self) -> CpuSet {
        self.cpus.load()
    }

    /// Returns the id under which CPUs remember the space in their PCID slots. Assigned on the
    /// first request, which otherwise the first switch makes.
    #[inline]
    pub fn ctx_id(&self) -> u64 {
        // Relaxed here and below: no other data depends on the id, and it changes once.
        match self.ctx_id.load(Ordering::Relaxed) {
            0 => self.take_ctx_id(),
            id => id,
        }
    }

    #[cold]
    fn take_ctx_id(&self) -> u64 {
        let new = NEXT_CTX_ID.fetch_add(1, Ordering::Relaxed);
        match self.ctx_id.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => new,
            Err(other) => other,
        }
    }

    /// Makes the LAM mode final. For the moment a process gets a second thread, if the kernel
    /// wants all threads to agree, as Linux does.
    pub fn lock_lam(&self) {
        // Relaxed: a single word decides between this and `enable_lam`.
        self.lam.fetch_or(LAM_LOCKED, Ordering::Relaxed);
    }

    /// Reads the generation: SeqCst. Partners: the increment in `shoot`, join and swap in `load_space`.
    #[inline]
    pub(crate) fn tlb_gen(&self) -> u64 {
        self.tlb_gen.load(Ordering::SeqCst)
    }

    /// Reads the LAM bits: Relaxed, but after [`tlb_gen`](Self::tlb_gen), whose acquire orders
    /// them. Partner: the increment in `shoot`, which comes after the mask.
    #[inline]
    pub(crate) fn lam_bits(&self) -> LamBits {
        LamBits::of(self.lam.load(Ordering::Relaxed))
    }

    pub(crate) fn cpus(&self) -> &AtomicCpuSet {
        &self.cpus
    }

    /// Returns the space as it is stored in a core's `loaded`.
    pub(crate) fn word(&self) -> *mut Self {
        ptr::from_ref(self).cast_mut()
    }
}

impl Drop for Space {
    /// # Panics
    ///
    /// Panics if a CPU may still have the space loaded: it was not [retired](Space::retire).
    fn drop(&mut self) {
        assert!(self.cpus.is_empty(), "a space was dropped while a CPU has it loaded");
    }
}

/// The reason why LAM was not turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LamError {
    /// The CPUs have no LAM.
    Unsupported,
    /// LAM is on already, or its mode is locked.
    Locked,
}

impl fmt::Display for LamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "the processor has no linear address masking",
            Self::Locked => "the LAM mode of this address space can no longer change",
        })
    }
}

impl core::error::Error for LamError {}

/// The error of [`Space::retire`]: a CPU still uses the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CPU still uses the address space")
    }
}

impl core::error::Error for InUse {}
