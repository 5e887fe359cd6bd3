//! One CPU's state: the space it has loaded, and how new its TLB is.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use crate::cr3::{Cr3, Lam};
use crate::slots::Slots;
use crate::space::{Reach, Space};

/// The features of a CPU that the crate uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// CR4.PCIDE is set on this CPU: spaces get PCIDs, and a switch keeps what the TLB has.
    pub pcid: bool,
    /// A kernel thread runs on the tables of the space before it. Off: [`Core::enter_lazy`] goes
    /// to the kernel's own tables at once.
    pub lazy: bool,
    /// CPUID has LAM. The same on all CPUs.
    pub lam: bool,
}

/// The address-space state of one CPU. The kernel places it in its per-CPU area and finds it again
/// through [`Hardware::core`](crate::Hardware::core).
///
/// The functions that take no `self` act on the executing CPU's core.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Core {
    /// The space whose tables are in CR3: a space, the same with [`LAZY`], [`KERNEL`] or
    /// [`SWITCHING`]. Written by the owner with interrupts off; read by initiators and by the
    /// owner's NMIs. One word, so that no reader can pair an old space with a new laziness.
    pub(crate) loaded: AtomicPtr<Space>,
    /// Nothing in the TLB for the loaded space is older than this generation of it. Written by the
    /// owner with interrupts off, always *after* the CR3 write that makes it true and *before*
    /// `loaded` names the space; read by initiators, for which it is the acknowledgement.
    pub(crate) tlb_gen: AtomicU64,
    pub(crate) own: Own,
}

/// Words that only the owner accesses, with interrupts off. Hence Relaxed, and a cache line apart
/// from the words that initiators poll.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Own {
    /// CR3 as the register reads. Not up to date between a CR3 write and the next instruction.
    pub(crate) cr3: AtomicU64,
    /// The kernel's own tables.
    pub(crate) kernel: AtomicU64,
    pub(crate) pcid: AtomicBool,
    pub(crate) lazy: AtomicBool,
    pub(crate) lam: AtomicBool,
    pub(crate) slots: Slots,
}

/// The kernel's own tables: no space.
pub(crate) const KERNEL: *mut Space = ptr::null_mut();
/// CR3 is being changed. The owner never sees it with interrupts on; NMIs and initiators see it.
pub(crate) const SWITCHING: *mut Space = ptr::without_provenance_mut(2);
/// Address bit that marks a space kept while a kernel thread runs.
const LAZY: usize = 1;

const _: () = assert!(align_of::<Space>() > 2, "the tags need the low address bits");

pub(crate) fn lazy(space: *mut Space) -> *mut Space {
    space.map_addr(|addr| addr | LAZY)
}

#[inline]
pub(crate) fn is_lazy(loaded: *mut Space) -> bool {
    loaded.addr() & LAZY != 0
}

impl Core {
    /// Creates a core for which [`start`](Self::start) has not been called yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            loaded: AtomicPtr::new(SWITCHING),
            tlb_gen: AtomicU64::new(0),
            own: Own {
                cr3: AtomicU64::new(0),
                kernel: AtomicU64::new(0),
                pcid: AtomicBool::new(false),
                lazy: AtomicBool::new(false),
                lam: AtomicBool::new(false),
                slots: Slots::new(),
            },
        }
    }

    /// Returns whether `space` is loaded here, wholly and not lazily. For NMI handlers: if true,
    /// user accesses through CR3 reach `space` until this NMI returns. True only on the CPU that
    /// asks about itself; elsewhere it is out of date at once.
    #[inline]
    #[must_use]
    pub fn user_access_ok(&self, space: &Space) -> bool {
        // Relaxed: an NMI reads its own CPU's word. SWITCHING is stored before CR3 changes and the
        // space after, in program order, which the CR3 write as a compiler barrier keeps.
        self.loaded.load(Ordering::Relaxed) == space.word()
    }

    /// Returns whether a space is kept lazily.
    #[inline]
    #[must_use]
    pub fn is_lazy(&self) -> bool {
        is_lazy(self.loaded.load(Ordering::Relaxed))
    }

    /// Returns CR3 as the CPU would read it, without reading it. For the owner, outside NMIs.
    #[inline]
    #[must_use]
    pub fn cr3(&self) -> Cr3 {
        Cr3::from_bits(self.own.cr3.load(Ordering::Relaxed))
    }

    /// Returns the LAM mode in the CPU's CR3. For the owner, outside NMIs.
    #[inline]
    #[must_use]
    pub fn lam(&self) -> Option<Lam> {
        self.cr3().lam()
    }

    /// Returns whether this CPU has LAM.
    #[inline]
    pub(crate) fn has_lam(&self) -> bool {
        self.own.lam.load(Ordering::Relaxed)
    }

    /// Returns, to an initiator that brought `space` to `tlb_gen`, whether this CPU may still use
    /// older translations.
    ///
    /// `false` is final, though the two words are not read at one moment. If `loaded` is something
    /// else than the space, or its lazy form, this CPU joins or returns later than the increment,
    /// and then reads the generation itself. If `loaded` is the space, `tlb_gen` was written for
    /// the space or for one loaded later; in the second case this CPU left the space after the
    /// increment, too.
    #[inline]
    pub(crate) fn lags(&self, space: &Space, tlb_gen: u64, reach: Reach) -> bool {
        // SeqCst. Partner: the swap in `load_space`, the Release stores of the new value.
        let loaded = self.loaded.load(Ordering::SeqCst);
        if loaded == SWITCHING {
            return true;
        }
        if loaded != space.word() && (reach == Reach::Users || loaded != lazy(space.word())) {
            return false;
        }
        // Acquire. Partner: the Release stores, which come after the CR3 write. The initiator may
        // free what the CPU could reach until then.
        self.tlb_gen.load(Ordering::Acquire) < tlb_gen
    }

    /// Returns the loaded space, for the owner outside of a switch.
    ///
    /// # Panics
    ///
    /// Panics inside a switch, where only an NMI can be, and before [`start`](Self::start).
    #[inline]
    pub(crate) fn loaded_here(&self) -> *mut Space {
        let loaded = self.loaded.load(Ordering::Relaxed);
        assert!(loaded != SWITCHING, "entered inside a switch, or before `start`");
        loaded
    }

    /// Returns the space in a value of [`loaded_here`](Self::loaded_here), lazy or not.
    #[inline]
    pub(crate) fn space(&self, loaded: *mut Space) -> Option<&Space> {
        let space = loaded.map_addr(|addr| addr & !LAZY);
        // SAFETY: null, or a space passed to `switch_to` and not yet left: this CPU is in its set,
        // so `retire` has not returned `Ok`, and by the contract of `switch_to` it is alive.
        unsafe { space.as_ref() }
    }

    #[inline]
    pub(crate) fn has_pcid(&self) -> bool {
        self.own.pcid.load(Ordering::Relaxed)
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}
