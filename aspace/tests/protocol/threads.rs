//! Threads as CPUs: kicks arrive when a guard is dropped or a wait takes a turn. No proof, but it
//! shows a deadlock or a missed flush.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use aspace::{Config, Core, CpuId, CpuSet, Cr3, Hardware, Lam, Root, Space};

const CPUS: usize = 3;
const ROUNDS: u64 = 20_000;

#[derive(Default)]
struct Machine {
    cores: [Core; CPUS],
    pending: [AtomicBool; CPUS],
    up: AtomicU64,
}

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
    static IRQS_ON: Cell<bool> = const { Cell::new(true) };
    static CR3: Cell<u64> = const { Cell::new(0) };
    /// The TLB content under each PCID.
    static TLB: RefCell<[Option<(u64, u64)>; 8]> = const { RefCell::new([None; 8]) };
}

struct Guard<'a>(&'a Machine, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        IRQS_ON.set(self.1);
        self.0.interrupt();
    }
}

impl Machine {
    fn interrupt(&self) {
        if IRQS_ON.get() && self.pending[CPU.get()].swap(false, SeqCst) {
            IRQS_ON.set(false);
            Core::on_kick(&self);
            IRQS_ON.set(true);
        }
    }
}

// SAFETY: one thread per CPU, and the thread is the CPU.
unsafe impl<'a> Hardware for &'a Machine {
    type Guard = Guard<'a>;
    fn irqs_off(&self) -> Guard<'a> {
        Guard(self, IRQS_ON.replace(false))
    }
    fn this_cpu(&self, _: &Guard<'a>) -> CpuId {
        CpuId::new(CPU.get() as u32)
    }
    fn core(&self, cpu: CpuId) -> &Core {
        &self.cores[cpu.index()]
    }
    unsafe fn write_cr3(&self, _: &Guard<'a>, cr3: Cr3) {
        if !cr3.keeps_tlb() {
            TLB.with_borrow_mut(|tlb| tlb[usize::from(cr3.pcid().number())] = None);
        }
        CR3.set(cr3.bits() & !(1 << 63));
        // Widens the window in which others see an incomplete switch.
        std::thread::yield_now();
    }
    fn read_cr3(&self, _: &Guard<'a>) -> Cr3 {
        Cr3::from_bits(CR3.get())
    }
    fn kick(&self, _: &Guard<'a>, cpus: CpuSet) {
        for cpu in cpus {
            self.pending[cpu.index()].store(true, SeqCst);
        }
    }
    fn relax(&self, _: CpuId) {
        self.interrupt();
        std::thread::yield_now();
    }
}

const KERNEL: Root = Root::new(0x1000);

/// Tables with a version, and the oldest version that may still be seen.
struct Process {
    space: Space,
    tables: AtomicU64,
    floor: AtomicU64,
}

impl Process {
    const fn new(root: u64) -> Self {
        Self {
            space: Space::new(Root::new(root)),
            tables: AtomicU64::new(0),
            floor: AtomicU64::new(0),
        }
    }

    /// Makes a user access with the space loaded.
    fn access(&self) {
        let floor = self.floor.load(SeqCst);
        let cr3 = Cr3::from_bits(CR3.get());
        let fresh = (cr3.root().pa(), self.tables.load(SeqCst));
        let pcid = usize::from(cr3.pcid().number());
        let (root, seen) = TLB.with_borrow_mut(|tlb| *tlb[pcid].get_or_insert(fresh));
        assert_eq!(root, self.space.root().pa(), "another space's translations");
        assert!(seen >= floor, "a stale translation: {seen} after {floor}");
    }

    fn change(&self, hw: &&Machine) {
        let version = self.tables.fetch_add(1, SeqCst) + 1;
        self.space.flush(hw);
        self.floor.fetch_max(version, SeqCst);
    }
}

fn life(hw: &&Machine, cpu: usize, config: Config, processes: &[Process; 2], lam_on: &AtomicBool) {
    CPU.set(cpu);
    // SAFETY: a machine of threads; the processes outlive them.
    unsafe { Core::start(hw, KERNEL, config) };
    hw.up.fetch_add(1, SeqCst);
    while hw.up.load(SeqCst) < CPUS as u64 {
        std::thread::yield_now();
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(cpu as u64 + 1);
    for round in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let process = &processes[(random >> 20) as usize & 1];
        let lam_due = lam_on.load(SeqCst);
        // SAFETY: as above.
        unsafe { Core::switch_to(hw, &process.space) };
        process.access();
        assert!(!lam_due || hw.cores[cpu].lam() == Some(Lam::U57), "LAM is missing");
        hw.interrupt();
        process.access();
        match random & 7 {
            0 | 1 => Core::enter_lazy(hw),
            2 => Core::leave(hw),
            3 | 4 => process.change(hw),
            5 => {
                let guard = hw.irqs_off();
                process.change(hw);
                drop(guard);
            }
            6 => process.space.flush_tables(hw),
            _ => hw.interrupt(),
        }
        if cpu == 0 && round == ROUNDS / 2 {
            for process in processes {
                process.space.enable_lam(hw, Lam::U57).unwrap();
            }
            lam_on.store(true, SeqCst);
        }
    }
    Core::leave(hw);
}

#[test]
fn cpus_that_flush_each_other_both_complete() {
    for (pcid, lazy) in [(true, true), (true, false), (false, true), (false, false)] {
        let machine = Machine::default();
        let processes = [Process::new(0x2000), Process::new(0x3000)];
        let lam_on = AtomicBool::new(false);
        let config = Config { pcid, lazy, lam: true };
        std::thread::scope(|scope| {
            for cpu in 0..CPUS {
                let (machine, processes, lam_on) = (&machine, &processes, &lam_on);
                scope.spawn(move || life(&machine, cpu, config, processes, lam_on));
            }
        });
        for process in &processes {
            assert!(process.space.loaded_on().is_empty());
        }
    }
}
