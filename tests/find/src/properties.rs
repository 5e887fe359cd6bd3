//! The ways to state a property.

use core::hint::black_box;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables, USER};
use lamprey::user;

use crate::cpu::{invlpg, load_cr3};
use crate::shared::words;

/// An invariant that is broken only between two stores of one CPU.
// switches: 0
#[lamprey::scenario(finds = "equal")]
fn always_between_two_stores() {
    let [a, b] = words();
    lamprey::always(move || {
        let (a, b) = (a.load(Relaxed), b.load(Relaxed));
        lamprey::require!(a == b, "equal", "{a} and {b}");
    });
    lamprey::cpu(0, move || {
        a.store(1, Relaxed);
        b.store(1, Relaxed);
    });
}

/// The final check fails in one order of many: four turns, the last one free.
// switches: 2
#[lamprey::scenario(finds = "ping-pong")]
fn finally_in_one_order() {
    let [x, y] = words();
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        if y.load(SeqCst) == 1 {
            x.store(2, SeqCst);
        }
    });
    lamprey::cpu(1, move || {
        if x.load(SeqCst) == 1 {
            y.store(1, SeqCst);
            if x.load(SeqCst) == 2 {
                y.store(2, SeqCst);
            }
        }
    });
    lamprey::finally(move || {
        lamprey::require!(y.load(SeqCst) != 2, "ping-pong", "each saw the other's answer");
    });
}

/// One of three values fails, the last.
// switches: 0
#[lamprey::scenario(finds = "not-two")]
fn choose_last() {
    lamprey::cpu(0, || {
        let value = lamprey::choose(3);
        lamprey::require!(value != 2, "not-two", "{value}");
    });
}

/// One pair of two choices fails.
// switches: 0
#[lamprey::scenario(finds = "pair")]
fn choose_twice() {
    lamprey::cpu(0, || {
        let (a, b) = (lamprey::choose(3), lamprey::choose(2));
        lamprey::require!((a, b) != (1, 1), "pair", "{a} and {b}");
    });
}

/// The right assumption leaves the bug in.
// switches: 0
#[lamprey::scenario(finds = "odd")]
fn assume_leaves_it() {
    lamprey::cpu(0, || {
        let value = lamprey::choose(4);
        lamprey::assume(value > 1);
        lamprey::require!(value.is_multiple_of(2), "odd", "{value}");
    });
}

/// An index out of bounds panics, with its place.
// switches: 0
// at: index_out_of_bounds
#[lamprey::scenario(finds = "panic")]
fn index_out_of_bounds() {
    lamprey::cpu(0, || {
        let list = [1, 2, 3];
        black_box(list[black_box(3)]);
    });
}

/// Overflow is checked, as in a debug build.
// switches: 0
#[lamprey::scenario(finds = "panic")]
fn overflow() {
    lamprey::cpu(0, || {
        black_box(black_box(255u8) + 1);
    });
}

/// A panic in the set-up is one of the scenario.
// switches: 0
#[lamprey::scenario(finds = "panic")]
fn panic_in_set_up() {
    assert!(black_box(false), "the set-up is wrong");
}

/// Three CPUs: what one saw, another sees as older. Allowed, and so to be found.
#[lamprey::scenario(finds = "all-seen")]
fn three_cpus() {
    let [x, y, seen] = words();
    lamprey::cpu(0, move || x.store(1, SeqCst));
    lamprey::cpu(1, move || {
        if x.load(SeqCst) == 1 {
            y.store(1, SeqCst);
        }
    });
    lamprey::cpu(2, move || {
        if y.load(SeqCst) == 1 && x.load(SeqCst) == 1 {
            seen.store(1, SeqCst);
        }
    });
    lamprey::finally(move || {
        lamprey::require!(seen.load(SeqCst) == 0, "all-seen", "the writes came one after another");
    });
}

/// A private loop without end.
// switches: 0
#[lamprey::scenario(finds = "livelock")]
fn endless_loop() {
    // SAFETY: never returns.
    lamprey::cpu(0, || unsafe { core::arch::asm!("2: jmp 2b", options(noreturn)) });
}

/// A private loop without end on one CPU does not hide what another does.
// switches: 0
#[lamprey::scenario(finds = "panic")]
fn endless_loop_beside_a_bug() {
    let [x] = words();
    // SAFETY: never returns.
    lamprey::cpu(0, || unsafe { core::arch::asm!("2: jmp 2b", options(noreturn)) });
    lamprey::cpu(1, move || {
        x.store(1, SeqCst);
        assert!(x.load(SeqCst) == 0);
    });
    lamprey::cpu(2, move || x.store(0, SeqCst));
}

/// A CPU waits for a store that no CPU makes.
// switches: 0
#[lamprey::scenario(finds = "livelock")]
fn waits_for_nobody() {
    let [x] = words();
    lamprey::cpu(0, move || while x.load(SeqCst) == 0 {});
    lamprey::cpu(1, move || x.store(0, SeqCst));
}

/// A discarded run does not discard what others could do before.
#[lamprey::scenario(finds = "seen")]
fn assume_takes_nothing_along() {
    let [x] = words();
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        lamprey::assume(false);
    });
    lamprey::cpu(1, move || {
        lamprey::require!(x.load(SeqCst) == 0, "seen", "before the run is discarded");
    });
}

/// An invariant that looks by LOCK CMPXCHG sees the same as one that loads.
// switches: 0
#[lamprey::scenario(finds = "never-one")]
fn always_by_cmpxchg() {
    let [x] = words();
    lamprey::always(move || {
        let seen = x.compare_exchange(7, 7, SeqCst, SeqCst);
        lamprey::require!(seen != Err(1), "never-one", "between two stores");
    });
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        x.store(2, SeqCst);
    });
}

/// The same with an exchange, whose store is discarded.
// switches: 0
#[lamprey::scenario(finds = "never-one")]
fn always_by_xchg() {
    let [x] = words();
    lamprey::always(move || {
        lamprey::require!(x.swap(9, SeqCst) != 1, "never-one", "between two stores");
    });
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        x.store(2, SeqCst);
    });
}

/// An invariant over user memory is broken only between two changes of an entry.
#[lamprey::scenario(finds = "not-mapped")]
fn always_through_page_tables() {
    const VA: u64 = 0x40_0000;
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    let pte = tables.map(VA, 0, 0);
    load_cr3(tables.root());
    lamprey::always(|| {
        lamprey::require!(user::read::<u64>(VA).is_err(), "not-mapped", "the page is there");
    });
    lamprey::cpu(0, move || {
        pte.swap(page.pa() | USER, SeqCst);
        pte.swap(0, SeqCst);
        invlpg(VA);
    });
}
