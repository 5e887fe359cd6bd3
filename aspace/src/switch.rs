//! The operations of a CPU on its own: start, switch, go lazy, catch up.

use core::sync::atomic::Ordering;

use crate::core_state::{Config, Core, KERNEL, SWITCHING, is_lazy, lazy};
use crate::cpuset::CpuId;
use crate::cr3::{Cr3, LamBits, Pcid, Root};
use crate::hardware::Hardware;
use crate::space::Space;

impl Core {
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
}
