//! The data: address spaces, and each CPU's knowledge of them.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};

use crate::arch::LAM_U57;

/// The number of CPUs of the largest situation.
pub(crate) const CPU_COUNT: usize = 3;
/// The number of address spaces that a CPU's TLB keeps apart.
pub(crate) const ASID_COUNT: usize = 6;

/// An address space: the parts needed here of Linux's `mm_struct` and its `context`.
#[repr(C, align(64))]
pub(crate) struct Mm {
    /// Physical address of the top-level table.
    pub(crate) pgd: u64,
    /// Id of the address space; never reused.
    pub(crate) ctx_id: u64,
    /// CPUs that may have `pgd` in CR3, lazy ones included. Each sets and clears its own bit.
    pub(crate) cpumask: AtomicU64,
    /// The number of changes of the page tables.
    pub(crate) tlb_gen: AtomicU64,
    /// The LAM bits for CR3. A plain word in Linux: no access to it orders anything.
    pub(crate) lam_cr3_mask: AtomicU64,
    /// `MM_CONTEXT_LOCK_LAM`: the mode is final, as there is a second thread or LAM is on.
    pub(crate) lock_lam: AtomicBool,
}

impl Mm {
    const fn new(pgd: u64, ctx_id: u64) -> Self {
        Self {
            pgd,
            ctx_id,
            cpumask: AtomicU64::new(0),
            tlb_gen: AtomicU64::new(0),
            lam_cr3_mask: AtomicU64::new(0),
            lock_lam: AtomicBool::new(false),
        }
    }
}

/// The kernel's own address space, loaded on every CPU at first.
static INIT_MM: Mm = Mm::new(0, INIT_CTX_ID);
const INIT_CTX_ID: u64 = 1;

/// A CPU's `cpu_tlbstate`. Written by its CPU alone, with interrupts off.
#[repr(C, align(64))]
pub(crate) struct Cpu {
    /// The mm whose tables are in CR3; [`SWITCHING`] while that changes.
    pub(crate) loaded_mm: AtomicPtr<Mm>,
    pub(crate) loaded_mm_asid: AtomicUsize,
    pub(crate) next_asid: AtomicUsize,
    /// A kernel thread runs, and `loaded_mm` is still loaded from the thread before it.
    pub(crate) is_lazy: AtomicBool,
    /// CR3's LAM bits as far as software knows. Linux keeps them shifted down, in a byte.
    pub(crate) lam: AtomicU64,
    pub(crate) ctxs: [Ctx; ASID_COUNT],
    /// The mm for which another CPU asks this one to call [`enable_lam_func`](crate::lam). It waits
    /// until this is null again.
    pub(crate) call: AtomicPtr<Mm>,
}

/// The TLB content of an ASID: no entry of `ctx_id` that is older than `tlb_gen`.
#[repr(C)]
pub(crate) struct Ctx {
    pub(crate) ctx_id: AtomicU64,
    pub(crate) tlb_gen: AtomicU64,
}

/// `LOADED_MM_SWITCHING`.
pub(crate) const SWITCHING: *mut Mm = ptr::without_provenance_mut(1);

static CPUS: [Cpu; CPU_COUNT] = [const { Cpu::new() }; CPU_COUNT];

impl Cpu {
    const fn new() -> Self {
        let mut ctxs = [const { Ctx::new(0) }; ASID_COUNT];
        ctxs[0] = Ctx::new(INIT_CTX_ID);
        Self {
            loaded_mm: AtomicPtr::new((&raw const INIT_MM).cast_mut()),
            loaded_mm_asid: AtomicUsize::new(0),
            next_asid: AtomicUsize::new(1),
            is_lazy: AtomicBool::new(false),
            lam: AtomicU64::new(0),
            ctxs,
            call: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

impl Ctx {
    const fn new(ctx_id: u64) -> Self {
        Self { ctx_id: AtomicU64::new(ctx_id), tlb_gen: AtomicU64::new(0) }
    }
}

/// Returns CPU `n`'s state.
pub(crate) fn cpu(n: usize) -> &'static Cpu {
    &CPUS[n]
}

/// Returns the state of the executing CPU.
#[inline]
pub(crate) fn this_cpu() -> &'static Cpu {
    cpu(lamprey::this_cpu())
}

/// Returns this CPU's bit in a cpumask.
#[inline]
pub(crate) fn this_cpu_bit() -> u64 {
    1 << lamprey::this_cpu()
}

pub(crate) fn is_init_mm(mm: *const Mm) -> bool {
    ptr::eq(mm, &raw const INIT_MM)
}

/// Creates address space A, with LAM off, and names everything for reports.
pub(crate) fn set_up() -> &'static Mm {
    let pgd = lamprey::physical_address(lamprey::alloc(4096, 4096));
    let mm = lamprey::new(Mm::new(pgd, INIT_CTX_ID + 1));
    lamprey::name(mm, "mm_a");
    lamprey::name_root(pgd, "A");
    lamprey::name(&INIT_MM, "init_mm");
    lamprey::name_root(INIT_MM.pgd, "init");
    lamprey::name(&CPUS[0], "cpu0");
    lamprey::name(&CPUS[1], "cpu1");
    lamprey::name(&CPUS[2], "cpu2");
    lamprey::name_value(LAM_U57, "LAM_U57");
    mm
}
