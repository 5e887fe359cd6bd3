//! A machine for tests: CPUs that take turns in one thread, and interrupts that a test delivers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use aspace::{Config, Core, CpuId, CpuSet, Cr3, Hardware, Root, Space};

pub(crate) const KERNEL: Root = Root::new(0x1000);
pub(crate) const ALL: Config = Config { pcid: true, lazy: true, lam: true };

pub(crate) struct Sim {
    config: Config,
    cores: Vec<Core>,
    cpu: Cell<u32>,
    irqs_on: Vec<Cell<bool>>,
    cr3: Vec<Cell<u64>>,
    pub(crate) writes: Vec<Cell<u32>>,
    pub(crate) last_write: Vec<Cell<Cr3>>,
    /// CPUs with a pending interrupt.
    pub(crate) pending: Cell<CpuSet>,
    /// All CPUs kicked so far.
    pub(crate) kicked: Cell<CpuSet>,
    /// A hook that runs once, in the next kick, before anything is delivered.
    pub(crate) before_kick: RefCell<Option<Hook>>,
    /// The present version of the tables of each root; incremented by `edit`.
    tables: RefCell<HashMap<u64, u32>>,
    /// The TLB content of a CPU under a PCID.
    tlb: RefCell<HashMap<(u32, u16), (u64, u32)>>,
}

pub(crate) type Hook = Box<dyn FnOnce(&Sim)>;

// SAFETY: one thread; the CPU changes only in `on`, which restores it; interrupts arrive only in
// `relax` and `deliver`.
unsafe impl Hardware for Sim {
    type Guard = ();

    fn irqs_off(&self) {}

    fn this_cpu(&self, (): &()) -> CpuId {
        CpuId::new(self.cpu.get())
    }

    fn core(&self, cpu: CpuId) -> &Core {
        &self.cores[cpu.index()]
    }

    unsafe fn write_cr3(&self, (): &(), cr3: Cr3) {
        let cpu = self.cpu.get();
        assert!(self.config.pcid || cr3.pcid().number() == 0, "PCID without PCIDE");
        assert!(self.config.pcid || !cr3.keeps_tlb(), "bit 63 without PCIDE");
        assert!(self.config.lam || cr3.lam().is_none(), "LAM without LAM");
        if !cr3.keeps_tlb() {
            self.tlb.borrow_mut().remove(&(cpu, cr3.pcid().number()));
        }
        self.cr3[cpu as usize].set(cr3.bits() & !(1 << 63));
        self.last_write[cpu as usize].set(cr3);
        self.writes[cpu as usize].set(self.writes[cpu as usize].get() + 1);
    }

    fn read_cr3(&self, (): &()) -> Cr3 {
        self.cr3(self.cpu.get())
    }

    fn kick(&self, (): &(), cpus: CpuSet) {
        assert!(!cpus.is_empty() && !cpus.contains(CpuId::new(self.cpu.get())));
        for cpu in cpus {
            self.pending.set(self.pending.get().with(cpu));
            self.kicked.set(self.kicked.get().with(cpu));
        }
        if let Some(hook) = self.before_kick.take() {
            hook(self);
        }
    }

    fn relax(&self, waiting_for: CpuId) {
        assert!(self.pending.get().contains(waiting_for), "waits for ever");
        self.deliver(waiting_for.index() as u32);
    }
}

impl Sim {
    pub(crate) fn new(cpus: u32, config: Config) -> Self {
        let each = 0..cpus;
        let sim = Self {
            config,
            cores: each.clone().map(|_| Core::new()).collect(),
            cpu: Cell::new(0),
            irqs_on: each.clone().map(|_| Cell::new(true)).collect(),
            cr3: each.clone().map(|_| Cell::new(0)).collect(),
            writes: each.clone().map(|_| Cell::new(0)).collect(),
            last_write: each.clone().map(|_| Cell::new(Cr3::from_bits(0))).collect(),
            pending: Cell::new(CpuSet::EMPTY),
            kicked: Cell::new(CpuSet::EMPTY),
            before_kick: RefCell::new(None),
            tables: RefCell::default(),
            tlb: RefCell::default(),
        };
        for cpu in each {
            // SAFETY: nothing is mapped here; `config` is what the simulation checks against.
            sim.on(cpu, |hw| unsafe { Core::start(hw, KERNEL, config) });
        }
        sim
    }

    /// Runs `f` on `cpu`, and then checks the invariants that hold with interrupts on.
    pub(crate) fn on<R>(&self, cpu: u32, f: impl FnOnce(&Self) -> R) -> R {
        let before = self.cpu.replace(cpu);
        let result = f(self);
        self.cpu.set(before);
        let core = self.core(CpuId::new(cpu));
        assert_eq!(core.cr3(), self.cr3(cpu), "the mirror is CR3");
        assert_eq!(core.lam(), self.cr3(cpu).lam());
        result
    }

    pub(crate) fn switch(&self, cpu: u32, space: &Space) {
        // SAFETY: tests drop spaces after retiring them, or `Space` panics.
        self.on(cpu, |hw| unsafe { Core::switch_to(hw, space) });
    }

    pub(crate) fn lazy(&self, cpu: u32) {
        self.on(cpu, Core::enter_lazy);
    }

    /// Delivers the interrupt, if one is pending.
    pub(crate) fn deliver(&self, cpu: u32) {
        let id = CpuId::new(cpu);
        assert!(self.irqs_on[cpu as usize].get(), "interrupts are off there");
        if self.pending.get().contains(id) {
            self.pending.set(self.pending.get().without(id));
            self.on(cpu, Core::on_kick);
        }
    }

    /// Runs `f` on `cpu` with interrupts off.
    pub(crate) fn on_irqs_off<R>(&self, cpu: u32, f: impl FnOnce(&Self) -> R) -> R {
        self.irqs_on[cpu as usize].set(false);
        let result = self.on(cpu, f);
        self.irqs_on[cpu as usize].set(true);
        result
    }

    pub(crate) fn cr3(&self, cpu: u32) -> Cr3 {
        Cr3::from_bits(self.cr3[cpu as usize].get())
    }

    /// Returns the number of writes of CR3 on `cpu` in `f`.
    pub(crate) fn writes_in(&self, cpu: u32, f: impl FnOnce(&Self)) -> u32 {
        let before = self.writes[cpu as usize].get();
        f(self);
        self.writes[cpu as usize].get() - before
    }

    /// Changes the page tables of a space.
    pub(crate) fn edit(&self, space: &Space) {
        *self.tables.borrow_mut().entry(space.root().pa()).or_default() += 1;
    }

    /// Makes a user access on `cpu`; returns whether its result agrees with the tables of `space`.
    pub(crate) fn sees(&self, cpu: u32, space: &Space) -> bool {
        let now = |root| self.tables.borrow().get(&root).copied().unwrap_or(0);
        let cr3 = self.cr3(cpu);
        let root = cr3.root().pa();
        let mut tlb = self.tlb.borrow_mut();
        let entry = tlb.entry((cpu, cr3.pcid().number())).or_insert_with(|| (root, now(root)));
        *entry == (space.root().pa(), now(space.root().pa()))
    }
}
