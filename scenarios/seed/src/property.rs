//! The properties.

use core::sync::atomic::Ordering::Relaxed;

use lamprey::user::{self, USER_BASE};
use lamprey::{interrupts_on, require, require_eq};

use crate::arch::LAM;
use crate::lam::Lam;
use crate::mm::{CPU_COUNT, Mm, cpu};

/// A user pointer with a tag in bits 62:57.
pub(crate) const TAGGED: u64 = USER_BASE | 0x2a << 57;

/// Checks `lam-at-user-point`: after the enabling call returned, code that uses A's user memory
/// runs with A's LAM mode, so that a tagged pointer works. Called at such code.
#[inline(never)]
pub(crate) fn user_point(mm: &Mm, pointer: u64) {
    let word = user::read::<u64>(pointer);
    require_eq!(
        Lam(lamprey::cr3(lamprey::this_cpu()) & LAM),
        Lam(mm.lam_cr3_mask.load(Relaxed)),
        "lam-at-user-point",
        "user memory is used in the old LAM mode after the enabling call returned",
        "CR3.LAM",
        "mm_a.lam_cr3_mask",
    );
    require!(word.is_ok(), "lam-at-user-point", "a tagged pointer faults though LAM is on");
}

/// The words of [`lam_mirror_holds_on`], with their names in reports.
const LAM_COPY: [&str; CPU_COUNT] = ["cpu0.lam", "cpu1.lam", "cpu2.lam"];

/// Checks `lam-mirror`: with interrupts on, the CPU's copy of the LAM mode equals that in CR3.
///
/// Before the merge the CPU that enables writes CR3 and its copy one after the other with interrupts
/// on, so there this is checked on other CPUs only.
pub(crate) fn lam_mirror_holds_on(n: usize) {
    lamprey::always(move || {
        if interrupts_on(n) {
            require_eq!(
                Lam(lamprey::cr3(n) & LAM),
                Lam(cpu(n).lam.load(Relaxed)),
                "lam-mirror",
                "the CPU's copy of the LAM mode is not what CR3 has",
                "CR3.LAM",
                LAM_COPY[n],
            );
        }
    });
}

/// Checks `asid-names-mm`: with interrupts on, the ASID in CR3 is remembered as that of the loaded
/// mm. Otherwise the TLB mixes two address spaces.
pub(crate) fn asid_names_mm_on(n: usize) {
    lamprey::always(move || {
        if interrupts_on(n) {
            let cpu = cpu(n);
            // SAFETY: with interrupts on not SWITCHING; so a `&'static Mm`.
            let mm = unsafe { &*cpu.loaded_mm.load(Relaxed) };
            let asid = cpu.loaded_mm_asid.load(Relaxed);
            require_eq!(
                cpu.ctxs[asid].ctx_id.load(Relaxed),
                mm.ctx_id,
                "asid-names-mm",
                "the loaded mm runs under the ASID of another",
                "the slot of CR3's ASID",
                "loaded_mm.ctx_id",
            );
        }
    });
}
