//! Accesses to user memory through page tables: an interrupt comes right before them, as before any
//! other instruction.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables, USER};
use lamprey::user;

use crate::cpu::load_cr3;
use crate::shared::words;

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// Maps a page at `VA`, on CPU 0: its first word as the kernel sees it, and the PTE of a page beside it.
fn page() -> (&'static AtomicU64, &'static AtomicU64) {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), USER);
    let beside = tables.map(VA + 0x1000, page.pa(), USER);
    load_cr3(tables.root());
    (&page.words()[0], beside)
}

/// Lets CPU 0 store a word and then, by `store`, one of user memory; the handler finds the one
/// without the other. CPU 1 does `meanwhile` with another PTE.
fn before_store(store: fn(), meanwhile: fn(&AtomicU64)) {
    let (word, beside) = page();
    let [x] = words();
    lamprey::handler(VECTOR, move || {
        let (x, word) = (x.load(Relaxed), word.load(Relaxed));
        lamprey::require!(x == word, "half-done", "{x} and {word}");
    });
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        store();
    });
    lamprey::cpu(1, move || {
        lamprey::send_ipi(0, VECTOR);
        meanwhile(beside);
    });
}

/// Lets CPU 0 load a word and then, by `load`, one of user memory; the handler stores both in between.
fn before_load(load: fn() -> u64) {
    let (word, _) = page();
    let [x] = words();
    lamprey::handler(VECTOR, move || {
        x.store(1, Relaxed);
        word.store(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        let (first, second) = (x.load(Relaxed), load());
        lamprey::require!(first == second, "half-seen", "{first}, then {second}");
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

fn user_write() {
    let _ = user::write(VA, 1u64);
}

/// A store of user mode.
#[lamprey::scenario(finds = "half-done")]
fn before_a_write() {
    before_store(user_write, |_| {});
}

/// A store of user mode, while another entry of the same table changes.
#[lamprey::scenario(finds = "half-done")]
fn before_a_write_while_tables_change() {
    before_store(user_write, |beside| _ = beside.swap(0, SeqCst));
}

/// The kernel's own store.
#[lamprey::scenario(finds = "half-done")]
fn before_a_write_of_the_kernel() {
    // SAFETY: the page is mapped.
    before_store(|| unsafe { asm!("mov qword ptr [{}], 1", in(reg) VA, options(nostack)) }, |_| {});
}

/// A load of user mode.
#[lamprey::scenario(finds = "half-seen")]
fn before_a_read() {
    before_load(|| user::read(VA).unwrap_or(0));
}

/// The kernel's own load.
#[lamprey::scenario(finds = "half-seen")]
fn before_a_read_of_the_kernel() {
    before_load(|| {
        let word;
        // SAFETY: the page is mapped.
        unsafe { asm!("mov {}, qword ptr [{}]", out(reg) word, in(reg) VA, options(nostack)) };
        word
    });
}
