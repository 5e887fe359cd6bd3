//! An address space, and the operations on it across all CPUs: flush, enable LAM, retire.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::cpuset::{AtomicCpuSet, CpuSet};
use crate::cr3::{Lam, LamBits, Root};
use crate::hardware::Hardware;

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
    lam: AtomicU64,
    /// Grows by one with each change of the tables that CPUs must learn of, and with LAM.
    tlb_gen: AtomicU64,
    /// CPUs whose CR3 may be on `root`.
    cpus: AtomicCpuSet,
}

/// The LAM mode is final. Not one of CR3's LAM bits.
const LAM_LOCKED: u64 = 1;

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

    /// Flushes the space on all CPUs, after the kernel changed or removed mappings in it.
    ///
    /// The page-table stores come before the call. When it returns, no user mode and no user access
    /// of the kernel uses the old contents of the tables, and the frames that were mapped may be
    /// freed. Lazy CPUs are not disturbed, but their TLBs may still walk: page tables may *not* be
    /// freed. That is [`flush_tables`](Self::flush_tables).
    ///
    /// Waits for other CPUs until they take an interrupt or flush something themselves, so the
    /// caller holds no lock that any CPU awaits with interrupts off. It may have interrupts
    /// off itself and may run in an interrupt, not in an NMI.
    pub fn flush<H: Hardware>(&self, hw: &H) {
        self.shoot(hw, Reach::Users);
    }

    /// Flushes as [`flush`](Self::flush) does, after page tables were unhooked. When it returns, no
    /// CPU uses or walks anything that came from them, and they may be freed. Lazy CPUs are driven
    /// off. A CPU that has left the space may still have such entries under a PCID that it flushes
    /// before it comes back to it.
    pub fn flush_tables<H: Hardware>(&self, hw: &H) {
        self.shoot(hw, Reach::Lazy);
    }

    /// Turns LAM on, permanently. When it returns `Ok`, `lam` is in CR3 wherever the space is used.
    /// Waits, as [`flush`](Self::flush) does.
    ///
    /// # Errors
    ///
    /// [`LamError::Unsupported`] if the CPUs were started without LAM; [`LamError::Locked`] if LAM
    /// is on or [locked](Self::lock_lam). Nothing has changed then.
    pub fn enable_lam<H: Hardware>(&self, hw: &H, lam: Lam) -> Result<(), LamError> {
        if !Self::hardware_has_lam(hw) {
            return Err(LamError::Unsupported);
        }
        // Relaxed: published by the increment in `shoot`. Readers read the generation first, so a
        // CPU with the new generation has the mask, and one with an older generation is waited for.
        self.lam
            .compare_exchange(0, lam.bit() | LAM_LOCKED, Ordering::Relaxed, Ordering::Relaxed)
            .map_err(|_| LamError::Locked)?;
        self.shoot(hw, Reach::Users);
        Ok(())
    }

    /// Makes the LAM mode final. For the moment a process gets a second thread, if the kernel
    /// wants all threads to agree, as Linux does.
    pub fn lock_lam(&self) {
        // Relaxed: a single word decides between this and `enable_lam`.
        self.lam.fetch_or(LAM_LOCKED, Ordering::Relaxed);
    }

    /// Drives lazy CPUs off a space to which no CPU switches any more, from the moment this begins
    /// (see [`Core::switch_to`](crate::Core::switch_to)). After `Ok` no CPU has its
    /// root in CR3 or will touch the `Space`, and both may be freed. Waits, as
    /// [`flush`](Self::flush) does.
    ///
    /// # Errors
    ///
    /// Returns [`InUse`] if a CPU uses the space, or went lazy on it during the call. The kernel
    /// tries again when the last user is gone.
    pub fn retire<H: Hardware>(&self, hw: &H) -> Result<(), InUse> {
        self.shoot(hw, Reach::Lazy);
        if self.cpus.is_empty() { Ok(()) } else { Err(InUse) }
    }

    /// Increments the generation and returns when no CPU within `reach` is behind it.
    ///
    /// There is no queue and no separate acknowledgement: the request is the generation, and the
    /// answer is the CPU's own record of what it has loaded. So initiators need not know of each
    /// other, and it does not matter if this one is interrupted, preempted or moved to another CPU.
    ///
    /// CPUs that wait with interrupts off cannot wait for each other in a circle. If A waits for
    /// B, then B last caught up before A's increment. A CPU catches up after its own increment and
    /// before its wait. Around a circle, each increment would come before itself.
    fn shoot<H: Hardware>(&self, hw: &H, reach: Reach) {
        // SeqCst, a locked instruction: page-table stores and the LAM mask are visible before it,
        // and the set and the cores are read after it. Partners: `AtomicCpuSet::join`, the swap in
        // `Core::load_space`, and every read of the generation.
        let tlb_gen = self.tlb_gen.fetch_add(1, Ordering::SeqCst) + 1;
        let targets = self.kick_lagging(hw, tlb_gen, reach);
        for cpu in targets {
            while hw.core(cpu).lags(self, tlb_gen, reach) {
                hw.relax(cpu);
            }
        }
    }

    /// Updates this CPU, whatever it has loaded, and kicks the others. In one section,
    /// so that "this CPU" and "the others" are the whole set.
    fn kick_lagging<H: Hardware>(&self, hw: &H, tlb_gen: u64, reach: Reach) -> CpuSet {
        let guard = hw.irqs_off();
        let this_cpu = hw.this_cpu(&guard);
        hw.core(this_cpu).catch_up(hw, &guard, this_cpu);
        let mut targets = CpuSet::EMPTY;
        for cpu in self.cpus.load().without(this_cpu) {
            if hw.core(cpu).lags(self, tlb_gen, reach) {
                targets = targets.with(cpu);
            }
        }
        if !targets.is_empty() {
            hw.kick(&guard, targets);
        }
        targets
    }

    fn hardware_has_lam<H: Hardware>(hw: &H) -> bool {
        let guard = hw.irqs_off();
        hw.core(hw.this_cpu(&guard)).has_lam()
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
