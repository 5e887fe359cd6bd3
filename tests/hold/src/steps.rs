//! Rules at the edges of a step: the effects of EOI and IRETQ, and live memory below the stack pointer.

use core::arch::{asm, naked_asm};
use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::cpu::{cli, sti, x2apic_eoi};
use crate::shared::{COUNT, counts, words};

const LOW: u8 = 0x40;
const HIGH: u8 = 0x80;

/// The number of runs of [`counts_low`].
static LOW_COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts, and stays in service.
#[unsafe(naked)]
unsafe extern "C" fn counts_low() {
    naked_asm!("lock inc qword ptr [rip + {count}]", "iretq", count = sym LOW_COUNT)
}

/// EOI ends the highest vector in service and no other: the low one is still there after two high ones.
#[lamprey::scenario]
fn eoi_ends_the_highest_only() {
    // SAFETY: they restore the registers they use.
    unsafe {
        lamprey::raw_handler(LOW, counts_low);
        lamprey::raw_handler(HIGH, counts);
    }
    let [sent] = words();
    lamprey::cpu(0, move || {
        for (vector, count, times) in [(LOW, &LOW_COUNT, 1), (HIGH, &COUNT, 1), (HIGH, &COUNT, 2)] {
            lamprey::send_ipi(1, vector);
            while count.load(SeqCst) < times {
                spin_loop();
            }
        }
        lamprey::send_ipi(1, LOW);
        sent.swap(1, SeqCst);
    });
    lamprey::cpu(1, move || {
        while sent.load(SeqCst) == 0 {
            spin_loop();
        }
        lamprey::mark!("all sent");
        lamprey::require!(LOW_COUNT.load(SeqCst) == 1, "in-service", "it came again");
        x2apic_eoi();
    });
}

/// The 128 bytes below the stack pointer keep the values of a leaf function, across its steps.
#[lamprey::scenario]
fn red_zone() {
    let [shared] = words();
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            let sum: u64;
            // SAFETY: the red zone, in which nothing else is kept meanwhile.
            unsafe {
                asm!(
                    "mov qword ptr [rsp - 8], 5", "mov qword ptr [rsp - 120], 6",
                    "lock inc qword ptr [{shared}]", "lock inc qword ptr [{shared}]",
                    "mov {sum}, [rsp - 8]", "add {sum}, [rsp - 120]",
                    shared = in(reg) shared, sum = out(reg) sum,
                );
            }
            lamprey::mark!("read back");
            lamprey::require!(sum == 11, "kept", "{sum}");
        });
    }
}

/// The words of [`stores`]: one that others look at, and one that the code below waits for.
static STORED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Stores without a fence.
#[unsafe(naked)]
unsafe extern "C" fn stores() {
    naked_asm!(
        "mov qword ptr [rip + {stored}], 1", "mov qword ptr [rip + {stored} + 8], 1",
        "iretq",
        stored = sym STORED,
    )
}

/// SB between CPU 0 and CPU 1, whose store is a handler's and whose load follows the IRETQ.
#[lamprey::scenario(marks = ["loaded 0", "loaded 1"])]
fn iret_drains_the_stores_of_its_handler() {
    // SAFETY: it uses no register.
    unsafe { lamprey::raw_handler(LOW, stores) };
    let [other, seen] = words();
    seen.store(9, Relaxed);
    lamprey::cpu(0, move || {
        cli();
        lamprey::send_ipi(1, LOW);
        other.swap(1, SeqCst);
        seen.store(STORED[0].load(SeqCst), SeqCst);
        sti();
    });
    lamprey::cpu(1, move || {
        let loaded: u64;
        // SAFETY: loads.
        unsafe {
            asm!(
                "2:", "cmp qword ptr [rip + {stored} + 8], 0", "je 2b",
                "mov {loaded}, [{other}]", "cli",
                loaded = out(reg) loaded, other = in(reg) other, stored = sym STORED,
            );
        }
        lamprey::mark(if loaded == 0 { "loaded 0" } else { "loaded 1" });
        while seen.load(SeqCst) == 9 {
            spin_loop();
        }
        let ordered = loaded == 1 || seen.load(SeqCst) == 1;
        sti();
        lamprey::require!(ordered, "order", "both loads came before both stores");
    });
}
