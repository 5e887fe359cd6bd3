//! The accessed and dirty flags are set by an access at its moment: a reader of the entry finds
//! them clear before, and set after.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, A, D, P, PageTables, RW, US};
use lamprey::user;

use crate::cpu::load_cr3;
use crate::shared::words;

const VA: u64 = 0x40_0000;

/// Creates the root of tables with an unused page at `VA`, but for the flags `used`; and its PTE.
fn scene(used: u64) -> (u64, &'static AtomicU64) {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let pte = tables.map(VA, paging::frame().pa(), P | RW | US | used);
    (tables.root(), pte)
}

/// Lets CPU 0 announce `access`, run it, and announce its end.
fn accesses(root: u64, stage: &'static AtomicU64, access: fn()) {
    lamprey::cpu(0, move || {
        load_cr3(root);
        stage.swap(1, SeqCst);
        access();
        stage.swap(2, SeqCst);
    });
}

fn user_write() {
    let _ = user::write(VA, 1u64);
}

fn user_read() {
    let _ = user::read::<u64>(VA);
}

/// D is clear before a write.
#[lamprey::scenario(finds = "clear")]
fn dirty_before() {
    let (root, pte) = scene(A);
    lamprey::cpu(0, move || {
        load_cr3(root);
        user_write();
    });
    lamprey::cpu(1, move || {
        lamprey::require!(pte.load(Relaxed) & D != 0, "clear", "before the write");
    });
}

/// D is set after it.
#[lamprey::scenario(finds = "set")]
fn dirty_after() {
    let (root, pte) = scene(A);
    lamprey::cpu(0, move || {
        load_cr3(root);
        user_write();
    });
    lamprey::cpu(1, move || {
        lamprey::require!(pte.load(Relaxed) & D == 0, "set", "after the write");
    });
}

/// A is set after a read.
#[lamprey::scenario(finds = "set")]
fn accessed_after() {
    let (root, pte) = scene(0);
    lamprey::cpu(0, move || {
        load_cr3(root);
        user_read();
    });
    lamprey::cpu(1, move || {
        lamprey::require!(pte.load(Relaxed) & A == 0, "set", "after the read");
    });
}

/// Lets CPU 1 find `flag` clear though CPU 0 is about to run the access that sets it.
fn seen_before(flag: u64, used: u64, access: fn()) {
    let (root, pte) = scene(used);
    let [stage] = words();
    accesses(root, stage, access);
    lamprey::cpu(1, move || {
        let (stage, pte) = (stage.load(SeqCst), pte.load(SeqCst));
        lamprey::require!(stage != 1 || pte & flag != 0, "clear", "right before the access");
    });
}

/// D, right before a write.
#[lamprey::scenario(finds = "clear")]
fn dirty_right_before() {
    seen_before(D, A, user_write);
}

/// A, right before a read.
#[lamprey::scenario(finds = "clear")]
fn accessed_right_before() {
    seen_before(A, 0, user_read);
}

/// D, right before a write of the kernel's.
#[lamprey::scenario(finds = "clear")]
fn dirty_right_before_a_write_of_the_kernel() {
    // SAFETY: the page is mapped.
    seen_before(D, A, || unsafe { asm!("mov qword ptr [{}], 1", in(reg) VA, options(nostack)) });
}

/// An invariant sees the moment between.
#[lamprey::scenario(finds = "clear")]
fn seen_by_an_invariant() {
    let (root, pte) = scene(A);
    let [stage] = words();
    lamprey::always(move || {
        let (stage, pte) = (stage.load(Relaxed), pte.load(Relaxed));
        lamprey::require!(stage != 1 || pte & D != 0, "clear", "right before the write");
    });
    accesses(root, stage, user_write);
}

/// An NMI comes between.
#[lamprey::scenario(finds = "clear")]
fn seen_by_an_nmi() {
    let (root, pte) = scene(A);
    let [stage] = words();
    lamprey::nmi(1, move || {
        let (stage, pte) = (stage.load(Relaxed), pte.load(Relaxed));
        lamprey::require!(stage != 1 || pte & D != 0, "clear", "right before the write");
    });
    accesses(root, stage, user_write);
}

/// Reclaim takes a page for clean, and it is written after: without a flush before, the write is lost.
#[lamprey::scenario(finds = "dropped")]
fn reclaim_of_a_clean_page() {
    let (root, pte) = scene(A);
    let [stage, dropped] = words();
    accesses(root, stage, user_write);
    lamprey::cpu(1, move || {
        if pte.load(Relaxed) & D == 0 {
            dropped.store(1, Relaxed);
        }
    });
    lamprey::finally(move || {
        lamprey::require!(dropped.load(Relaxed) == 0, "dropped", "a page that was written");
    });
}

/// D is cleared without a flush: the next write may not set it again.
#[lamprey::scenario(finds = "lost")]
fn dirty_cleared_without_a_flush() {
    let (root, pte) = scene(A | D);
    lamprey::cpu(0, move || {
        load_cr3(root);
        pte.fetch_and(!D, SeqCst);
        user_write();
        lamprey::require!(pte.load(Relaxed) & D != 0, "lost", "the page passes for clean");
    });
}
