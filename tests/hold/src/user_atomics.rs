//! LOCKed instructions on user memory: one access with one translation, under any change of the tables.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use lamprey::paging::{self, A, D, Frame, P, PageTables, RW, US, USER};

use crate::cpu::{invlpg, load_cr3};
use crate::shared::words;

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// The first word of the frame that was mapped, and that of the one that is.
const OLD: u64 = 10;
const NEW: u64 = 20;

fn lock_inc() {
    // SAFETY: the page is mapped.
    unsafe { asm!("lock inc qword ptr [{}]", in(reg) VA, options(nostack)) }
}

/// Adds `value` across the first two words.
fn lock_add_across_words(value: u64) {
    // SAFETY: the page is mapped.
    unsafe { asm!("lock add qword ptr [{}], {}", in(reg) VA + 4, in(reg) value, options(nostack)) }
}

/// Returns the value that XCHG finds.
fn xchg(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: the page is mapped.
    unsafe { asm!("xchg qword ptr [{}], {}", in(reg) VA, inout(reg) value, options(nostack)) };
    value
}

/// Runs `update` on a page whose PTE changes, without a flush: the first words of the old frame and
/// the new one at the end must satisfy `allowed`, together with the result of `update`.
fn one_frame(update: fn() -> u64, allowed: fn(seen: u64, old: [u64; 2], new: [u64; 2]) -> bool) {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let [old, new] = [OLD, NEW].map(|word| {
        let frame = paging::frame();
        frame.words()[0].store(word, Relaxed);
        frame
    });
    let pte = tables.map(VA, old.pa(), USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pte.swap(new.pa() | USER, SeqCst);
        let seen = update();
        let [old, new] =
            [old, new].map(|frame| [0, 1].map(|word: usize| frame.words()[word].load(SeqCst)));
        let right = allowed(seen, old, new);
        lamprey::require!(right, "one-frame", "found {seen}, left {old:?} and {new:?}");
        if old[0] == OLD {
            lamprey::mark!("the old frame is left alone");
        } else {
            lamprey::mark!("the old frame is updated");
        }
    });
}

/// LOCK INC reads and writes one frame.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn lock_inc_and_another_frame() {
    let update = || {
        lock_inc();
        0
    };
    one_frame(update, |_, [old, _], [new, _]| matches!((old, new), (11, NEW) | (OLD, 21)));
}

/// LOCK XADD.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn lock_xadd_and_another_frame() {
    let update = || {
        let mut seen = 1u64;
        // SAFETY: the page is mapped.
        unsafe { asm!("lock xadd qword ptr [{}], {}", in(reg) VA, inout(reg) seen) };
        seen
    };
    one_frame(update, |seen, [old, _], [new, _]| {
        matches!((seen, old, new), (OLD, 11, NEW) | (NEW, OLD, 21))
    });
}

/// XCHG.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn xchg_and_another_frame() {
    one_frame(
        || xchg(7),
        |seen, [old, _], [new, _]| matches!((seen, old, new), (OLD, 7, NEW) | (NEW, OLD, 7)),
    );
}

/// LOCK CMPXCHG, which fails in the new frame.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn lock_cmpxchg_and_another_frame() {
    let update = || {
        let mut seen = OLD;
        // SAFETY: the page is mapped.
        unsafe {
            asm!("lock cmpxchg qword ptr [{}], {}", in(reg) VA, in(reg) 7u64, inout("rax") seen);
        }
        seen
    };
    one_frame(update, |seen, [old, _], [new, _]| {
        matches!((seen, old, new), (OLD, 7, NEW) | (NEW, OLD, NEW))
    });
}

/// LOCK CMPXCHG16B, the same.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn lock_cmpxchg16b_and_another_frame() {
    let update = || {
        let mut seen = OLD;
        // SAFETY: the page is mapped; RBX is put back.
        unsafe {
            asm!(
                "xchg {save}, rbx", "lock cmpxchg16b [{va}]", "mov rbx, {save}",
                save = inout(reg) 7u64 => _, va = in(reg) VA,
                inout("rax") seen, inout("rdx") 0u64 => _, in("rcx") 8u64,
            );
        }
        seen
    };
    one_frame(update, |seen, old, new| {
        (seen == OLD && old == [7, 8] && new == [NEW, 0])
            || (seen == NEW && old == [OLD, 0] && new == [NEW, 0])
    });
}

/// LOCK ADD across two words.
#[lamprey::scenario(marks = ["the old frame is left alone", "the old frame is updated"])]
fn lock_add_across_words_and_another_frame() {
    const HIGH: u64 = 1 << 32;
    let update = || {
        lock_add_across_words(HIGH | 1);
        0
    };
    one_frame(update, |_, old, new| {
        (old == [OLD + HIGH, 1] && new == [NEW, 0]) || (old == [OLD, 0] && new == [NEW + HIGH, 1])
    });
}

/// LOCK INC of a page whose entry the same CPU has just stored: the walk waits until it is visible.
#[lamprey::scenario(marks = ["the page is updated"])]
fn lock_inc_behind_a_store_to_its_entry() {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    let pte = tables.map(VA, page.pa(), 0);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pte.store(page.pa() | USER, Release);
        lock_inc();
        let value = page.words()[0].load(Relaxed);
        lamprey::require!(value == 1, "updated", "{value}");
        lamprey::mark!("the page is updated");
    });
}

/// Runs `update` on two CPUs on a page with `flags`; CPU 1 then removes a page beside it. Returns
/// the page at the end.
fn by_two_cpus(flags: u64, removes: bool, update: impl Fn() + Copy + Send + 'static) -> Frame {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), flags);
    let beside = tables.map(VA + 0x1000, page.pa(), USER);
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            load_cr3(tables.root() | 1);
            update();
            if removes && cpu == 1 {
                beside.swap(0, SeqCst);
            }
        });
    }
    page
}

/// Checks that no increment is lost.
fn expect(page: Frame, words: [u64; 2]) {
    lamprey::finally(move || {
        lamprey::mark!("all are done");
        let found = [0, 1].map(|word: usize| page.words()[word].load(Relaxed));
        lamprey::require!(found == words, "lost-update", "{found:x?}");
    });
}

/// LOCK INC on two CPUs, while the tables change elsewhere.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_inc_while_tables_change() {
    expect(by_two_cpus(USER, true, lock_inc), [2, 0]);
}

/// LOCK INC on two CPUs; one of them sets D.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_inc_sets_dirty() {
    expect(by_two_cpus(P | RW | US | A, false, lock_inc), [2, 0]);
}

/// LOCK ADD across two words on two CPUs.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_add_across_words_sets_dirty() {
    let page = by_two_cpus(P | RW | US | A, false, || lock_add_across_words(1 << 32 | 1));
    expect(page, [2 << 32, 2]);
}

/// XCHG as a lock: one CPU gets it.
#[lamprey::scenario(marks = ["all are done"])]
fn xchg_as_a_lock() {
    let [taken] = words();
    by_two_cpus(P | RW | US | A, true, || {
        if xchg(1) == 0 {
            taken.fetch_add(1, SeqCst);
        }
    });
    lamprey::finally(move || {
        lamprey::mark!("all are done");
        lamprey::require_eq!(taken.load(Relaxed), 1, "exclusion", "both CPUs have the lock");
    });
}

/// LOCK CMPXCHG that fails writes all the same, and so sets D.
#[lamprey::scenario]
fn failed_cmpxchg_sets_dirty() {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    let pte = tables.map(VA, page.pa(), P | RW | US | A);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        // SAFETY: the page is mapped.
        unsafe {
            asm!(
                "lock cmpxchg qword ptr [{}], {}",
                in(reg) VA, in(reg) 7u64, inout("rax") 5u64 => _,
            );
        }
        lamprey::require!(pte.load(Relaxed) & D != 0, "dirty", "the page passes for clean");
        lamprey::mark!("tried");
    });
}

/// A page that another replaces, by a shootdown, is not updated afterwards.
#[lamprey::scenario]
fn shootdown() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (paging::frame(), paging::frame());
    let pte = tables.map(VA, old.pa(), USER);
    let [flushed] = words();
    lamprey::handler(VECTOR, move || {
        invlpg(VA);
        flushed.store(1, Release);
    });
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lock_inc();
    });
    lamprey::cpu(1, move || {
        pte.store(new.pa() | USER, Relaxed);
        lamprey::send_ipi(0, VECTOR);
        while flushed.load(Acquire) == 0 {
            spin_loop();
        }
        lamprey::frame_free(old.pa());
        lamprey::mark!("freed");
    });
    lamprey::finally(move || {
        let [old, new] = [old, new].map(|frame| frame.words()[0].load(Relaxed));
        lamprey::require!(old + new == 1, "lost-update", "{old} and {new}");
    });
}
