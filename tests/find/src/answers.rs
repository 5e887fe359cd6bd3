//! A store leaves the store buffer before the load after it, and another CPU answers it in between:
//! that load sees the answer, with any code before the two.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables, USER};
use lamprey::user;

use crate::cpu::load_cr3;
use crate::shared::words;

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// Makes a request that may be answered at once.
fn ask(request: &AtomicU64, answer: &AtomicU64) {
    request.store(1, Relaxed);
    lamprey::require!(answer.load(Relaxed) == 0, "answered", "the answer is there already");
}

/// Lets CPU 1 look at `before`, and answer a request that it sees.
fn responder(before: &'static AtomicU64, request: &'static AtomicU64, answer: &'static AtomicU64) {
    lamprey::cpu(1, move || {
        let _ = before.load(Relaxed);
        if request.load(Relaxed) == 1 {
            answer.store(1, Relaxed);
        }
    });
}

/// Lets CPU 0 store a word, do `between`, and ask.
fn store_and_ask(between: impl FnOnce() + Send + 'static) {
    let [before, request, answer] = words();
    lamprey::cpu(0, move || {
        before.store(1, Relaxed);
        between();
        ask(request, answer);
    });
    responder(before, request, answer);
}

fn lock_or() {
    // SAFETY: the word at RSP keeps its value.
    unsafe { asm!("lock or dword ptr [rsp], 0") }
}

/// After nothing else.
#[lamprey::scenario(finds = "answered")]
fn after_a_store() {
    store_and_ask(|| {});
}

/// After MFENCE.
#[lamprey::scenario(finds = "answered")]
fn after_mfence() {
    // SAFETY: orders accesses.
    store_and_ask(|| unsafe { asm!("mfence", options(nostack)) });
}

/// After LOCK OR of nothing to the own stack, a fence.
#[lamprey::scenario(finds = "answered")]
fn after_lock_or_of_the_stack() {
    store_and_ask(lock_or);
}

/// After LOCK ADD below the top of the stack, as in Linux's `smp_mb`.
#[lamprey::scenario(finds = "answered")]
fn after_lock_add_below_the_stack() {
    // SAFETY: nothing is added.
    store_and_ask(|| unsafe { asm!("lock add dword ptr [rsp - 4], 0") });
}

/// After a sequentially consistent store, an XCHG, to a word that only this CPU uses.
#[lamprey::scenario(finds = "answered")]
fn after_xchg_of_an_own_word() {
    let [own] = words();
    store_and_ask(move || own.store(1, SeqCst));
}

/// After LOCK XADD to a counter of this CPU.
#[lamprey::scenario(finds = "answered")]
fn after_an_own_counter() {
    let [count] = words();
    store_and_ask(move || {
        count.fetch_add(1, Relaxed);
    });
}

/// All of it in a handler, with interrupts off.
#[lamprey::scenario(finds = "answered")]
fn in_a_handler() {
    let [before, request, answer] = words();
    lamprey::handler(VECTOR, move || {
        before.store(1, Relaxed);
        lock_or();
        ask(request, answer);
    });
    lamprey::cpu(0, || lamprey::send_ipi(0, VECTOR));
    responder(before, request, answer);
}

/// All of it with interrupts on, and a handler that does nothing.
#[lamprey::scenario(finds = "answered")]
fn with_interrupts_on() {
    lamprey::handler(VECTOR, || {});
    store_and_ask(lock_or);
}

/// Asks after a private loop of `turns` turns.
fn after_a_loop(turns: u32) {
    let [before, request, answer] = words();
    lamprey::cpu(0, move || {
        // SAFETY: only registers.
        unsafe { asm!("2: dec {0:e}", "jnz 2b", inout(reg) turns => _) };
        ask(request, answer);
    });
    responder(before, request, answer);
}

/// After a private loop.
#[lamprey::scenario(finds = "answered")]
fn after_a_short_loop() {
    after_a_loop(1_000);
}

/// After a private loop longer than a step.
#[lamprey::scenario(finds = "answered")]
fn after_a_long_loop() {
    after_a_loop(100_000);
}

/// The request is a store to user memory, through page tables.
#[lamprey::scenario(finds = "answered")]
fn of_user_memory() {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), USER);
    load_cr3(tables.root());
    let [before, answer] = words();
    lamprey::cpu(0, move || {
        let _ = user::write(VA, 1u64);
        lamprey::require!(answer.load(Relaxed) == 0, "answered", "the answer is there already");
    });
    responder(before, &page.words()[0], answer);
}

/// CPU 0 takes back its store unless another CPU has seen it, and so it may stay.
#[lamprey::scenario(finds = "taken-back")]
fn what_was_answered_stays() {
    let [before, own, request, answer] = words();
    lamprey::cpu(0, move || {
        before.store(1, Relaxed);
        own.store(1, SeqCst);
        request.store(1, Relaxed);
        if answer.load(Relaxed) == 0 {
            request.store(0, Relaxed);
        }
    });
    responder(before, request, answer);
    lamprey::finally(move || {
        lamprey::require!(request.load(Relaxed) == 0, "taken-back", "somebody has seen it");
    });
}
