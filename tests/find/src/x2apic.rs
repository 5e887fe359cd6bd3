//! Interrupts sent through the x2APIC: a WRMSR that waits for no store.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables};
use lamprey::user;

use crate::cpu::{cli, load_cr3, sti, wrmsr, x2apic_send, x2apic_send_to_self};
use crate::shared::{COUNT, counts_without_eoi, words};

const VECTOR: u8 = 40;

/// CPU 0 stores a request, does `fence`, and sends; the handler looks for the request.
fn request(fence: fn()) {
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

/// An SFENCE covers the stores before it, not those after.
#[lamprey::scenario(finds = "stale-request")]
fn sfence_too_early() {
    let [other, request] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(other.load(Relaxed) == 1, "stale-other", "before the fence");
        lamprey::require!(request.load(Relaxed) == 1, "stale-request", "the store comes later");
    });
    lamprey::cpu(0, move || {
        other.store(1, Relaxed);
        // SAFETY: a fence.
        unsafe { asm!("sfence", options(nostack)) };
        request.store(1, Relaxed);
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
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

/// An interrupt to oneself comes after the next store at the latest moment, or before it.
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

/// Bit 13 of the interrupt command register is reserved.
#[lamprey::scenario(finds = "fault")]
fn reserved_bit() {
    lamprey::handler(VECTOR, || {});
    lamprey::cpu(0, || wrmsr(0x830, 1 << 13 | u64::from(VECTOR)));
}

/// Without EOI the vector stays in service, and the next interrupt of its class never comes.
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
