//! The points at which interrupts arrive, and the state that they find.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::cpu::{cli, hlt, sti};
use crate::shared::words;

const VECTOR: u8 = 40;

/// HLT with interrupts off: nothing wakes the CPU.
// switches: 0
#[lamprey::scenario(finds = "deadlock")]
fn halt_with_interrupts_off() {
    lamprey::handler(VECTOR, || {});
    lamprey::cpu(0, || {
        cli();
        hlt();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// HLT without a sender of an interrupt.
// switches: 0
// found: CPU0 halted at
// names: (cpu.rs:23)
#[lamprey::scenario(finds = "deadlock")]
fn halt_alone() {
    lamprey::cpu(0, hlt);
}

/// Between the check and HLT the wake-up comes, and is lost.
#[lamprey::scenario(finds = "deadlock")]
fn check_then_halt() {
    let woken = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || woken.store(1, Relaxed));
    lamprey::cpu(0, move || {
        while woken.load(Relaxed) == 0 {
            hlt();
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// STI; NOP; HLT: one instruction too many, the wake-up comes before HLT.
#[lamprey::scenario(finds = "deadlock")]
fn sti_nop_halt() {
    let woken = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || woken.store(1, Relaxed));
    lamprey::cpu(0, move || {
        cli();
        if woken.load(Relaxed) == 0 {
            // SAFETY: waits for an interrupt.
            unsafe { asm!("sti", "nop", "hlt", options(nostack)) };
        } else {
            sti();
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

fn region(run: impl FnOnce(&'static AtomicU64) + Send + 'static) {
    let region = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "an interrupt in the region");
    });
    lamprey::cpu(0, move || run(region));
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// After STI; NOP interrupts arrive, though the next instruction is CLI and nothing is shared there.
#[lamprey::scenario(finds = "interrupted")]
fn sti_nop_cli() {
    region(|region| {
        cli();
        region.store(1, Relaxed);
        // SAFETY: touches nothing but RFLAGS.IF.
        unsafe { asm!("sti", "nop", "cli", options(nostack)) };
        region.store(2, Relaxed);
        sti();
    });
}

/// POPF has no shadow: interrupts come right after it.
#[lamprey::scenario(finds = "interrupted")]
fn popf_cli() {
    region(|region| {
        // SAFETY: the flags are put back as they were.
        unsafe {
            asm!(
                "pushfq", "cli", "mov qword ptr [{region}], 1", "popfq", "cli",
                "mov qword ptr [{region}], 2", "sti",
                region = in(reg) region.as_ptr(),
            );
        }
    });
}

/// STI with interrupts on already has no shadow.
#[lamprey::scenario(finds = "interrupted")]
fn sti_when_on() {
    region(|region| {
        region.store(1, Relaxed);
        // SAFETY: touches nothing but RFLAGS.IF.
        unsafe { asm!("sti", "cli", options(nostack)) };
        region.store(2, Relaxed);
        sti();
    });
}

/// Between two instructions that touch nothing shared but what the handler looks at.
#[lamprey::scenario(finds = "half-done")]
fn between_two_stores() {
    let a = lamprey::new(AtomicU64::new(0));
    let b = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        let (a, b) = (a.load(Relaxed), b.load(Relaxed));
        lamprey::require!(a == b, "half-done", "{a} and {b}");
    });
    lamprey::cpu(0, move || {
        a.store(1, Relaxed);
        b.store(1, Relaxed);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A CPU that interrupts itself, with interrupts on.
// switches: 0
#[lamprey::scenario(finds = "interrupted")]
fn self_ipi() {
    let seen = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        lamprey::require!(seen.load(Relaxed) == 0, "interrupted", "after the store");
    });
    lamprey::cpu(0, move || {
        cli();
        lamprey::send_ipi(0, VECTOR);
        seen.store(1, Relaxed);
        sti();
    });
}

/// Two interrupts of one vector can be one.
#[lamprey::scenario(finds = "merged")]
fn equal_vectors_merge() {
    let count = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || {
        lamprey::send_ipi(1, VECTOR);
        lamprey::send_ipi(1, VECTOR);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || {
        lamprey::require_eq!(count.load(Relaxed), 2, "merged", "two were sent");
    });
}

/// The lower vector comes first if it is sent first, and the CPU takes it before the other.
#[lamprey::scenario(finds = "low-first")]
fn low_vector_first() {
    let first = lamprey::new(AtomicU64::new(0));
    for vector in [50, 60u8] {
        lamprey::handler(vector, move || {
            _ = first.compare_exchange(0, u64::from(vector), Relaxed, Relaxed);
        });
    }
    lamprey::cpu(0, || {
        lamprey::send_ipi(1, 50);
        lamprey::send_ipi(1, 60);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || {
        lamprey::require!(first.load(Relaxed) == 60, "low-first", "the lower one came first");
    });
}

/// A fault in a handler is a fault of the kernel.
#[lamprey::scenario(finds = "fault")]
fn fault_in_handler() {
    // SAFETY: never returns.
    lamprey::handler(VECTOR, || unsafe { asm!("ud2", options(noreturn)) });
    lamprey::cpu(0, || {});
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A CPU that runs nothing takes interrupts, too.
#[lamprey::scenario(finds = "interrupted")]
fn idle_cpu() {
    let done = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        lamprey::require!(done.load(Relaxed) == 0, "interrupted", "after CPU 1 is done");
    });
    lamprey::cpu(1, move || {
        lamprey::send_ipi(0, VECTOR);
        done.store(1, Relaxed);
    });
}

/// Before a plain INC, which then is two accesses: its load must not run ahead of the interrupt.
#[lamprey::scenario(finds = "interrupted")]
fn between_store_and_inc() {
    region(|region| {
        region.store(1, Relaxed);
        // SAFETY: `region` is 8 bytes.
        unsafe { asm!("inc qword ptr [{}]", in(reg) region.as_ptr()) };
    });
}

/// Before a load of two words; the handler writes the second.
#[lamprey::scenario(finds = "both-seen")]
fn before_a_load_of_two_words() {
    let pair = lamprey::new([AtomicU64::new(0), AtomicU64::new(0)]);
    lamprey::handler(VECTOR, || pair[1].store(1, Relaxed));
    lamprey::cpu(0, || {
        let mut seen = [0u64; 2];
        // SAFETY: 16 bytes each.
        unsafe {
            asm!(
                "movups xmm0, [{}]", "movups [{}], xmm0",
                in(reg) pair.as_ptr(), in(reg) seen.as_mut_ptr(), out("xmm0") _,
            );
        }
        lamprey::require!(seen != [1, 1], "both-seen", "the interrupt came first");
    });
    lamprey::cpu(1, || {
        pair[0].store(1, Relaxed);
        lamprey::send_ipi(0, VECTOR);
    });
}

/// Before a MOVS, which loads one word and stores another; the handler only reads them.
#[lamprey::scenario(finds = "first-kept")]
fn before_movs() {
    let from = lamprey::new(AtomicU64::new(0));
    let to = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, || {
        lamprey::require!(
            from.load(Relaxed) == 0 || to.load(Relaxed) != 7,
            "first-kept",
            "before the copy",
        );
    });
    lamprey::cpu(0, || {
        to.store(7, Relaxed);
        // SAFETY: 8 bytes each.
        unsafe {
            asm!(
                "movsq",
                inout("rsi") from.as_ptr() => _, inout("rdi") to.as_ptr() => _,
            );
        }
    });
    lamprey::cpu(1, || {
        from.store(9, Relaxed);
        lamprey::send_ipi(0, VECTOR);
    });
}

/// Before a store across two words; no other agent sees the first.
#[lamprey::scenario(finds = "half-done")]
fn before_a_split_store() {
    let pair = lamprey::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let x = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, || {
        let (x, second) = (x.load(Relaxed) != 0, pair[1].load(Relaxed) != 0);
        lamprey::require!(x == second, "half-done", "before the second store");
    });
    lamprey::cpu(0, || {
        // SAFETY: 8 bytes, and 8 from the middle of 16.
        unsafe {
            asm!(
                "mov qword ptr [{x}], 1", "mov qword ptr [{pair} + 4], -1",
                x = in(reg) x.as_ptr(), pair = in(reg) pair.as_ptr(), options(nostack),
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Before a store of two words; no other agent sees the first.
#[lamprey::scenario(finds = "half-done")]
fn before_a_store_of_two_words() {
    let pair = lamprey::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let x = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, || {
        let (x, second) = (x.load(Relaxed) != 0, pair[1].load(Relaxed) != 0);
        lamprey::require!(x == second, "half-done", "before the second store");
    });
    lamprey::cpu(0, || {
        // SAFETY: 8 bytes and 16.
        unsafe {
            asm!(
                "pcmpeqb xmm0, xmm0", "mov qword ptr [{x}], 1", "movups [{pair}], xmm0",
                x = in(reg) x.as_ptr(), pair = in(reg) pair.as_ptr(), out("xmm0") _,
                options(nostack),
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Of two MOVs to SS in a row only the first delays.
#[lamprey::scenario(finds = "interrupted")]
fn mov_to_ss_twice() {
    region(|region| {
        // SAFETY: SS keeps its value.
        unsafe {
            asm!(
                "cli", "mov qword ptr [{region}], 1", "mov {ss:e}, ss", "sti", "mov ss, {ss:e}",
                "mov ss, {ss:e}", "mov qword ptr [{region}], 2",
                ss = out(reg) _, region = in(reg) region.as_ptr(), options(nostack),
            );
        }
    });
}

/// Of two STIs in a row only the first delays.
#[lamprey::scenario(finds = "interrupted")]
fn sti_twice() {
    region(|region| {
        // SAFETY: touches RFLAGS.IF and the region.
        unsafe {
            asm!(
                "cli", "mov qword ptr [{region}], 1", "sti", "sti", "mov qword ptr [{region}], 2",
                region = in(reg) region.as_ptr(), options(nostack),
            );
        }
    });
}

/// Of three equal interrupts each may be delivered: the second and the third need not have arrived.
#[lamprey::scenario(finds = "three")]
fn three_equal_ones() {
    equal_ones(3, 3);
}

/// Of five equal ones four are distinguished, and the report says so.
// bound: more than 4 equal interrupts
#[lamprey::scenario(finds = "three")]
fn five_equal_ones() {
    equal_ones(5, 3);
}

/// Sends `sent` interrupts before the target takes the first; `wanted` deliveries violate the property.
fn equal_ones(sent: u64, wanted: u64) {
    let [came, ready] = words();
    lamprey::handler(VECTOR, move || came.store(came.load(Relaxed) + 1, Relaxed));
    lamprey::cpu(0, move || {
        cli();
        ready.store(1, SeqCst);
        while ready.load(SeqCst) < 2 {
            spin_loop();
        }
        sti();
    });
    lamprey::cpu(1, move || {
        while ready.load(SeqCst) < 1 {
            spin_loop();
        }
        for _ in 0..sent {
            lamprey::send_ipi(0, VECTOR);
        }
        ready.store(2, SeqCst);
    });
    lamprey::finally(move || {
        lamprey::require!(came.load(Relaxed) != wanted, "three", "it came {wanted} times");
    });
}
