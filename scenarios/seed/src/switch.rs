//! The switch of address spaces by a CPU.

use core::ptr;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{compiler_fence, fence};

use crate::arch::{NOFLUSH, irqs_off, irqs_on, write_cr3};
use crate::mm::{ASID_COUNT, Cpu, Mm, SWITCHING, is_init_mm, this_cpu, this_cpu_bit};
use crate::variant::Variant;

/// Loads `next`. Interrupts are off.
///
/// Three ends: nothing to do, the mm is in use here; nothing to do, it was kept lazily and its
/// translations are current; or CR3 is written. The mails are about the second.
#[inline(never)]
pub(crate) fn switch_mm_irqs_off<V: Variant>(next: &'static Mm) {
    let cpu = this_cpu();
    let early_lam = if V::READ_ONCE { 0 } else { next.lam_cr3_mask.load(Relaxed) };
    let prev = cpu.loaded_mm.load(Relaxed);
    let was_lazy = cpu.is_lazy.load(Relaxed);
    if was_lazy {
        cpu.is_lazy.store(false, Relaxed);
    }

    let (asid, tlb_gen, need_flush);
    if ptr::eq(prev, next) {
        if !was_lazy {
            return;
        }
        let prev_asid = cpu.loaded_mm_asid.load(Relaxed);
        // Not lazy any more, then the generation: a flush does the reverse.
        fence(SeqCst);
        tlb_gen = next.tlb_gen.load(Relaxed);
        if cpu.ctxs[prev_asid].tlb_gen.load(Relaxed) == tlb_gen {
            if !V::COMPARE || cpu.lam.load(Relaxed) == next.lam_cr3_mask.load(Relaxed) {
                lamprey::note!("same mm, TLB current: CR3 is kept");
                return;
            }
            // The second patch of the RFC continues from here, but sets the ASID only in the branch
            // below. Here it has the value of an unassigned C variable: 0, in kernels that are
            // built with such variables zeroed, as is the default. And no flush is asked for.
            (asid, need_flush) = (0, false);
        } else {
            (asid, need_flush) = (prev_asid, true);
        }
    } else {
        cpu.loaded_mm.store(SWITCHING, Relaxed);
        compiler_fence(SeqCst);
        leave_cpumask(prev);
        next.cpumask.fetch_or(this_cpu_bit(), SeqCst);
        tlb_gen = next.tlb_gen.load(Relaxed);
        (asid, need_flush) = choose_new_asid(cpu, next, tlb_gen);
    }

    let lam = set_tlbstate_lam_mode(cpu, next);
    if need_flush {
        cpu.ctxs[asid].ctx_id.store(next.ctx_id, Relaxed);
        cpu.ctxs[asid].tlb_gen.store(tlb_gen, Relaxed);
    }
    load_new_mm_cr3(next, asid, if V::READ_ONCE { lam } else { early_lam }, need_flush);
    compiler_fence(SeqCst);
    cpu.loaded_mm.store(ptr::from_ref(next).cast_mut(), Relaxed);
    cpu.loaded_mm_asid.store(asid, Relaxed);
}

/// Takes the mm's mask as this CPU's copy.
#[inline]
pub(crate) fn set_tlbstate_lam_mode(cpu: &Cpu, mm: &Mm) -> u64 {
    let lam = mm.lam_cr3_mask.load(Relaxed);
    cpu.lam.store(lam, Relaxed);
    lam
}

fn leave_cpumask(prev: *mut Mm) {
    if !is_init_mm(prev) {
        // SAFETY: not SWITCHING, since no switch is inside another; so a `&'static Mm` once.
        let prev = unsafe { &*prev };
        prev.cpumask.fetch_and(!this_cpu_bit(), SeqCst);
    }
}

/// Chooses the ASID for `next`; also returns whether the TLB entries under it are too old.
fn choose_new_asid(cpu: &Cpu, next: &Mm, tlb_gen: u64) -> (usize, bool) {
    for (asid, ctx) in cpu.ctxs.iter().enumerate() {
        if ctx.ctx_id.load(Relaxed) == next.ctx_id {
            return (asid, ctx.tlb_gen.load(Relaxed) < tlb_gen);
        }
    }
    let asid = cpu.next_asid.load(Relaxed) % ASID_COUNT;
    cpu.next_asid.store(asid + 1, Relaxed);
    (asid, true)
}

/// Writes CR3; PCID 0 belongs to no mm.
#[inline(never)]
fn load_new_mm_cr3(mm: &Mm, asid: usize, lam: u64, need_flush: bool) {
    let cr3 = mm.pgd | (asid as u64 + 1) | lam;
    write_cr3(if need_flush { cr3 } else { cr3 | NOFLUSH });
}

/// Keeps the loaded mm for a kernel thread that runs next and has none.
#[inline(never)]
pub(crate) fn enter_lazy_tlb() {
    let cpu = this_cpu();
    if !is_init_mm(cpu.loaded_mm.load(Relaxed)) {
        cpu.is_lazy.store(true, Relaxed);
        lamprey::note!("lazy: CR3 stays on the mm");
    }
}

/// Lets the kernel thread on this CPU begin to use `mm`.
#[inline(never)]
pub(crate) fn kthread_use_mm<V: Variant>(mm: &'static Mm) {
    irqs_off();
    switch_mm_irqs_off::<V>(mm);
    irqs_on();
}

/// Ends the use of its mm by the kernel thread on this CPU; it stays loaded, with its LAM bits.
#[inline(never)]
pub(crate) fn kthread_unuse_mm() {
    irqs_off();
    enter_lazy_tlb();
    irqs_on();
}
