//! The machine with page tables for the crate: like [`machine`](crate::machine), but
//! with the kernel's own tables, and kicks that go through the x2APIC.

use core::arch::asm;

use aspace::x86_64::{self, IrqGuard};
use aspace::{Config, Core, CpuId, CpuSet, Cr3, Hardware, Root};
use lamprey::paging::PageTables;

use crate::machine::{self, KICK_VECTOR, core_of};

/// CR4.PCIDE.
const PCIDE: u64 = 1 << 17;

/// All features of the crate.
pub(crate) const ALL: Config = Config { pcid: true, lazy: true, lam: true };

/// The modelled machine.
pub(crate) struct Paged;

// SAFETY: `IrqGuard` turns interrupts off, and there is no preemption. A core for each number, and
// the number is the CPU's. NMIs ask `user_access_ok` only. CR3 is written by the crate's instruction, and
// by firmware on a CPU that is off. The handler of the kick is `on_kick`, and the fences before WRMSR make
// earlier stores visible first.
unsafe impl Hardware for Paged {
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
        // SAFETY: the caller's contract; `Config` is true of the CPU, which has LAM.
        unsafe { x86_64::write_cr3(cr3) };
    }

    #[inline]
    fn read_cr3(&self, _: &IrqGuard) -> Cr3 {
        x86_64::read_cr3()
    }

    #[inline]
    fn kick(&self, _: &IrqGuard, cpus: CpuSet) {
        for cpu in cpus {
            send_x2apic(cpu);
        }
    }
}

/// Sends the kick. WRMSR to the x2APIC waits for no store; MFENCE and LFENCE before it do (SDM vol. 3
/// §10.12.3).
#[inline]
fn send_x2apic(cpu: CpuId) {
    // SAFETY: a fixed interrupt, for which there is a handler.
    unsafe {
        asm!(
            "mfence",
            "lfence",
            "wrmsr",
            in("ecx") 0x830,
            in("eax") u32::from(KICK_VECTOR),
            in("edx") cpu.index() as u32,
            options(nostack, preserves_flags),
        );
    }
}

/// The kernel: its own tables, with nothing in the user half, and the crate's configuration.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    root: Root,
    config: Config,
}

impl Kernel {
    /// Turns page tables on, names the cores and registers the handler of the kick. In set-up, before
    /// any process is created.
    pub(crate) fn new(config: Config) -> Self {
        lamprey::page_tables(4);
        machine::name_cores();
        lamprey::handler(KICK_VECTOR, || Core::on_kick(&Paged));
        let tables = PageTables::new();
        lamprey::name_root(tables.root(), "kernel");
        Self { root: Root::new(tables.root()), config }
    }

    /// Starts the crate on this CPU, before anything else on it.
    pub(crate) fn start(self) {
        if !self.config.pcid {
            turn_pcids_off();
        }
        // SAFETY: the tables stay; CR4.PCIDE is as `config` says, CPUs have LAM, and have no space.
        unsafe { Core::start(&Paged, self.root, self.config) };
    }
}

/// Clears CR4.PCIDE.
fn turn_pcids_off() {
    // SAFETY: the kernel half does not depend on it in this machine, and CR3 has PCID 0.
    unsafe {
        asm!(
            "mov {cr4}, cr4",
            "and {cr4}, {others}",
            "mov cr4, {cr4}",
            cr4 = out(reg) _,
            others = in(reg) !PCIDE,
            options(nostack),
        );
    }
}
