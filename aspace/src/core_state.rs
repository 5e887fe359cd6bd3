//! One CPU's state, and the operations of a CPU on its own: switch, go lazy, catch up.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use crate::cpuset::CpuId;
use crate::cr3::{Cr3, Lam, LamBits, Pcid, Root};
use crate::hardware::Hardware;
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
/// through [`Hardware::core`].
///
/// The functions that take no `self` act on the executing CPU's core.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Core {
    /// The space whose tables are in CR3: a space, the same with [`LAZY`], [`KERNEL`] or
    /// [`SWITCHING`]. Written by the owner with interrupts off; read by initiators and by the
    /// owner's NMIs. One word, so that no reader can pair an old space with a new laziness.
    loaded: AtomicPtr<Space>,
    /// Nothing in the TLB for the loaded space is older than this generation of it. Written by the
    /// owner with interrupts off, always *after* the CR3 write that makes it true and *before*
    /// `loaded` names the space; read by initiators, for which it is the acknowledgement.
    tlb_gen: AtomicU64,
    own: Own,
}

/// Words that only the owner accesses, with interrupts off. Hence Relaxed, and a cache line apart
/// from the words that initiators poll.
#[derive(Debug)]
#[repr(align(64))]
struct Own {
    /// CR3 as the register reads. Not up to date between a CR3 write and the next instruction.
    cr3: AtomicU64,
    /// The kernel's own tables.
    kernel: AtomicU64,
    pcid: AtomicBool,
    lazy: AtomicBool,
    lam: AtomicBool,
    slots: Slots,
}

/// The kernel's own tables: no space.
const KERNEL: *mut Space = ptr::null_mut();
/// CR3 is being changed. The owner never sees it with interrupts on; NMIs and initiators see it.
const SWITCHING: *mut Space = ptr::without_provenance_mut(2);
/// Address bit that marks a space kept while a kernel thread runs.
const LAZY: usize = 1;

const _: () = assert!(align_of::<Space>() > 2, "the tags need the low address bits");

fn lazy(space: *mut Space) -> *mut Space {
    space.map_addr(|addr| addr | LAZY)
}

#[inline]
fn is_lazy(loaded: *mut Space) -> bool {
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

    /// Starts the crate on the executing CPU, with the kernel's own tables and no space remembered.
    /// Called once at bring-up, and again when a CPU that went off comes back. The CPU calls
    /// [`leave`](Self::leave) before it goes off.
    ///
    /// # Safety
    ///
    /// - `kernel` is a top-level table that maps the kernel half, has nothing in the user half and
    ///   stays for ever.
    /// - `config` is true of this CPU, and `config.lam` is the same on all.
    /// - The CPU has no space loaded, and its TLB has no global translation of the user half.
    pub unsafe fn start<H: Hardware>(hw: &H, kernel: Root, config: Config) {
        let guard = hw.irqs_off();
        let core = hw.core(hw.this_cpu(&guard));
        let own = &core.own;
        own.kernel.store(kernel.pa(), Ordering::Relaxed);
        own.pcid.store(config.pcid, Ordering::Relaxed);
        own.lazy.store(config.lazy, Ordering::Relaxed);
        own.lam.store(config.lam, Ordering::Relaxed);
        own.slots.clear();
        // Bit 63 clear: everything that the boot code left under PCID 0 is flushed, but for global
        // translations (see `start`). The other PCIDs are flushed when their slots are first used.
        core.write_cr3(hw, &guard, Cr3::new(kernel, Pcid::KERNEL, LamBits::OFF));
        core.loaded.store(KERNEL, Ordering::Release);
    }

    /// Makes `next` the space of the executing CPU, for user mode or for user accesses of the
    /// kernel. The scheduler calls this when the next task has a space.
    ///
    /// If `next` is loaded already and not lazy, nothing happens, not even a barrier. If it was
    /// kept lazily, CR3 is written only if its generation moved meanwhile.
    ///
    /// # Safety
    ///
    /// - `next` is neither moved nor dropped until [`Space::retire`] has returned `Ok`. From the
    ///   moment that call begins no CPU switches to it or uses it, unless the call returned an error.
    /// - No entry of its user half is global (G, bit 8): a flush of one PCID does not reach those.
    /// - Any other code that uses `next` with a [`Hardware`] has one with the same cores.
    /// - Its root is a top-level table with the kernel half mapped as in the kernel's own, and the
    ///   tables below stay until [`Space::flush_tables`] or `retire` has returned.
    pub unsafe fn switch_to<H: Hardware>(hw: &H, next: &Space) {
        let guard = hw.irqs_off();
        let cpu = hw.this_cpu(&guard);
        hw.core(cpu).load_space(hw, &guard, cpu, next);
    }

    /// Lets a kernel thread begin to use the user half of `space`. Until
    /// [`unuse_space`](Self::unuse_space) the scheduler treats the thread as a task of that space:
    /// it switches to `space` whenever the thread runs again. The kernel marks the thread as such
    /// in one section with this call, with preemption off.
    ///
    /// # Safety
    ///
    /// The same as for [`switch_to`](Self::switch_to).
    pub unsafe fn use_space<H: Hardware>(hw: &H, space: &Space) {
        // SAFETY: the same contract.
        unsafe { Self::switch_to(hw, space) };
    }

    /// Ends a kernel thread's use of `space`, which is kept lazily. The kernel removes the mark
    /// from the thread in one section with this call, with preemption off.
    pub fn unuse_space<H: Hardware>(hw: &H, space: &Space) {
        let guard = hw.irqs_off();
        let cpu = hw.this_cpu(&guard);
        let core = hw.core(cpu);
        debug_assert!(core.user_access_ok(space), "a thread gives back what it does not use");
        core.go_lazy(hw, &guard, cpu);
    }

    /// Prepares for a kernel thread without a space: keeps the loaded one, but without notice of
    /// flushes. The scheduler calls this when the next task has no space. Until the next
    /// [`switch_to`](Self::switch_to) the kernel makes no user access on this CPU, and does not
    /// return to user mode.
    pub fn enter_lazy<H: Hardware>(hw: &H) {
        let guard = hw.irqs_off();
        let cpu = hw.this_cpu(&guard);
        hw.core(cpu).go_lazy(hw, &guard, cpu);
    }

    /// Loads the kernel's own tables: before a deep idle state that loses the TLB, or before the
    /// CPU goes off.
    pub fn leave<H: Hardware>(hw: &H) {
        let guard = hw.irqs_off();
        let cpu = hw.this_cpu(&guard);
        hw.core(cpu).load_kernel(hw, &guard, cpu);
    }

    /// Handles the kick. Compares the state of this CPU with that of its space, and updates
    /// it. There is no request to read: a kick that comes late, twice, merged or without need is as
    /// good as any.
    pub fn on_kick<H: Hardware>(hw: &H) {
        let guard = hw.irqs_off();
        let cpu = hw.this_cpu(&guard);
        hw.core(cpu).catch_up(hw, &guard, cpu);
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

    /// Makes the TLB and CR3 as new as the loaded space, or leaves the space if it is lazy.
    /// Interrupts are off, so this is never inside a switch: a kick that arrives during one finds
    /// the space that the switch ended with.
    pub(crate) fn catch_up<H: Hardware>(&self, hw: &H, guard: &H::Guard, cpu: CpuId) {
        let loaded = self.loaded_here();
        let Some(space) = self.space(loaded) else {
            return;
        };
        // SeqCst in there; Acquire is required. Partner: the increment in `Space::shoot`,
        // after the page-table stores and after the LAM mask.
        let tlb_gen = space.tlb_gen();
        if tlb_gen == self.tlb_gen.load(Ordering::Relaxed) {
            return;
        }
        if is_lazy(loaded) {
            self.load_kernel(hw, guard, cpu);
        } else {
            self.renew(hw, guard, space, tlb_gen);
        }
    }

    fn load_space<H: Hardware>(&self, hw: &H, guard: &H::Guard, cpu: CpuId, next: &Space) {
        let loaded = self.loaded_here();
        if loaded == next.word() {
            return;
        }
        // SeqCst, a locked instruction: the store is visible before the generation is read.
        // Partner: an initiator increments the generation and then reads `loaded`. Either it finds
        // that this CPU is no longer lazy or elsewhere, and waits; or this CPU finds the new
        // generation below.
        self.loaded.swap(SWITCHING, Ordering::SeqCst);
        if loaded == lazy(next.word()) {
            let tlb_gen = next.tlb_gen();
            if tlb_gen != self.tlb_gen.load(Ordering::Relaxed) {
                self.renew(hw, guard, next, tlb_gen);
            }
        } else {
            // In this order: join, read the generation, read the mask (in `compose`).
            next.cpus().join(cpu);
            let tlb_gen = next.tlb_gen();
            self.write_cr3(hw, guard, self.compose(next, tlb_gen));
            self.quit(loaded, cpu);
            self.tlb_gen.store(tlb_gen, Ordering::Release);
        }
        // Release. Partner: `lags`. A CPU that sees the space sees its `tlb_gen`; one that sees
        // that the previous space is gone comes after the CR3 write and after `quit`.
        self.loaded.store(next.word(), Ordering::Release);
    }

    fn load_kernel<H: Hardware>(&self, hw: &H, guard: &H::Guard, cpu: CpuId) {
        let loaded = self.loaded_here();
        if loaded == KERNEL {
            return;
        }
        // Relaxed: for this CPU's NMIs. No generation is read after it.
        self.loaded.store(SWITCHING, Ordering::Relaxed);
        let kernel = Root::new_unchecked(self.own.kernel.load(Ordering::Relaxed));
        let cr3 = Cr3::new(kernel, Pcid::KERNEL, LamBits::OFF);
        // PCID 0 never has user translations; the kernel flushes those of the kernel half.
        self.write_cr3(hw, guard, if self.has_pcid() { cr3.keep_tlb() } else { cr3 });
        self.quit(loaded, cpu);
        // Release; as in `load_space`.
        self.loaded.store(KERNEL, Ordering::Release);
    }

    fn go_lazy<H: Hardware>(&self, hw: &H, guard: &H::Guard, cpu: CpuId) {
        let loaded = self.loaded_here();
        if !self.own.lazy.load(Ordering::Relaxed) {
            self.load_kernel(hw, guard, cpu);
        } else if loaded != KERNEL {
            // Release. Partner: an initiator that sees this leaves the CPU alone and may free
            // frames: user accesses are over by then. No barrier after: an initiator that still
            // sees the space kicks, which is harmless.
            self.loaded.store(lazy(loaded), Ordering::Release);
        }
    }

    /// Flushes the loaded space and loads its LAM mask. `tlb_gen` was read before.
    fn renew<H: Hardware>(&self, hw: &H, guard: &H::Guard, space: &Space, tlb_gen: u64) {
        let pcid = self.cr3().pcid();
        self.own.slots.record(pcid, tlb_gen);
        self.write_cr3(hw, guard, Cr3::new(space.root(), pcid, space.lam_bits()));
        // Release; the acknowledgement, see `lags`.
        self.tlb_gen.store(tlb_gen, Ordering::Release);
    }

    /// Composes CR3 for a space that is not loaded. `tlb_gen` was read before.
    fn compose(&self, space: &Space, tlb_gen: u64) -> Cr3 {
        if !self.has_pcid() {
            return Cr3::new(space.root(), Pcid::KERNEL, space.lam_bits());
        }
        let (pcid, fresh) = self.own.slots.choose(space.ctx_id(), tlb_gen);
        let cr3 = Cr3::new(space.root(), pcid, space.lam_bits());
        if fresh { cr3.keep_tlb() } else { cr3 }
    }

    /// Writes CR3, and the mirror with it; the only place that does.
    fn write_cr3<H: Hardware>(&self, hw: &H, guard: &H::Guard, cr3: Cr3) {
        // SAFETY: the root is the kernel's or that of a space passed to `switch_to`; both
        // contracts say that the kernel half is the same.
        unsafe { hw.write_cr3(guard, cr3) };
        self.own.cr3.store(cr3.as_read().bits(), Ordering::Relaxed);
        debug_assert!(hw.read_cr3(guard) == self.cr3(), "CR3 is not what was written");
    }

    /// Removes this CPU from the set of the space that was loaded. CR3 is elsewhere by now;
    /// afterwards this CPU does not touch the space any more.
    #[inline]
    fn quit(&self, loaded: *mut Space, cpu: CpuId) {
        if let Some(prev) = self.space(loaded) {
            prev.cpus().leave(cpu);
        }
    }

    /// Returns the loaded space, for the owner outside of a switch.
    ///
    /// # Panics
    ///
    /// Panics inside a switch, where only an NMI can be, and before [`start`](Self::start).
    #[inline]
    fn loaded_here(&self) -> *mut Space {
        let loaded = self.loaded.load(Ordering::Relaxed);
        assert!(loaded != SWITCHING, "entered inside a switch, or before `start`");
        loaded
    }

    /// Returns the space in a value of [`loaded_here`](Self::loaded_here), lazy or not.
    #[inline]
    fn space(&self, loaded: *mut Space) -> Option<&Space> {
        let space = loaded.map_addr(|addr| addr & !LAZY);
        // SAFETY: null, or a space passed to `switch_to` and not yet left: this CPU is in its set,
        // so `retire` has not returned `Ok`, and by the contract of `switch_to` it is alive.
        unsafe { space.as_ref() }
    }

    #[inline]
    fn has_pcid(&self) -> bool {
        self.own.pcid.load(Ordering::Relaxed)
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}
