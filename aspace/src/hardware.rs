//! The interface that a kernel implements for this crate.

use crate::{Core, CpuId, CpuSet, Cr3};

/// The machine, as far as this crate needs it. On x86-64 the module [`x86_64`](crate::x86_64) has
/// the instructions; the kernel adds the CPU's number, the location of the [`Core`]s, and the IPI.
///
/// # Safety
///
/// The implementer promises:
///
/// - **Guard.** From [`irqs_off`](Self::irqs_off) until the guard is dropped the code stays on one
///   CPU and no maskable interrupt is taken there. Dropping it restores the state before. Guards
///   nest. The compiler moves no memory access out of such a section.
/// - **This CPU.** [`this_cpu`](Self::this_cpu) names the executing CPU, and no two CPUs have the
///   same name.
/// - **Cores.** [`core`](Self::core) gives the same `Core` for the same CPU each time, a different
///   one for each CPU. On every CPU [`Core::start`] was called before anything else here.
/// - **NMIs.** Handlers of NMIs and machine checks call nothing here but [`Core::user_access_ok`]:
///   they may arrive inside a switch.
/// - **CR3.** [`write_cr3`](Self::write_cr3) loads exactly the value given, and no other code
///   writes the register while this crate's interrupts-off sections may run. It serialises, as the
///   instruction does, and the compiler moves no memory access across it.
/// - **Kick.** After [`kick`](Self::kick) each CPU of the set runs [`Core::on_kick`], with
///   interrupts off, at some later moment at which it has interrupts on. Pending kicks may
///   merge. Stores made before the kick are visible in the handler: before a WRMSR to the x2APIC
///   this needs MFENCE and LFENCE, or an instruction that serialises (SDM vol. 3 §10.12.3). The
///   crate calls this after a locked instruction, about which the manual promises nothing.
///   `kick` does not wait.
/// - Nothing here calls back into the crate, [`relax`](Self::relax) excepted: it runs with the
///   interrupts of the caller, and may take some.
pub unsafe trait Hardware {
    /// The proof that interrupts are off. Dropping it restores them.
    type Guard;

    /// Turns maskable interrupts off on this CPU.
    fn irqs_off(&self) -> Self::Guard;

    /// Returns the executing CPU.
    fn this_cpu(&self, guard: &Self::Guard) -> CpuId;

    /// Returns a CPU's state.
    fn core(&self, cpu: CpuId) -> &Core;

    /// Executes MOV to CR3.
    ///
    /// # Safety
    ///
    /// Under the new root the kernel half is mapped as under the old one.
    unsafe fn write_cr3(&self, guard: &Self::Guard, cr3: Cr3);

    /// Executes MOV from CR3. Called by debug assertions only.
    fn read_cr3(&self, guard: &Self::Guard) -> Cr3;

    /// Sends the interrupt whose handler calls [`Core::on_kick`] to every CPU of the set. The set
    /// is not empty and does not hold this CPU.
    fn kick(&self, guard: &Self::Guard, cpus: CpuSet);

    /// Performs one turn of a wait for `waiting_for`. The default is PAUSE. A kernel that wants to
    /// detect a CPU which never answers counts here; the wait goes on in any case, as giving up
    /// cannot replace a flush that did not happen.
    fn relax(&self, waiting_for: CpuId) {
        let _ = waiting_for;
        core::hint::spin_loop();
    }
}
