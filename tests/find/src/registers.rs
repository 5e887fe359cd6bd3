//! Raw handlers that look at the code they have interrupted: between any two instructions of it,
//! also those that touch no memory.

use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

const VECTOR: u8 = 40;
const CARRY: u64 = 1;
const DIRECTION: u64 = 1 << 10;

/// Lets CPU 1 interrupt CPU 0.
fn interrupt(handler: unsafe extern "C" fn()) {
    // SAFETY: the handlers here restore every register.
    unsafe { lamprey::raw_handler(VECTOR, handler) };
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Lets an NMI arrive.
fn nmi(handler: unsafe extern "C" fn()) {
    // SAFETY: the handlers here restore every register.
    unsafe { lamprey::raw_nmi(1, handler) };
}

static SEEN: AtomicU64 = AtomicU64::new(0);

/// Looks for 77 in RBX.
#[unsafe(naked)]
unsafe extern "C" fn looks_at_rbx() {
    naked_asm!(
        "cmp rbx, 77", "jne 2f", "mov qword ptr [rip + {seen}], 1", "2:", "iretq",
        seen = sym SEEN,
    )
}

/// Sets RBX to 77 for a moment.
fn register() {
    lamprey::cpu(0, || {
        // SAFETY: RBX is put back.
        unsafe { asm!("push rbx", "mov rbx, 77", "nop", "pop rbx") };
    });
    lamprey::finally(|| {
        lamprey::require!(SEEN.load(Relaxed) == 0, "seen", "the handler saw the register");
    });
}

/// An NMI handler sees a momentary value of a register.
#[lamprey::scenario(finds = "seen")]
fn rbx_by_nmi() {
    nmi(looks_at_rbx);
    register();
}

/// An interrupt handler sees it, too.
#[lamprey::scenario(finds = "seen")]
fn rbx_by_interrupt() {
    interrupt(looks_at_rbx);
    register();
}

static RIP: AtomicU64 = AtomicU64::new(0);
static FLAGS: AtomicU64 = AtomicU64::new(0);

/// Copies RIP and RFLAGS of its frame.
#[unsafe(naked)]
unsafe extern "C" fn copies_frame() {
    naked_asm!(
        "push rax",
        "mov rax, [rsp + 8]", "mov [rip + {rip}], rax",
        "mov rax, [rsp + 24]", "mov [rip + {flags}], rax",
        "pop rax",
        "iretq",
        rip = sym RIP, flags = sym FLAGS,
    )
}

static THERE: AtomicU64 = AtomicU64::new(0);

/// Runs a place between instructions without effect.
fn place() {
    lamprey::cpu(0, || {
        let there: u64;
        // SAFETY: only a register.
        unsafe {
            asm!("lea {}, [rip + 2f]", "nop", "2:", "nop", out(reg) there, options(nostack));
        }
        THERE.store(there, Relaxed);
    });
    lamprey::finally(|| {
        let elsewhere = RIP.load(Relaxed) != THERE.load(Relaxed);
        lamprey::require!(elsewhere, "there", "the interrupt came there");
    });
}

/// An NMI comes there.
#[lamprey::scenario(finds = "there")]
fn rip_by_nmi() {
    nmi(copies_frame);
    place();
}

/// An interrupt comes there.
#[lamprey::scenario(finds = "there")]
fn rip_by_interrupt() {
    interrupt(copies_frame);
    place();
}

/// Lets `run` set a flag for a moment.
fn flag(flag: u64, run: fn()) {
    lamprey::cpu(0, run);
    lamprey::finally(move || {
        lamprey::require!(FLAGS.load(Relaxed) & flag == 0, "flag", "the frame has the flag");
    });
}

fn carry() {
    // SAFETY: only a flag.
    unsafe { asm!("clc", "stc", "nop", "clc", options(nostack)) }
}

/// The carry flag, in the frame of an NMI.
#[lamprey::scenario(finds = "flag")]
fn carry_by_nmi() {
    nmi(copies_frame);
    flag(CARRY, carry);
}

/// The carry flag, in the frame of an interrupt.
#[lamprey::scenario(finds = "flag")]
fn carry_by_interrupt() {
    interrupt(copies_frame);
    flag(CARRY, carry);
}

/// The direction flag, which compiled code never sets.
#[lamprey::scenario(finds = "flag")]
fn direction_by_nmi() {
    nmi(copies_frame);
    // SAFETY: the flag is put back.
    flag(DIRECTION, || unsafe { asm!("std", "nop", "cld", options(nostack)) });
}
