//! The machine for the crate: the number of the CPU, the cores, the IPI. The instructions
//! are the crate's own. User memory is flat.

use aspace::x86_64::{self, IrqGuard};
use aspace::{Core, CpuId, CpuSet, Cr3, Hardware};

use crate::{CPU_COUNT, translations};

/// The vector of the kick.
pub(crate) const KICK_VECTOR: u8 = 0xfd;

static CORES: [Core; CPU_COUNT] = [const { Core::new() }; CPU_COUNT];

/// The modelled machine.
pub(crate) struct Machine;

// SAFETY: `IrqGuard` turns interrupts off, and there is no preemption. A core for each number, and
// the number is the CPU's. CR3 is written here only, by the crate's instruction. The handler of the
// kick is `on_kick`, and IPIs are delivered once interrupts are on.
unsafe impl Hardware for Machine {
    type Guard = IrqGuard;

    #[inline]
    fn irqs_off(&self) -> IrqGuard {
        IrqGuard::new()
    }

    #[inline]
    fn this_cpu(&self, _: &IrqGuard) -> CpuId {
        CpuId::new(lamprey::this_cpu() as u32)
    }

    #[inline]
    fn core(&self, cpu: CpuId) -> &Core {
        core_of(cpu.index())
    }

    #[inline]
    unsafe fn write_cr3(&self, _: &IrqGuard, cr3: Cr3) {
        translations::before_cr3_write(cr3);
        // SAFETY: the caller's contract; CR4.PCIDE is set and the CPUs have LAM.
        unsafe { x86_64::write_cr3(cr3) };
    }

    #[inline]
    fn read_cr3(&self, _: &IrqGuard) -> Cr3 {
        x86_64::read_cr3()
    }

    #[inline]
    fn kick(&self, _: &IrqGuard, cpus: CpuSet) {
        for cpu in cpus {
            lamprey::send_ipi(cpu.index(), KICK_VECTOR);
        }
    }
}

/// Returns CPU `n`'s core.
#[inline]
pub(crate) fn core_of(n: usize) -> &'static Core {
    &CORES[n]
}

/// Names the cores and registers the handler of the kick.
pub(crate) fn set_up() {
    name_cores();
    lamprey::handler(KICK_VECTOR, || Core::on_kick(&Machine));
}

/// Names the cores.
pub(crate) fn name_cores() {
    lamprey::name(&CORES[0], "core0");
    lamprey::name(&CORES[1], "core1");
    lamprey::name(&CORES[2], "core2");
}
