//! Interrupts sent through the x2APIC: a WRMSR that waits for no store.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables};
use lamprey::user;

use crate::cpu::{cli, load_cr3, sti, wrmsr, x2apic_send, x2apic_send_nmi, x2apic_send_to_self};
use crate::shared::{COUNT, counts_without_eoi, words};

const VECTOR: u8 = 40;

/// Lets CPU 0 store a request, do `fence`, and send; the handler looks for the request.
fn request(fence: impl FnOnce() + Send + 'static) {
    let [request] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(request.load(Relaxed) == 1, "stale-request", "the store comes later");
    });
    lamprey::cpu(0, move || {
        request.store(1, Relaxed);
        fence();
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// Without a fence the interrupt overtakes the store.
#[lamprey::scenario(finds = "stale-request")]
fn overtakes_a_store() {
    request(|| {});
}

/// LFENCE waits for no store.
#[lamprey::scenario(finds = "stale-request")]
fn after_lfence() {
    // SAFETY: a fence.
    request(|| unsafe { asm!("lfence", options(nostack)) });
}

/// MFENCE alone is not enough (SDM vol. 3 §10.12.3).
#[lamprey::scenario(finds = "stale-request")]
fn after_mfence() {
    // SAFETY: a fence.
    request(|| unsafe { asm!("mfence", options(nostack)) });
}

/// SFENCE is not enough.
#[lamprey::scenario(finds = "stale-request")]
fn after_sfence() {
    // SAFETY: a fence.
    request(|| unsafe { asm!("sfence", options(nostack)) });
}

/// LFENCE must come after MFENCE.
#[lamprey::scenario(finds = "stale-request")]
fn after_lfence_mfence() {
    // SAFETY: fences.
    request(|| unsafe { asm!("lfence", "mfence", options(nostack)) });
}

/// CPU 1 gives a page back while CPU 0's last store to it has not left the store buffer. CPU 0 translates it
/// before the page is free, and no TLB is to blame.
// found: the store is in CPU0's store buffer
// only: tso
#[lamprey::scenario(finds = "freed-frame")]
fn page_is_freed_under_a_store() {
    const VA: u64 = 0x40_0000;
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), paging::USER | paging::RW);
    lamprey::handler(VECTOR, move || lamprey::frame_free(page.pa()));
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let _ = user::write(VA, 1u64);
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// MFENCE; LFENCE cover the stores before them, not those after.
#[lamprey::scenario(finds = "stale-request")]
fn fences_too_early() {
    let [other, request] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(other.load(Relaxed) == 1, "stale-other", "before the fences");
        lamprey::require!(request.load(Relaxed) == 1, "stale-request", "the store comes later");
    });
    lamprey::cpu(0, move || {
        other.store(1, Relaxed);
        // SAFETY: fences.
        unsafe { asm!("mfence", "lfence", options(nostack)) };
        request.store(1, Relaxed);
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// The second of two interrupts overtakes the store between them.
#[lamprey::scenario(finds = "stale-request")]
fn second_overtakes_a_store() {
    let [request, count] = words();
    lamprey::handler(VECTOR, move || {
        let first = count.fetch_add(1, Relaxed) == 0;
        let stored = request.load(Relaxed) == 1;
        lamprey::require!(first || stored, "stale-request", "the store comes later");
    });
    lamprey::cpu(0, move || {
        x2apic_send(1, VECTOR);
        request.store(1, Relaxed);
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// An NMI overtakes a store as an interrupt does, past an MFENCE.
#[lamprey::scenario(finds = "stale-request")]
fn nmi_after_mfence() {
    let [request] = words();
    lamprey::nmi(0, move || {
        lamprey::require!(request.load(Relaxed) == 1, "stale-request", "the store comes later");
    });
    lamprey::cpu(0, move || {
        request.store(1, Relaxed);
        // SAFETY: a fence.
        unsafe { asm!("mfence", options(nostack)) };
        x2apic_send_nmi(1);
    });
    lamprey::cpu(1, || {});
}

/// An interrupt is still on its way when a later store of its sender is seen: a lower vector, sent then,
/// comes first.
#[lamprey::scenario(finds = "low-first")]
fn high_vector_on_its_way() {
    let [sent, came] = words();
    lamprey::handler(VECTOR + 16, move || came.store(1, Relaxed));
    lamprey::handler(VECTOR, move || {
        lamprey::require!(came.load(Relaxed) == 1, "low-first", "the higher vector comes later");
    });
    lamprey::cpu(0, move || {
        cli();
        lamprey::assume(sent.load(Relaxed) == 1);
        x2apic_send_to_self(VECTOR);
        sti();
    });
    lamprey::cpu(1, move || {
        x2apic_send(0, VECTOR + 16);
        sent.store(1, Relaxed);
    });
}

/// One that is still on its way does not merge with one of the same vector that is pending.
#[lamprey::scenario(finds = "twice")]
fn equal_vector_on_its_way() {
    let [ready, sent, count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        cli();
        ready.store(1, SeqCst);
        lamprey::assume(sent.load(Relaxed) == 1);
        x2apic_send_to_self(VECTOR);
        sti();
    });
    lamprey::cpu(1, move || {
        lamprey::assume(ready.load(Relaxed) == 1);
        x2apic_send(0, VECTOR);
        sent.store(1, Relaxed);
    });
    lamprey::finally(move || {
        lamprey::require!(count.load(Relaxed) == 1, "twice", "the first was on its way");
    });
}

/// Two NMIs that are sent while the handler runs need not be one: the second may be on its way for longer.
#[lamprey::scenario(finds = "three")]
fn nmi_on_its_way() {
    let [inside, sent, count] = words();
    lamprey::nmi(0, move || {
        if count.fetch_add(1, SeqCst) == 0 {
            inside.store(1, SeqCst);
            lamprey::assume(sent.load(SeqCst) == 1);
        }
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, move || {
        x2apic_send_nmi(0);
        lamprey::assume(inside.load(SeqCst) == 1);
        x2apic_send_nmi(0);
        x2apic_send_nmi(0);
        sent.store(1, SeqCst);
    });
    lamprey::finally(move || {
        lamprey::require!(count.load(Relaxed) < 3, "three", "the third was on its way");
    });
}

/// Equal vectors merge.
#[lamprey::scenario(finds = "merged")]
fn equal_vectors_merge() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || {
        cli();
        x2apic_send_to_self(VECTOR);
        x2apic_send_to_self(VECTOR);
        sti();
    });
    lamprey::finally(move || {
        lamprey::require_eq!(count.load(Relaxed), 2, "merged", "two were sent");
    });
}

/// A self-IPI arrives after the next store at the latest, or before it.
#[lamprey::scenario(finds = "interrupted")]
fn to_itself() {
    let [seen] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(seen.load(Relaxed) == 0, "interrupted", "after the store");
    });
    lamprey::cpu(0, move || {
        x2apic_send_to_self(VECTOR);
        seen.store(1, Relaxed);
    });
}

/// EOI takes zero only.
#[lamprey::scenario(finds = "fault")]
fn eoi_of_one() {
    lamprey::cpu(0, || wrmsr(0x80b, 1));
}

/// A self-IPI by the interrupt command register may arrive after the instruction; one by
/// SELF IPI has arrived (SDM vol. 3 §10.12.11): that one comes first.
#[lamprey::scenario(finds = "low-first")]
fn to_itself_by_the_command_register() {
    let [order] = words();
    for vector in [VECTOR, VECTOR + 16] {
        lamprey::handler(vector, move || {
            order.store(order.load(Relaxed) * 100 + u64::from(vector), Relaxed);
        });
    }
    lamprey::cpu(0, || {
        cli();
        x2apic_send_to_self(VECTOR);
        wrmsr(0x830, 1 << 18 | u64::from(VECTOR + 16));
        sti();
    });
    lamprey::finally(move || {
        lamprey::require_eq!(order.load(Relaxed), 5640, "low-first", "the higher one comes later");
    });
}

/// Bit 13 of the interrupt command register is reserved.
#[lamprey::scenario(finds = "fault")]
fn reserved_bit() {
    lamprey::handler(VECTOR, || {});
    lamprey::cpu(0, || wrmsr(0x830, 1 << 13 | u64::from(VECTOR)));
}

/// Leaves the vector in service, without EOI; the next interrupt of its class never arrives.
fn one_after_another_without_eoi(second: u8) {
    // SAFETY: they restore every register.
    unsafe {
        lamprey::raw_handler(VECTOR, counts_without_eoi);
        if second != VECTOR {
            lamprey::raw_handler(second, counts_without_eoi);
        }
    }
    lamprey::cpu(0, || {});
    lamprey::cpu(1, move || {
        for (sent, vector) in [(1, VECTOR), (2, second)] {
            x2apic_send(0, vector);
            while COUNT.load(SeqCst) < sent {
                spin_loop();
            }
        }
    });
}

/// The same vector again.
#[lamprey::scenario(finds = "livelock")]
fn forgotten_eoi() {
    one_after_another_without_eoi(VECTOR);
}

/// A higher vector of the same class, bits 7:4.
#[lamprey::scenario(finds = "livelock")]
fn forgotten_eoi_holds_its_class_back() {
    one_after_another_without_eoi(VECTOR + 1);
}
