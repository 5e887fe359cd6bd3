//! Handlers that are entered with a frame on their stack and leave by IRETQ.

use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::cpu::{cli, sti};

const VECTOR: u8 = 40;

/// RIP, CS, RFLAGS, RSP, SS as the handler found them, and its own stack pointer.
static FRAME: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

/// Copies its frame.
#[unsafe(naked)]
unsafe extern "C" fn copies_frame() {
    naked_asm!(
        "push rax",
        "mov rax, [rsp + 8]", "mov [rip + {frame}], rax",
        "mov rax, [rsp + 16]", "mov [rip + {frame} + 8], rax",
        "mov rax, [rsp + 24]", "mov [rip + {frame} + 16], rax",
        "mov rax, [rsp + 32]", "mov [rip + {frame} + 24], rax",
        "mov rax, [rsp + 40]", "mov [rip + {frame} + 32], rax",
        "mov [rip + {frame} + 40], rsp",
        "pop rax",
        "iretq",
        frame = sym FRAME,
    )
}

/// The frame is that of the interrupted code, and 16-byte aligned before it was pushed.
#[lamprey::scenario]
fn contents() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, copies_frame) };
    lamprey::cpu(0, || {
        let (stack, from, to): (u64, u64, u64);
        // SAFETY: touches nothing but RFLAGS.IF.
        unsafe {
            asm!(
                "cli", "lea {from}, [rip + 2f]", "lea {to}, [rip + 3f]", "mov {stack}, rsp",
                "sti", "2:", "nop", "nop", "3:", "cli",
                from = out(reg) from, to = out(reg) to, stack = out(reg) stack, options(nostack),
            );
        }
        let [rip, cs, rflags, rsp, ss, handler] = FRAME.each_ref().map(|word| word.load(Relaxed));
        if handler != 0 && rip >= from && rip <= to {
            lamprey::mark!("interrupted there");
            lamprey::require!((cs, ss) == (0x10, 0x18), "selectors", "{cs:#x}, {ss:#x}");
            lamprey::require!(rflags & 1 << 9 != 0, "flags", "{rflags:#x}");
            lamprey::require_eq!(rsp, stack, "stack", "another stack pointer");
            lamprey::require_eq!((handler + 8 + 40) % 16, 0, "aligned", "the frame");
        }
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A handler with a frame leaves registers, flags and the interrupt flag as they were.
#[lamprey::scenario]
fn restores() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, copies_frame) };
    lamprey::cpu(0, || {
        let (a, carry, flags): (u64, u8, u64);
        // SAFETY: the stack is as before.
        unsafe {
            asm!(
                "mov eax, 8", "stc", "nop", "setc {carry}", "pushfq", "pop {flags}",
                out("rax") a, carry = out(reg_byte) carry, flags = out(reg) flags,
            );
        }
        lamprey::require!((a, carry) == (8, 1), "registers", "{a}, {carry}");
        lamprey::require!(flags & 1 << 9 != 0, "flags", "{flags:#x}");
        lamprey::require!(lamprey::interrupts_on(0), "interrupts-on", "off after IRETQ");
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
    lamprey::finally(|| {
        lamprey::mark!("came");
        lamprey::require!(FRAME[1].load(Relaxed) == 0x10, "delivered", "not delivered");
    });
}

/// IRETQ with interrupts off in its frame keeps them off.
#[lamprey::scenario]
fn iret_keeps_interrupts_off() {
    let region = lamprey::new(AtomicU64::new(0));
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require!(region.load(Relaxed) != 1, "interrupted", "an interrupt in the region");
    });
    lamprey::cpu(0, move || {
        cli();
        region.store(1, Relaxed);
        // SAFETY: returns to the next instruction.
        unsafe {
            asm!(
                "mov {sp}, rsp", "push 0x18", "push {sp}", "pushfq", "push 0x10",
                "lea {sp}, [rip + 2f]", "push {sp}", "iretq", "2:",
                sp = out(reg) _,
            );
        }
        region.store(2, Relaxed);
        sti();
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

static DEPTH: AtomicU64 = AtomicU64::new(0);

extern "C" fn once() {
    let depth = DEPTH.load(Relaxed);
    lamprey::mark("came");
    lamprey::require!(depth == 0, "not-nested", "an NMI handler is interrupted by an NMI");
    DEPTH.store(1, Relaxed);
    DEPTH.store(0, Relaxed);
}

/// Calls [`once`].
#[unsafe(naked)]
unsafe extern "C" fn calls() {
    naked_asm!(
        "push rax", "push rcx", "push rdx", "push rsi", "push rdi", "push r8", "push r9", "push r10",
        "push r11",
        "call {once}",
        "pop r11", "pop r10", "pop r9", "pop r8", "pop rdi", "pop rsi", "pop rdx", "pop rcx",
        "pop rax",
        "iretq",
        once = sym once,
    )
}

/// NMIs are blocked until the IRETQ of the handler.
#[lamprey::scenario(marks = ["came"])]
fn nmis_do_not_nest() {
    // SAFETY: it restores every register.
    unsafe { lamprey::raw_nmi(2, calls) };
    lamprey::cpu(0, || {});
}

static SHADOW: AtomicU64 = AtomicU64::new(0);

/// MOV to SS holds interrupts back until the next instruction has ended; they arrive before it.
#[lamprey::scenario(marks = ["before"])]
fn mov_to_ss_holds_interrupts_back() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, copies_frame) };
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
    mov_to_ss();
}

/// MOV to SS holds NMIs back, too.
#[lamprey::scenario(marks = ["before"])]
fn mov_to_ss_holds_nmis_back() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_nmi(1, copies_frame) };
    mov_to_ss();
}

fn mov_to_ss() {
    lamprey::cpu(0, || {
        // SAFETY: SS keeps its value; what is stored is what a handler stores, too.
        unsafe {
            asm!(
                "lea {at}, [rip + 2f]", "mov [rip + {shadow}], {at}", "mov {at:e}, ss",
                "mov ss, {at:e}", "2:", "mov qword ptr [rip + {frame} + 32], 0x18",
                at = out(reg) _, shadow = sym SHADOW, frame = sym FRAME, options(nostack),
            );
        }
    });
    lamprey::finally(|| {
        let (rip, shadow) = (FRAME[0].load(Relaxed), SHADOW.load(Relaxed));
        lamprey::require!(rip != shadow, "held-back", "after MOV to SS");
        if rip < shadow && rip + 8 > shadow {
            lamprey::mark("before");
        }
    });
}
