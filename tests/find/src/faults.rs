//! Faults without a handler.

use core::arch::asm;
use core::hint::black_box;

use crate::cpu::{cr4, load_cr3, load_cr4};

static CONSTANT: u64 = 7;

fn read(address: u64) {
    // SAFETY: it is meant to fault.
    unsafe { asm!("mov {0}, qword ptr [{0}]", inout(reg) address => _, options(nostack)) }
}

fn write(address: u64) {
    // SAFETY: it is meant to fault.
    unsafe { asm!("mov qword ptr [{}], 1", in(reg) address, options(nostack)) }
}

/// A null pointer.
// switches: 0
// found: mov
#[lamprey::scenario(finds = "fault")]
fn null_pointer() {
    lamprey::cpu(0, || read(black_box(0x18)));
}

/// Before any CPU starts.
// switches: 0
// found: mov
// at: scenario_entry
#[lamprey::scenario(finds = "fault")]
fn null_pointer_in_set_up() {
    lamprey::cpu(0, || {});
    read(black_box(0x18));
}

/// An address that is not canonical: #GP, or it would be a plain miss.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn non_canonical() {
    lamprey::cpu(0, || read(black_box(0x8000_0000_0000)));
}

/// The same on the stack: #SS.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn non_canonical_stack() {
    lamprey::cpu(0, || {
        // SAFETY: it is meant to fault.
        unsafe { asm!("mov rsp, {}", "push rax", "ud2", in(reg) 1u64 << 60, options(noreturn)) }
    });
}

/// Division by zero by the instruction itself.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn divide_by_zero() {
    lamprey::cpu(0, || {
        // SAFETY: it is meant to fault.
        unsafe {
            asm!("div {}", in(reg) 0u64, inout("rax") 1u64 => _, inout("rdx") 0u64 => _);
        }
    });
}

/// UD2.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn undefined_instruction() {
    // SAFETY: never returns.
    lamprey::cpu(0, || unsafe { asm!("ud2", options(noreturn)) });
}

/// A store to a constant.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn write_to_constant() {
    lamprey::cpu(0, || write((&raw const CONSTANT).expose_provenance() as u64));
}

/// A store to code.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn write_to_code() {
    lamprey::cpu(0, || write(read as fn(u64) as usize as u64));
}

/// A jump to data.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn execute_data() {
    let data = lamprey::alloc(8, 8).expose_provenance();
    // SAFETY: it is meant to fault.
    lamprey::cpu(0, move || unsafe { asm!("jmp {}", in(reg) data, options(noreturn)) });
}

/// A stack that grows into its guard page.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn stack_overflow() {
    lamprey::cpu(0, || {
        // SAFETY: it is meant to fault.
        unsafe { asm!("2: push 1", "jmp 2b", options(noreturn)) }
    });
}

/// A kernel access through a tagged user pointer while LAM is off.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn tag_without_lam() {
    lamprey::cpu(0, || read(lamprey::user::USER_BASE | 0x2a << 57));
}

/// A user access through a tagged pointer while LAM is off: #GP, reported and not delivered.
// switches: 0
#[lamprey::scenario(finds = "user-fault")]
fn user_tag_without_lam() {
    lamprey::cpu(0, || {
        if let Err(fault) = lamprey::user::read::<u64>(lamprey::user::USER_BASE | 0x2a << 57) {
            lamprey::require!(fault.vector != 13, "user-fault", "{fault}");
        }
    });
}

/// A reserved bit of CR3.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn reserved_cr3() {
    lamprey::cpu(0, || load_cr3(1 << 50));
}

/// Bit 63 of CR3 without PCIDs.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn noflush_without_pcid() {
    lamprey::cpu(0, || {
        load_cr4(cr4() & !(1 << 17));
        load_cr3(1 << 63);
    });
}

/// CR4.PCIDE is set while the PCID is not 0.
// switches: 0
#[lamprey::scenario(finds = "fault")]
fn pcide_under_pcid_one() {
    lamprey::cpu(0, || {
        let on = cr4();
        load_cr4(on & !(1 << 17));
        load_cr3(1);
        load_cr4(on);
    });
}

/// CR3 of one CPU, as another sees it between two loads.
// switches: 1
#[lamprey::scenario(finds = "cr3-clean")]
fn cr3_seen() {
    lamprey::cpu(0, || {
        load_cr3(1 << 61);
        load_cr3(0);
    });
    lamprey::cpu(1, || {
        lamprey::require!(lamprey::cr3(0) == 0, "cr3-clean", "LAM was on for a moment");
    });
}

/// An invariant over CR3 is broken between two loads of one CPU.
// switches: 0
#[lamprey::scenario(finds = "cr3-clean")]
fn cr3_seen_by_invariant() {
    lamprey::always(|| lamprey::require!(lamprey::cr3(0) == 0, "cr3-clean", "LAM is on"));
    lamprey::cpu(0, || {
        load_cr3(1 << 61);
        load_cr3(0);
    });
}

/// An invariant over the interrupt flag of CPU 0 is broken between CLI and STI.
// switches: 0
#[lamprey::scenario(finds = "interrupts-on")]
fn interrupt_flag_seen_by_invariant() {
    lamprey::always(|| lamprey::require!(lamprey::interrupts_on(0), "interrupts-on", "off"));
    lamprey::cpu(0, || {
        crate::cpu::cli();
        crate::cpu::sti();
    });
}
