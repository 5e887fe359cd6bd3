//! A page loses the right to be written: for copy-on-write, or to be written to disk.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use lamprey::paging::{A, D, P, RW, US};
use lamprey::user;

use crate::arch::invlpg;
use crate::process::{Process, Shootdown, VA};

/// `fork` makes the page read-only for parent and child, and CPU 0 is not told: the parent still
/// writes, and the child sees it.
///
/// Found with every `--tlb`, under both models. Without a TLB, too, CPU 0 may be between the
/// translation of a store and the store: a flush there is also a wait for stores on their way.
#[lamprey::scenario(finds = "copy-on-write")]
fn fork_without_flush() {
    fork(|_| {});
}

/// `fork` returns when CPU 0 has flushed.
#[lamprey::scenario(marks = ["the parent writes", "the parent must copy"])]
fn fork_with_flush() {
    fork(|shootdown| {
        shootdown.send(0);
        shootdown.wait();
    });
}

/// Lets a thread of the parent write on CPU 0 while another forks on CPU 1. The child's memory
/// after that must not change.
fn fork(flush_others: impl FnOnce(Shootdown) + Send + 'static) {
    let parent = Process::only_one();
    let shootdown = Shootdown::new();
    let word = &parent.page.words()[0];
    lamprey::name(word, "page[0]");
    lamprey::cpu(0, move || {
        parent.enter();
        for value in 1..3_u64 {
            match user::write(VA, value) {
                Ok(()) => lamprey::mark!("the parent writes"),
                Err(_) => lamprey::mark!("the parent must copy"),
            }
        }
    });
    lamprey::cpu(1, move || {
        parent.enter();
        parent.pte.fetch_and(!RW, SeqCst);
        invlpg(VA);
        flush_others(shootdown);
        let first = word.load(Relaxed);
        lamprey::require_eq!(
            word.load(Relaxed),
            first,
            "copy-on-write",
            "the child's memory changes by a write of the parent",
            "page[0]",
            "page[0], when fork returned"
        );
    });
}

/// The kernel takes the right to write by a load and a store. Hardware sets D in between, and the store
/// loses it: a page that was written passes for clean.
///
/// Found with every `--tlb`, under both models: no flush is missing.
#[lamprey::scenario(finds = "dirty-bit-lost")]
fn dirty_bit_is_lost() {
    write_protect(|pte| {
        let value = pte.load(Relaxed);
        pte.store(value & !RW, Relaxed);
    });
}

/// The kernel takes it by one LOCKed operation.
#[lamprey::scenario(marks = ["written", "not written"])]
fn dirty_bit_is_kept() {
    write_protect(|pte| {
        pte.fetch_and(!RW, SeqCst);
    });
}

/// Lets a thread write to a clean page on CPU 0 while CPU 1 protects it.
fn write_protect(protect: impl FnOnce(&AtomicU64) + Send + 'static) {
    let process = Process::new(P | RW | US | A);
    let clean = process.pte.load(Relaxed);
    let shootdown = Shootdown::new();
    let is_written = lamprey::new(AtomicU64::new(0));
    lamprey::name(process.pte, "pte");
    lamprey::name_root(process.tables.root(), "process");
    lamprey::name_value(clean, "CLEAN");
    lamprey::name_value(clean | D, "DIRTY");
    lamprey::name_value(clean & !RW, "CLEAN_PROTECTED");
    lamprey::name_value((clean | D) & !RW, "DIRTY_PROTECTED");
    lamprey::name(is_written, "written");
    lamprey::cpu(0, move || {
        process.enter();
        if user::write(VA, 1_u64).is_ok() {
            is_written.store(1, Release);
        }
    });
    lamprey::cpu(1, move || {
        protect(process.pte);
        shootdown.send(0);
        shootdown.wait();
        // From here on the PTE decides whether the page must be written back.
        if is_written.load(Acquire) != 0 {
            lamprey::mark!("written");
            lamprey::require!(
                process.pte.load(Relaxed) & D != 0,
                "dirty-bit-lost",
                "a page that was written is clean"
            );
        } else {
            lamprey::mark!("not written");
        }
    });
}
