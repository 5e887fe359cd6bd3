//! NMIs: between any two instructions, with the interrupt flag set or clear.

use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables};

use crate::cpu::{cli, hlt, load_cr3, sti};
use crate::shared::words;

const VECTOR: u8 = 40;

/// CLI keeps no NMI out: it reads words in the middle of an update.
#[lamprey::scenario(finds = "half-done")]
fn with_interrupts_off() {
    let [a, b] = words();
    lamprey::nmi(1, move || {
        let (a, b) = (a.load(Relaxed), b.load(Relaxed));
        lamprey::require!(a == b, "half-done", "{a} and {b}");
    });
    lamprey::cpu(0, move || {
        cli();
        a.store(1, Relaxed);
        b.store(1, Relaxed);
        sti();
    });
}

/// Between two stores to words that only the handler shares with the thread, one of them plain INC.
#[lamprey::scenario(finds = "half-done")]
fn between_two_instructions() {
    let [a, b] = words();
    lamprey::nmi(1, move || {
        let (a, b) = (a.load(Relaxed), b.load(Relaxed));
        lamprey::require!(a == b, "half-done", "{a} and {b}");
    });
    lamprey::cpu(0, move || {
        // SAFETY: 8 bytes each.
        unsafe {
            asm!(
                "nop", "inc qword ptr [{a}]", "nop", "inc qword ptr [{b}]", "nop",
                a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(), options(nostack),
            );
        }
    });
}

/// After the last instruction of all CPUs.
#[lamprey::scenario(finds = "too-late")]
fn after_the_end() {
    let [a] = words();
    lamprey::nmi(1, move || {
        lamprey::require!(a.load(Relaxed) == 0, "too-late", "after the only store");
    });
    lamprey::cpu(0, move || a.store(1, Relaxed));
}

/// An NMI in an interrupt handler.
#[lamprey::scenario(finds = "nested")]
fn inside_a_handler() {
    let [depth] = words();
    lamprey::handler(VECTOR, move || {
        depth.store(1, Relaxed);
        depth.store(0, Relaxed);
    });
    lamprey::nmi(1, move || {
        lamprey::require!(depth.load(Relaxed) == 0, "nested", "the handler is interrupted");
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// The handler takes a lock that the thread holds with interrupts off.
#[lamprey::scenario(finds = "livelock")]
fn lock_of_interrupted() {
    let [lock] = words();
    lamprey::nmi(1, move || {
        while lock.swap(1, SeqCst) != 0 {}
        lock.store(0, SeqCst);
    });
    lamprey::cpu(0, move || {
        cli();
        while lock.swap(1, SeqCst) != 0 {}
        lock.store(0, SeqCst);
        sti();
    });
}

/// STI; HLT closes the gap to interrupts, not to NMIs: an NMI between the two returns without a shadow,
/// the wake-up comes before HLT.
#[lamprey::scenario(finds = "deadlock")]
fn between_sti_and_halt() {
    let [woken] = words();
    lamprey::handler(VECTOR, move || woken.store(1, Relaxed));
    lamprey::nmi(1, || {});
    lamprey::cpu(0, move || {
        cli();
        if woken.load(Relaxed) == 0 {
            // SAFETY: waits for an interrupt.
            unsafe { asm!("sti", "hlt", options(nostack)) };
        }
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A wait for an NMI that is not sent never ends.
#[lamprey::scenario(finds = "deadlock")]
fn waits_for_an_unsent_one() {
    lamprey::nmi(1, || {});
    lamprey::cpu(0, hlt);
}

/// NMIs merge while one is pending.
#[lamprey::scenario(finds = "merged")]
fn sent_ones_merge() {
    let [count] = words();
    lamprey::nmi(0, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || {
        lamprey::send_nmi(1);
        lamprey::send_nmi(1);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || {
        lamprey::require_eq!(count.load(Relaxed), 2, "merged", "two were sent");
    });
}

/// Two NMIs out of two, on two CPUs at once.
#[lamprey::scenario(finds = "both")]
fn on_two_cpus_at_once() {
    let [inside] = words();
    lamprey::nmi(2, move || {
        lamprey::require!(inside.fetch_add(1, SeqCst) == 0, "both", "two CPUs are in the handler");
        inside.fetch_sub(1, SeqCst);
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {});
}

static DEPTH: AtomicU64 = AtomicU64::new(0);

extern "C" fn entered() {
    let depth = DEPTH.load(Relaxed);
    lamprey::require!(depth == 0, "nested", "an NMI handler is interrupted by an NMI");
    DEPTH.store(depth + 1, Relaxed);
}

extern "C" fn left() {
    DEPTH.store(DEPTH.load(Relaxed) - 1, Relaxed);
}

/// An NMI handler that takes an exception, which returns by IRETQ.
#[unsafe(naked)]
unsafe extern "C" fn with_an_exception() {
    naked_asm!(
        "push rax", "push rcx", "push rdx", "push rsi", "push rdi", "push r8", "push r9", "push r10",
        "push r11",
        "call {entered}",
        // The frame that an exception pushes and its handler pops.
        "mov rax, rsp",
        "push 0x18", "push rax", "pushfq", "push 0x10",
        "lea rax, [rip + 2f]", "push rax",
        "iretq",
        "2:",
        "call {left}",
        "pop r11", "pop r10", "pop r9", "pop r8", "pop rdi", "pop rsi", "pop rdx", "pop rcx",
        "pop rax",
        "iretq",
        entered = sym entered, left = sym left,
    )
}

/// IRETQ within an NMI handler lets another NMI in.
#[lamprey::scenario(finds = "nested")]
fn iret_unblocks_early() {
    // SAFETY: it restores every register.
    unsafe { lamprey::raw_nmi(2, with_an_exception) };
    lamprey::cpu(0, || {});
}

const VA: u64 = 0x40_0000;

/// Right before an access to user memory, which then finds the tables as the handler left them.
#[lamprey::scenario(finds = "unmapped")]
fn before_a_translation() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let pte = tables.map(VA, paging::frame().pa(), paging::USER);
    let [stored] = words();
    lamprey::nmi(1, move || {
        if stored.load(Relaxed) == 1 {
            pte.store(0, Relaxed);
            // SAFETY: translations may be dropped at any time.
            unsafe { asm!("invlpg [{}]", in(reg) VA, options(nostack)) };
        }
    });
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        stored.store(1, Relaxed);
        let read = lamprey::user::read::<u64>(VA);
        lamprey::require!(read.is_ok(), "unmapped", "the NMI came between the two");
    });
}

/// Between the change of an entry and the flush after it: the handler uses the old entry.
#[lamprey::scenario(finds = "stale")]
fn before_a_flush() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (paging::frame(), paging::frame());
    old.words()[0].store(1, Relaxed);
    let pte = tables.map(VA, old.pa(), paging::USER);
    let [changed] = words();
    lamprey::nmi(1, move || {
        if changed.load(Relaxed) == 1 {
            let word = lamprey::user::read::<u64>(VA);
            lamprey::require!(word != Ok(1), "stale", "the old page");
        }
    });
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        pte.swap(new.pa() | paging::USER, SeqCst);
        changed.store(1, Relaxed);
        // SAFETY: translations may be dropped at any time.
        unsafe { asm!("invlpg [{}]", in(reg) VA, options(nostack)) };
    });
}
