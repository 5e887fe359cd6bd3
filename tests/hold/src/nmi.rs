//! NMIs at the points at which they may arrive, and at no others.

use core::arch::asm;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables};

use crate::cpu::{cli, hlt, invlpg, load_cr3, sti};
use crate::shared::words;

const VECTOR: u8 = 40;

/// An NMI handler is not interrupted, neither by an interrupt nor by a second NMI.
#[lamprey::scenario(marks = ["nmi", "interrupt"])]
fn is_not_interrupted() {
    let inside = words::<2>();
    lamprey::handler(VECTOR, || {
        lamprey::mark!("interrupt");
        let inside = inside[lamprey::this_cpu()].load(Relaxed);
        lamprey::require!(inside == 0, "not-nested", "in an NMI handler");
    });
    lamprey::nmi(2, || {
        lamprey::mark!("nmi");
        let inside = &inside[lamprey::this_cpu()];
        lamprey::require!(inside.load(Relaxed) == 0, "not-nested", "in an NMI handler");
        inside.store(1, Relaxed);
        inside.store(0, Relaxed);
    });
    lamprey::cpu(0, || {
        cli();
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// No more NMIs than the budget, on all CPUs together, and sent ones beside them.
#[lamprey::scenario(marks = ["none", "one", "two"])]
fn budget() {
    let [count] = words();
    lamprey::nmi(2, move || {
        count.fetch_add(1, SeqCst);
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {});
    lamprey::finally(move || match count.load(Relaxed) {
        0 => lamprey::mark!("none"),
        1 => lamprey::mark!("one"),
        2 => lamprey::mark!("two"),
        n => lamprey::require!(false, "budget", "{n} of 2"),
    });
}

/// The handler makes progress while the interrupted thread waits at a fence.
#[lamprey::scenario(marks = ["one", "two"])]
fn at_a_fence() {
    let [word, count] = words();
    lamprey::nmi(1, move || {
        count.fetch_add(word.load(Relaxed), SeqCst);
    });
    lamprey::cpu(0, move || {
        for value in 1..=2 {
            word.store(value, Relaxed);
            // SAFETY: orders accesses.
            unsafe { asm!("mfence", options(nostack)) };
        }
    });
    lamprey::finally(move || match count.load(Relaxed) {
        1 => lamprey::mark!("one"),
        2 => lamprey::mark!("two"),
        n => lamprey::require!(n == 0, "sum", "{n}"),
    });
}

/// A sent NMI is delivered, also to a CPU with interrupts off.
#[lamprey::scenario]
fn sent_with_interrupts_off() {
    let [done] = words();
    lamprey::nmi(0, move || {
        lamprey::mark!("came");
        done.store(1, SeqCst);
    });
    lamprey::cpu(0, move || {
        cli();
        while done.load(SeqCst) == 0 {}
        sti();
    });
    lamprey::cpu(1, || lamprey::send_nmi(0));
}

/// An NMI wakes from HLT, with interrupts off, too.
// bound: more than 4 equal interrupts
#[lamprey::scenario]
fn wakes() {
    let [woken] = words();
    lamprey::nmi(0, || {});
    lamprey::cpu(0, move || {
        // One that arrives before HLT wakes no CPU.
        while woken.load(SeqCst) == 0 {
            lamprey::send_nmi(1);
        }
    });
    lamprey::cpu(1, move || {
        cli();
        hlt();
        lamprey::mark!("woken");
        woken.store(1, SeqCst);
        sti();
    });
}

/// One more NMI waits while the handler runs, and comes after it.
#[lamprey::scenario]
fn one_more_waits() {
    let [inside, sent, count] = words();
    lamprey::nmi(0, move || {
        inside.store(1, SeqCst);
        while sent.load(SeqCst) == 0 {}
        count.fetch_add(1, SeqCst);
    });
    lamprey::cpu(0, move || {
        lamprey::send_nmi(1);
        while inside.load(SeqCst) == 0 {}
        lamprey::send_nmi(1);
        sent.store(1, SeqCst);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || {
        lamprey::mark!("both came");
        lamprey::require_eq!(count.load(Relaxed), 2, "latched", "the second is lost");
    });
}

/// A plain INC is one instruction: no NMI comes between its load and its store.
#[lamprey::scenario]
fn not_within_an_instruction() {
    let [count] = words();
    lamprey::nmi(1, move || {
        lamprey::mark!("came");
        // SAFETY: 8 bytes.
        unsafe { asm!("inc qword ptr [{}]", in(reg) count.as_ptr()) };
    });
    lamprey::cpu(0, move || {
        // SAFETY: 8 bytes.
        unsafe { asm!("inc qword ptr [{}]", in(reg) count.as_ptr()) };
        let count = count.load(Relaxed);
        lamprey::require!(count == 1 || count == 2, "lost-update", "{count}");
    });
    lamprey::finally(move || {
        lamprey::require!(count.load(Relaxed) >= 1, "lost-update", "nothing");
    });
}

/// Stores of the interrupted code are visible to others when the handler runs.
#[lamprey::scenario]
fn delivery_drains() {
    let [data, seen] = words();
    lamprey::nmi(1, move || seen.store(data.load(Relaxed) + 1, SeqCst));
    lamprey::cpu(0, move || data.store(1, Relaxed));
    lamprey::cpu(1, move || {
        if seen.load(SeqCst) == 2 {
            lamprey::mark!("seen");
            lamprey::require!(data.load(Relaxed) == 1, "drained", "still in the store buffer");
        }
    });
}

/// After the flush a handler uses the new entry.
#[lamprey::scenario]
fn after_a_flush() {
    const VA: u64 = 0x40_0000;
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (paging::frame(), paging::frame());
    old.words()[0].store(1, Relaxed);
    let pte = tables.map(VA, old.pa(), paging::USER);
    let [flushed] = words();
    lamprey::nmi(1, move || {
        if flushed.load(Relaxed) == 1 {
            lamprey::mark!("flushed");
            let word = lamprey::user::read::<u64>(VA);
            lamprey::require!(word != Ok(1), "stale", "the old page");
        }
    });
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        pte.swap(new.pa() | paging::USER, SeqCst);
        invlpg(VA);
        flushed.store(1, Relaxed);
    });
}
