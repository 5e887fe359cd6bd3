//! Stacks that are switched, and words below the stack pointer.

use core::arch::{asm, naked_asm};
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A stack for a coroutine.
pub(crate) type Stack = [u64; 1024];

/// Pushes the registers that a callee must preserve, stores RSP in `*save`, and continues with RSP `to`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(_save: *mut u64, _to: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// Writes the values that [`switch`] pops below the 16-byte aligned `top`; returns the RSP to use.
///
/// # Safety
///
/// There is a stack below `top` that no other code uses.
pub(crate) unsafe fn prepare(top: u64, entry: extern "C" fn() -> !) -> u64 {
    // SAFETY: within the stack. Above are the slot of a return address and its alignment.
    unsafe { *((top - 24) as *mut u64) = entry as *const () as u64 };
    top - 72
}

/// Runs `f` with RSP `top`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn on_stack(_top: u64, _f: extern "C" fn()) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rsp, rdi",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        "ret"
    )
}

/// Stores `value` below RSP, puts its address into `*slot`, and waits for `*done`, as a leaf function.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leaf(_slot: *mut u64, _done: *mut u64, _value: u64) {
    naked_asm!(
        "mov [rsp - 16], rdx",
        "lea rax, [rsp - 16]",
        "mov [rdi], rax",
        "2:",
        "cmp qword ptr [rsi], 0",
        "je 2b",
        "ret",
    )
}

/// Returns RSP.
#[inline(always)]
pub(crate) fn rsp() -> u64 {
    let rsp;
    // SAFETY: a read.
    unsafe { asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags)) }
    rsp
}

/// Returns the address of a local of a function that has returned by then, with a value in it.
#[inline(never)]
pub(crate) fn leave_behind(value: u64) -> u64 {
    let mut frame = [0u64; 64];
    frame[32] = value;
    core::hint::black_box(&mut frame);
    &raw const frame[32] as u64
}

/// Reads a local that it has not initialised, in the former frame of [`leave_behind`].
#[inline(never)]
pub(crate) fn uninitialised(at: u64) -> u64 {
    let frame = MaybeUninit::<[u64; 64]>::uninit();
    core::hint::black_box(&frame);
    let offset = at.wrapping_sub(frame.as_ptr() as u64);
    let value;
    // SAFETY: an address on this stack. No reference is made: the compiler knows nothing of the value.
    unsafe { asm!("mov {}, [{} + {}]", out(reg) value, in(reg) frame.as_ptr(), in(reg) offset) }
    value
}

/// Reads the word at `at`, on any stack.
pub(crate) fn read(at: u64) -> u64 {
    let value;
    // SAFETY: an address of mapped memory. The compiler knows nothing of the value.
    unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) at, options(nostack)) }
    value
}

/// Writes to `at`, on any stack.
pub(crate) fn write(at: u64, value: u64) {
    // SAFETY: an address of mapped memory without references to it.
    unsafe { asm!("mov [{}], {}", in(reg) at, in(reg) value, options(nostack)) }
}

/// A request with a word to work on and one that marks it as done.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) work: AtomicU64,
    pub(crate) done: AtomicU64,
}

/// Waits for the address of another function's local in `slot`, stores 2 there and then 1 in `flag`.
#[inline(always)]
pub(crate) fn answer_at(slot: &AtomicU64, flag: &AtomicU64) {
    while slot.load(Acquire) == 0 {}
    // SAFETY: stacks are mapped.
    let local = unsafe { &*(slot.load(Relaxed) as *const AtomicU64) };
    local.store(2, Relaxed);
    flag.store(1, Release);
}
