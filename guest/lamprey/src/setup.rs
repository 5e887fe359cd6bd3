//! Registrations of a scenario: closures for CPUs, invariants, handlers, and memory.

use core::ptr::{self, NonNull};

use abi::layout::{HEAP_BASE, HEAP_PHYS};

use crate::hypercall::{
    Entry, lamprey_alloc, lamprey_always, lamprey_cpu, lamprey_finally, lamprey_fixed_clock,
    lamprey_frame_free, lamprey_handler, lamprey_nmi, lamprey_page_tables, lamprey_raw_handler,
    lamprey_raw_nmi,
};

/// Registers `run` for CPU `n`, which starts with interrupts on, CR3 zero and CR4.PCIDE set. When
/// `run` returns, the CPU idles; it still takes interrupts. A return with interrupts off violates
/// `ends-with-interrupts-off`.
///
/// For set-up, once per CPU. CPUs are numbered from 0, and there are at most
/// [`MAX_CPUS`](crate::MAX_CPUS).
///
/// ```ignore
/// let hits = lamprey::new(AtomicU64::new(0));
/// lamprey::cpu(0, move || { hits.fetch_add(1, SeqCst); });
/// lamprey::cpu(1, move || { hits.fetch_add(1, SeqCst); });
/// ```
///
/// # Panics
///
/// The run ends undecided if `n` is out of range, given twice, or outside set-up.
pub fn cpu(n: usize, run: impl FnOnce() + Send + 'static) {
    let data = place(run);
    // SAFETY: `entry` gets the closure it was made for, and Lamprey calls it once.
    unsafe { lamprey_cpu(n as u64, call_once_of(&data), data.as_ptr().cast()) }
}

/// Registers a check that must hold in every state: it runs, unseen by the CPUs, whenever one of them has
/// done something that another could notice. It fails by [`require!`](macro@crate::require) or a panic.
///
/// For set-up. The check has no side effects: its writes to memory are discarded. It runs on no
/// CPU, with segment bases of 0.
///
/// ```ignore
/// lamprey::always(move || lamprey::require!(users.load(Relaxed) <= 1, "mutual-exclusion",
///     "two CPUs are in the critical section"));
/// ```
pub fn always(check: impl Fn() + 'static) {
    let data = place(check);
    // SAFETY: `entry` gets the closure it was made for, which is never moved.
    unsafe { lamprey_always(call_of(&data), data.as_ptr().cast()) }
}

/// Registers a check that runs after all closures have returned, with no interrupt pending.
///
/// For set-up. It runs on no CPU, with segment bases of 0.
///
/// ```ignore
/// lamprey::finally(move || lamprey::require_eq!(hits.load(Relaxed), 2, "lost-update",
///     "an increment is lost"));
/// ```
pub fn finally(check: impl FnOnce() + 'static) {
    let data = place(check);
    // SAFETY: `entry` gets the closure it was made for, and Lamprey calls it once in a run.
    unsafe { lamprey_finally(call_once_of(&data), data.as_ptr().cast()) }
}

/// Registers `run` for interrupts of `vector`, on every CPU, with interrupts off and on a stack of
/// its own. The vectors for scenarios begin at [`FIRST_VECTOR`](crate::FIRST_VECTOR).
///
/// For set-up, once per vector.
///
/// ```ignore
/// lamprey::handler(0xfb, || flush_tlb_func());
/// ```
pub fn handler(vector: u8, run: impl Fn() + Sync + 'static) {
    let data = place(run);
    // SAFETY: `entry` gets the closure it was made for, which is never moved; it is `Sync`, so
    // several CPUs may be in it.
    unsafe { lamprey_handler(u64::from(vector), call_of(&data), data.as_ptr().cast()) }
}

/// Registers `entry` for interrupts of `vector`, on every CPU. It is entered as by hardware: SS,
/// RSP, RFLAGS, CS and RIP are on its stack, all other registers are the interrupted code's, and it
/// ends with IRETQ. Usually a naked function. CS is 0x10, SS is 0x18.
///
/// For set-up, once per vector. The IRETQ that loads the interrupted RSP ends the handler; the
/// handler must leave all registers as it found them.
///
/// # Safety
///
/// `entry` follows these rules, and its actions are sound on every CPU and at any moment.
pub unsafe fn raw_handler(vector: u8, entry: unsafe extern "C" fn()) {
    // SAFETY: the caller's contract.
    unsafe { lamprey_raw_handler(u64::from(vector), entry) }
}

/// Registers `run` for NMIs, on every CPU, on a stack of its own. At most `budget` NMIs arrive in a run
/// without being sent, each on any CPU and between any two instructions, whether interrupts are on or
/// not. NMIs that are sent ([`send_nmi`](crate::send_nmi), or by the x2APIC) are not counted in `budget`.
///
/// For set-up, once. While `run` runs, further NMIs wait.
///
/// ```ignore
/// lamprey::nmi(1, || watchdog());
/// ```
pub fn nmi(budget: u64, run: impl Fn() + Sync + 'static) {
    let data = place(run);
    // SAFETY: as `handler`.
    unsafe { lamprey_nmi(budget, call_of(&data), data.as_ptr().cast()) }
}

/// Registers an NMI handler like [`nmi`], entered and left like a [`raw_handler`]. Any IRETQ that it
/// executes unblocks further NMIs, which start on the same stack: the frame there is overwritten.
///
/// # Safety
///
/// The same as for [`raw_handler`].
pub unsafe fn raw_nmi(budget: u64, entry: unsafe extern "C" fn()) {
    // SAFETY: the caller's contract.
    unsafe { lamprey_raw_nmi(budget, entry) }
}

/// Allocates `size` zeroed bytes, aligned to `align`; never freed.
///
/// ```ignore
/// let frame = lamprey::alloc(4096, 4096);
/// ```
///
/// # Panics
///
/// The run ends undecided if `align` is not a power of two or memory is exhausted.
#[must_use]
pub fn alloc(size: usize, align: usize) -> *mut u8 {
    // SAFETY: no argument is wrong in a way that harms: see above.
    unsafe { lamprey_alloc(size, align) }
}

/// Fixes the clock: `rdtsc` always reads `ticks`. Without this a run that reads the clock ends
/// undecided, because the effect of time on code is not modelled.
///
/// ```ignore
/// lamprey::fixed_clock(1_000);
/// ```
pub fn fixed_clock(ticks: u64) {
    lamprey_fixed_clock(ticks);
}

/// Maps the user half by page tables of `levels` (4 or 5) levels, from the root in CR3 on, through
/// each CPU's TLB and paging-structure caches. The kernel half is not affected.
///
/// For set-up. Tables and user pages are memory from [`alloc`]; a table is any frame that a walk
/// from some CPU's CR3 reads. Without this call user memory is flat.
///
/// # Panics
///
/// The run ends undecided if `levels` is another number, or outside set-up.
pub fn page_tables(levels: u64) {
    lamprey_page_tables(levels);
}

/// Frees the 4-KiB frame at physical address `pa`. If some CPU then uses a translation to it, that
/// violates `freed-frame`; if one may still walk through it as a table, `freed-table`; if it is
/// freed once more, `freed-twice`.
///
/// ```ignore
/// pte.store(0, SeqCst);
/// flush_everywhere(page);
/// lamprey::frame_free(frame);
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no frame at `pa` that [`alloc`] has returned.
pub fn frame_free(pa: u64) {
    lamprey_frame_free(pa);
}

/// Returns the physical address of memory from [`alloc`] or [`new`], for roots of page tables.
///
/// ```ignore
/// let root = lamprey::physical_address(lamprey::alloc(4096, 4096));
/// ```
#[must_use]
pub fn physical_address(memory: *const u8) -> u64 {
    memory.addr() as u64 - HEAP_BASE + HEAP_PHYS
}

/// Moves `value` into memory that is never freed.
///
/// ```ignore
/// let lock: &'static AtomicBool = lamprey::new(AtomicBool::new(false));
/// ```
pub fn new<T>(value: T) -> &'static T {
    // SAFETY: `place` wrote a `T` there, and no other code has the address.
    unsafe { place(value).as_ref() }
}

fn place<T>(value: T) -> NonNull<T> {
    if size_of::<T>() == 0 {
        // The owner of the place runs the destructor.
        core::mem::forget(value);
        return NonNull::dangling();
    }
    let place = NonNull::new(alloc(size_of::<T>(), align_of::<T>()).cast::<T>());
    let place = place.expect("lamprey_alloc gave no memory");
    // SAFETY: fresh memory of the size and alignment of `T`.
    unsafe { place.write(value) };
    place
}

fn call_once_of<F: FnOnce()>(_: &NonNull<F>) -> Entry {
    call_once::<F>
}

fn call_of<F: Fn()>(_: &NonNull<F>) -> Entry {
    call::<F>
}

/// # Safety
///
/// `data` is the address of an `F` that is not used again.
unsafe extern "C" fn call_once<F: FnOnce()>(data: *mut u8) {
    // SAFETY: the caller's contract.
    let run = unsafe { ptr::read(data.cast::<F>()) };
    run();
}

/// # Safety
///
/// `data` is the address of an `F`.
unsafe extern "C" fn call<F: Fn()>(data: *mut u8) {
    // SAFETY: the caller's contract.
    let run = unsafe { &*data.cast::<F>() };
    run();
}
