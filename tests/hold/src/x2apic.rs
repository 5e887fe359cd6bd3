//! Interrupts sent through the x2APIC, with the fences that order them.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::cpu::{
    cli, load_cr3, sti, x2apic_eoi, x2apic_send, x2apic_send_nmi, x2apic_send_to_others,
    x2apic_send_to_self,
};
use crate::shared::{COUNT, counts, counts_without_eoi, words};

const VECTOR: u8 = 40;

/// Lets CPU 0 store a request, do `fence`, and send; the handler looks for the request.
fn request(fence: fn()) {
    let [request] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark("came");
        lamprey::require!(request.load(Relaxed) == 1, "stale-request", "the store comes later");
        x2apic_eoi();
    });
    lamprey::cpu(0, move || {
        request.store(1, Relaxed);
        fence();
        x2apic_send(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// MFENCE; LFENCE, as in Linux.
#[lamprey::scenario(marks = ["came"])]
fn after_mfence_lfence() {
    // SAFETY: fences.
    request(|| unsafe { asm!("mfence", "lfence", options(nostack)) });
}

/// CPUID, a serialising instruction.
#[lamprey::scenario(marks = ["came"])]
fn after_cpuid() {
    request(|| {
        let _ = __cpuid(0);
    });
}

/// MOV to CR3, another serialising instruction.
#[lamprey::scenario(marks = ["came"])]
fn after_mov_to_cr3() {
    request(|| load_cr3(0));
}

/// To all other CPUs, in one operation.
#[lamprey::scenario]
fn to_others() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(lamprey::this_cpu() != 0, "others", "the sender is interrupted");
        count.fetch_add(1, SeqCst);
        x2apic_eoi();
    });
    lamprey::cpu(0, || x2apic_send_to_others(VECTOR));
    lamprey::cpu(2, || {});
    lamprey::finally(move || {
        lamprey::mark!("all came");
        lamprey::require_eq!(count.load(Relaxed), 2, "delivered", "to both others");
    });
}

/// To itself: it waits for interrupts on.
#[lamprey::scenario]
fn to_itself() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
        x2apic_eoi();
    });
    lamprey::cpu(0, move || {
        cli();
        x2apic_send_to_self(VECTOR);
        lamprey::require_eq!(count.load(Relaxed), 0, "held-back", "with interrupts off");
        sti();
    });
    lamprey::finally(move || {
        lamprey::mark!("came");
        lamprey::require_eq!(count.load(Relaxed), 1, "delivered", "not once");
    });
}

/// A WRMSR to the self-IPI register has completed when the interrupt is pending (SDM vol. 3
/// §10.12.11): of two the higher vector comes first.
#[lamprey::scenario]
fn to_itself_high_vector_first() {
    let [order] = words();
    for vector in [VECTOR, VECTOR + 16] {
        lamprey::handler(vector, move || {
            order.store(order.load(Relaxed) * 100 + u64::from(vector), Relaxed);
            x2apic_eoi();
        });
    }
    lamprey::cpu(0, || {
        cli();
        x2apic_send_to_self(VECTOR);
        x2apic_send_to_self(VECTOR + 16);
        sti();
    });
    lamprey::finally(move || {
        lamprey::mark!("both came");
        lamprey::require_eq!(order.load(Relaxed), 5640, "priority", "not by vector");
    });
}

/// Two self-IPIs of one vector merge while interrupts are off.
#[lamprey::scenario]
fn to_itself_merges() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
        x2apic_eoi();
    });
    lamprey::cpu(0, || {
        cli();
        x2apic_send_to_self(VECTOR);
        x2apic_send_to_self(VECTOR);
        sti();
    });
    lamprey::finally(move || {
        lamprey::mark!("came");
        lamprey::require_eq!(count.load(Relaxed), 1, "merged", "not once");
    });
}

/// An NMI by the interrupt command register.
#[lamprey::scenario]
fn nmi() {
    let [count] = words();
    lamprey::nmi(0, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || x2apic_send_nmi(1));
    lamprey::cpu(1, || {
        cli();
        sti();
    });
    lamprey::finally(move || {
        lamprey::mark!("came");
        lamprey::require_eq!(count.load(Relaxed), 1, "delivered", "not once");
    });
}

/// The APIC's number is the CPU's.
#[lamprey::scenario]
fn number() {
    lamprey::cpu(2, || {
        let id: u32;
        // SAFETY: a read.
        unsafe { asm!("rdmsr", in("ecx") 0x802, out("eax") id, out("edx") _, options(nostack)) };
        lamprey::require_eq!(id, 2, "apic-id", "another CPU's");
        lamprey::mark!("read");
    });
}

/// An interrupt that is sent after EOI is delivered.
#[lamprey::scenario]
fn one_after_the_other() {
    // SAFETY: it restores every register.
    unsafe { lamprey::raw_handler(VECTOR, counts) };
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {
        for sent in 1..=2 {
            x2apic_send(0, VECTOR);
            while COUNT.load(SeqCst) < sent {
                spin_loop();
            }
        }
        lamprey::mark!("both came");
    });
}

/// An interrupt that is sent while the vector is in service is delivered after its EOI, once more.
#[lamprey::scenario]
fn pending_while_in_service() {
    // SAFETY: it restores every register.
    unsafe { lamprey::raw_handler(VECTOR, counts) };
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {
        x2apic_send(0, VECTOR);
        while COUNT.load(SeqCst) == 0 {
            spin_loop();
        }
        x2apic_send(0, VECTOR);
    });
    lamprey::finally(|| {
        lamprey::mark!("both came");
        lamprey::require_eq!(COUNT.load(Relaxed), 2, "delivered", "not twice");
    });
}

/// A vector of a higher class comes while one is in service.
#[lamprey::scenario]
fn a_higher_class_comes_before_eoi() {
    // SAFETY: they restore every register.
    unsafe {
        lamprey::raw_handler(VECTOR, counts_without_eoi);
        lamprey::raw_handler(VECTOR + 16, counts_without_eoi);
    }
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || {
        for (sent, vector) in [(1, VECTOR), (2, VECTOR + 16)] {
            x2apic_send(0, vector);
            while COUNT.load(SeqCst) < sent {
                spin_loop();
            }
        }
        lamprey::mark!("both came");
    });
}
