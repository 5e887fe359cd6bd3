//! Handlers that are entered with a frame on their stack and leave by IRETQ.

use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::cpu::cli;

const VECTOR: u8 = 40;

/// An empty handler.
#[unsafe(naked)]
unsafe extern "C" fn empty() {
    naked_asm!("iretq")
}

/// IRETQ turns interrupts on without a shadow: one comes before the next instruction.
#[lamprey::scenario(finds = "interrupted")]
fn iret_has_no_shadow() {
    let region = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "right after IRETQ");
    });
    lamprey::cpu(0, move || {
        cli();
        region.store(1, Relaxed);
        // SAFETY: returns to the next instruction, with interrupts on.
        unsafe {
            asm!(
                "mov {sp}, rsp", "push 0x18", "push {sp}", "pushfq", "or qword ptr [rsp], 0x200",
                "push 0x10", "lea {sp}, [rip + 2f]", "push {sp}", "iretq", "2:",
                "mov qword ptr [{region}], 2",
                sp = out(reg) _, region = in(reg) region.as_ptr(),
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

static SEEN: AtomicU64 = AtomicU64::new(0);
static RIP: AtomicU64 = AtomicU64::new(0);

/// Copies a word of the interrupted code, and its RIP.
#[unsafe(naked)]
unsafe extern "C" fn copies() {
    naked_asm!(
        "push rax",
        "mov rax, [rip + {shared}]", "mov [rip + {seen}], rax",
        "mov rax, [rsp + 8]", "mov [rip + {rip}], rax",
        "pop rax",
        "iretq",
        shared = sym SHARED, seen = sym SEEN, rip = sym RIP,
    )
}

static SHARED: AtomicU64 = AtomicU64::new(0);

/// All CPUs see the effects of a raw handler.
#[lamprey::scenario(finds = "half-done")]
fn half_done() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, copies) };
    lamprey::cpu(0, || {
        SHARED.store(1, Relaxed);
        SHARED.store(2, Relaxed);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
    lamprey::finally(|| {
        lamprey::require!(SEEN.load(Relaxed) != 1, "half-done", "between the two stores");
    });
}

static AFTER: AtomicU64 = AtomicU64::new(0);

/// Only MOV to SS holds interrupts back, not MOV to DS.
#[lamprey::scenario(finds = "not-held-back")]
fn mov_to_ds() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, copies) };
    lamprey::cpu(0, || {
        // SAFETY: DS has no meaning in 64-bit mode.
        unsafe {
            asm!(
                "lea {at}, [rip + 2f]", "mov [rip + {after}], {at}", "mov {at:e}, ss",
                "mov ds, {at:e}", "2:", "mov qword ptr [rip + {shared}], 1",
                at = out(reg) _, after = sym AFTER, shared = sym SHARED, options(nostack),
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
    lamprey::finally(|| {
        let held_back = RIP.load(Relaxed) != AFTER.load(Relaxed);
        lamprey::require!(held_back, "not-held-back", "after MOV to DS");
    });
}

/// IRETQ to a non-canonical address.
#[lamprey::scenario(finds = "fault")]
fn not_canonical() {
    // SAFETY: never returns.
    unsafe { lamprey::raw_handler(VECTOR, empty) };
    lamprey::cpu(0, || {
        // SAFETY: the run ends at it.
        unsafe {
            asm!(
                "push 0x18",
                "push rsp",
                "pushfq",
                "push 0x10",
                "bts rax, 62",
                "push rax",
                "iretq",
                options(noreturn),
            );
        }
    });
}
