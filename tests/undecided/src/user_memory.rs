//! User memory for which an access may have several results, in code that runs by itself: such an
//! access has no model there.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, Frame, PageTables, USER};
use lamprey::user;

use crate::cpu::load_cr3;

const VA: u64 = 0x40_0000;

/// Maps a page under CPU 0's CR3 that holds 1: returns its PTE, and a frame for it that holds 2.
fn scene() -> (&'static AtomicU64, Frame) {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (paging::frame(), paging::frame());
    old.words()[0].store(1, Relaxed);
    new.words()[0].store(2, Relaxed);
    let pte = tables.map(VA, old.pa(), USER);
    load_cr3(tables.root());
    (pte, new)
}

fn is_new() {
    lamprey::require!(user::read(VA) == Ok(2u64), "stale", "what the page said before");
}

/// A final check may find the old page in the TLB.
// reason: user memory with several results
#[lamprey::scenario]
fn in_a_final_check() {
    let (pte, new) = scene();
    lamprey::cpu(0, move || {
        let _ = user::read::<u64>(VA);
        pte.swap(new.pa() | USER, SeqCst);
        lamprey::mark!("changed");
    });
    lamprey::finally(is_new);
}

/// An invariant may find it, too.
// reason: user memory with several results
#[lamprey::scenario]
fn in_an_invariant() {
    let (pte, new) = scene();
    let changed = lamprey::new(AtomicU64::new(0));
    lamprey::always(|| {
        if changed.load(Relaxed) == 1 {
            is_new();
        }
    });
    lamprey::cpu(0, move || {
        let _ = user::read::<u64>(VA);
        pte.swap(new.pa() | USER, SeqCst);
        changed.swap(1, SeqCst);
        lamprey::mark!("changed");
    });
}

/// Set-up may find it, too.
// reason: user memory with several results
#[lamprey::scenario]
fn in_set_up() {
    let (pte, new) = scene();
    let _ = user::read::<u64>(VA);
    pte.swap(new.pa() | USER, SeqCst);
    is_new();
    lamprey::cpu(0, || lamprey::mark!("ran"));
}
