//! Interrupts at the points at which they are allowed, and at no others.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::cpu::{cli, sti};
use crate::shared::words;

const VECTOR: u8 = 40;

/// CLI; check; STI; HLT: the shadow of STI closes the gap, no wake-up is lost.
#[lamprey::scenario]
fn check_with_interrupts_off_then_sti_halt() {
    let [woken] = words();
    lamprey::handler(VECTOR, move || woken.store(1, Relaxed));
    lamprey::cpu(0, move || {
        loop {
            cli();
            if woken.load(Relaxed) != 0 {
                break;
            }
            lamprey::mark!("halts");
            // SAFETY: waits for an interrupt.
            unsafe { asm!("sti", "hlt", options(nostack)) };
        }
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// STI; CLI opens no window.
#[lamprey::scenario]
fn sti_cli() {
    let [region] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "an interrupt in the region");
    });
    lamprey::cpu(0, move || {
        cli();
        region.store(1, Relaxed);
        // SAFETY: touches nothing but RFLAGS.IF.
        unsafe { asm!("sti", "cli", options(nostack)) };
        region.store(2, Relaxed);
        lamprey::mark!("through");
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// The shadow of STI covers the next instruction, also a store that another agent sees.
#[lamprey::scenario]
fn sti_store() {
    let [region] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "before the store");
    });
    lamprey::cpu(0, move || {
        cli();
        region.store(1, Relaxed);
        // SAFETY: `region` is 8 bytes.
        unsafe { asm!("sti", "mov qword ptr [{}], 2", in(reg) region.as_ptr()) };
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// The shadow of STI covers a whole plain read-modify-write, of two accesses.
#[lamprey::scenario]
fn sti_inc() {
    let [region] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "before the increment");
    });
    lamprey::cpu(0, move || {
        cli();
        region.store(1, Relaxed);
        // SAFETY: `region` is 8 bytes.
        unsafe { asm!("sti", "inc qword ptr [{}]", in(reg) region.as_ptr()) };
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// PUSHF; CLI; …; POPF: closed in between, open after.
#[lamprey::scenario]
fn saved_flags() {
    let [region] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "an interrupt in the region");
    });
    lamprey::cpu(0, move || {
        // SAFETY: the flags are put back as they were.
        unsafe {
            asm!(
                "pushfq", "cli", "mov qword ptr [{region}], 1",
                "mov qword ptr [{region}], 2", "popfq",
                region = in(reg) region.as_ptr(),
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A request, an interrupt, an answer.
#[lamprey::scenario]
fn handshake() {
    let [request, answer] = words();
    lamprey::handler(VECTOR, move || {
        answer.store(request.load(SeqCst) + 1, SeqCst);
    });
    lamprey::cpu(0, move || {
        request.store(41, SeqCst);
        lamprey::send_ipi(1, VECTOR);
        while answer.load(SeqCst) == 0 {
            lamprey::mark!("waits");
            spin_loop();
        }
        lamprey::require_eq!(answer.load(SeqCst), 42, "answer", "a wrong answer");
    });
    lamprey::cpu(1, || {
        cli();
        sti();
    });
}

/// Two interrupts of one vector are delivered once or twice, never lost.
#[lamprey::scenario(marks = ["once", "twice"])]
fn equal_vectors_merge() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || {
        lamprey::send_ipi(1, VECTOR);
        lamprey::send_ipi(1, VECTOR);
    });
    lamprey::cpu(1, || {});
    lamprey::finally(move || match count.load(Relaxed) {
        1 => lamprey::mark!("once"),
        2 => lamprey::mark!("twice"),
        n => lamprey::require!(false, "delivered", "{n} times"),
    });
}

/// A handler runs with interrupts off, and the interrupted code has them on again afterwards.
#[lamprey::scenario]
fn flag_in_handler() {
    lamprey::handler(VECTOR, || {
        lamprey::mark!("interrupted");
        let on = lamprey::interrupts_on(lamprey::this_cpu());
        lamprey::require!(!on, "interrupts-off", "a handler can be interrupted");
    });
    lamprey::cpu(0, || {
        lamprey::require!(lamprey::interrupts_on(0), "interrupts-on", "off in a thread");
        lamprey::require!(lamprey::interrupts_on(0), "interrupts-on", "off in a thread");
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A handler changes no register of the interrupted code, and has memory of its own.
#[lamprey::scenario]
fn handler_keeps_registers() {
    let [done] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        let own = lamprey::alloc(8, 8).cast::<u64>();
        // SAFETY: fresh memory; the registers are declared.
        unsafe {
            own.write_volatile(5);
            asm!("mov eax, 1", "mov ecx, 2", "cmp eax, ecx", out("eax") _, out("ecx") _);
            lamprey::require!(own.read_volatile() == 5, "own-memory", "somebody else's");
        }
        done.store(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        let own = lamprey::alloc(8, 8).cast::<u64>();
        let (a, c, carry): (u64, u64, u8);
        // SAFETY: fresh memory; the registers are declared.
        unsafe {
            own.write_volatile(6);
            asm!(
                "mov eax, 8", "mov ecx, 7", "stc", "mov rdx, qword ptr [{done}]", "setc {carry}",
                done = in(reg) done.as_ptr(), carry = out(reg_byte) carry,
                out("rax") a, out("rcx") c, out("rdx") _,
            );
            lamprey::require!(own.read_volatile() == 6, "own-memory", "somebody else's");
        }
        lamprey::require!((a, c, carry) == (8, 7, 1), "registers", "{a}, {c}, {carry}");
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Interrupts to a CPU that is done, and to one that runs nothing, are delivered before the end.
#[lamprey::scenario]
fn idle_cpus_take_interrupts() {
    let [count] = words();
    lamprey::handler(VECTOR, move || {
        count.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, || {});
    lamprey::cpu(2, || {
        lamprey::send_ipi(0, VECTOR);
        lamprey::send_ipi(1, VECTOR);
    });
    lamprey::finally(move || {
        lamprey::mark!("both came");
        lamprey::require_eq!(count.load(Relaxed), 2, "delivered", "one is lost");
    });
}

/// MOV to SS behind STI delays for one more instruction: it is the first that loads SS.
#[lamprey::scenario(marks = ["interrupted"])]
fn sti_mov_to_ss() {
    delays(|region| {
        // SAFETY: SS keeps its value.
        unsafe {
            asm!(
                "cli", "mov qword ptr [{region}], 1", "mov {ss:e}, ss", "sti", "mov ss, {ss:e}",
                "mov qword ptr [{region}], 2",
                ss = out(reg) _, region = in(reg) region.as_ptr(), options(nostack),
            );
        }
    });
}

/// STI behind MOV to SS delays, too: it finds interrupts off.
#[lamprey::scenario(marks = ["interrupted"])]
fn mov_to_ss_sti() {
    delays(|region| {
        // SAFETY: SS keeps its value.
        unsafe {
            asm!(
                "cli", "mov qword ptr [{region}], 1", "mov {ss:e}, ss", "mov ss, {ss:e}", "sti",
                "mov qword ptr [{region}], 2",
                ss = out(reg) _, region = in(reg) region.as_ptr(), options(nostack),
            );
        }
    });
}

/// Runs `code`, which stores 1 with interrupts off, and 2 while they are still inhibited.
fn delays(code: impl Fn(&'static AtomicU64) + Send + 'static) {
    let [region] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "before the store");
    });
    lamprey::cpu(0, move || code(region));
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Of three equal interrupts any number merges: none is more than the three, none is lost.
#[lamprey::scenario(marks = ["once", "twice", "three times"])]
fn three_equal_ones() {
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
        (0..3).for_each(|_| lamprey::send_ipi(0, VECTOR));
        ready.store(2, SeqCst);
    });
    lamprey::finally(move || match came.load(Relaxed) {
        1 => lamprey::mark!("once"),
        2 => lamprey::mark!("twice"),
        3 => lamprey::mark!("three times"),
        n => lamprey::require!((1..=3).contains(&n), "deliveries", "{n} of three"),
    });
}
