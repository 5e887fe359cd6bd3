//! The operations on a space across all CPUs: flush, enable LAM, retire.

use core::sync::atomic::Ordering;

use crate::cpuset::CpuSet;
use crate::cr3::Lam;
use crate::hardware::Hardware;
use crate::space::{InUse, LAM_LOCKED, LamError, Reach, Space};

impl Space {
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
}
