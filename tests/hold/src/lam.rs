//! Accesses that LAM makes legal, and those that it does not affect.

use core::arch::asm;

use lamprey::user::{self, GENERAL_PROTECTION, PAGE_FAULT, USER_BASE};

use crate::cpu::{cr4, load_cr3, load_cr4};

const U57: u64 = 1 << 61;
const U48: u64 = 1 << 62;

fn vector(pointer: u64) -> u8 {
    user::read::<u64>(pointer).map_or_else(|fault| fault.vector, |_| 0)
}

/// LAM_U57: bits 62:57 are free, bit 56 is not.
#[lamprey::scenario]
fn u57() {
    lamprey::cpu(0, || {
        load_cr3(U57);
        lamprey::require!(user::write(USER_BASE | 0x3f << 57, 5u64).is_ok(), "tag", "write");
        lamprey::require!(user::read(USER_BASE) == Ok(5u64), "tag", "another word");
        lamprey::require_eq!(vector(USER_BASE | 1 << 56), GENERAL_PROTECTION, "tag", "bit 56");
        lamprey::mark!("tagged");
    });
}

/// LAM_U48: bits 62:48 are free, bit 47 is not.
#[lamprey::scenario]
fn u48() {
    lamprey::cpu(0, || {
        load_cr3(U48);
        lamprey::require!(user::write(USER_BASE | 0x7fff << 48, 5u64).is_ok(), "tag", "write");
        lamprey::require!(user::read(USER_BASE) == Ok(5u64), "tag", "another word");
        let tagged = 1 << 47 | 0x7fff << 48;
        lamprey::require_eq!(vector(tagged), GENERAL_PROTECTION, "tag", "bit 47");
        lamprey::mark!("tagged");
    });
}

/// Both bits: LAM_U57 takes precedence.
#[lamprey::scenario]
fn both() {
    lamprey::cpu(0, || {
        load_cr3(U48 | U57);
        lamprey::require_eq!(vector(USER_BASE | 1 << 48), GENERAL_PROTECTION, "tag", "bit 48");
        lamprey::require_eq!(vector(USER_BASE | 1 << 57), 0, "tag", "bit 57");
        lamprey::mark!("tagged");
    });
}

/// The kernel's own accesses through tagged user pointers follow the same rule; CR3 is that of each CPU.
#[lamprey::scenario]
fn kernel_access_and_other_cpu() {
    lamprey::cpu(0, || {
        load_cr3(U57);
        let value: u64;
        // SAFETY: user memory is mapped.
        unsafe { asm!("mov {}, qword ptr [{}]", out(reg) value, in(reg) USER_BASE | 5 << 57) }
        lamprey::require!(value <= 1, "tag", "{value}");
        if value == 1 {
            lamprey::mark!("saw the other's store");
        }
    });
    lamprey::cpu(1, || {
        lamprey::require_eq!(vector(USER_BASE | 5 << 57), GENERAL_PROTECTION, "tag", "not here");
        lamprey::require!(user::write(USER_BASE, 1u64).is_ok(), "plain", "write");
    });
}

/// An access that user mode may not make faults, and the kernel continues.
#[lamprey::scenario]
fn user_faults() {
    lamprey::cpu(0, || {
        lamprey::require_eq!(vector(0), PAGE_FAULT, "user", "null");
        lamprey::require_eq!(vector(1 << 63), GENERAL_PROTECTION, "user", "non-canonical");
        let kernel = user::read::<u64>(lamprey::alloc(8, 8).addr() as u64);
        lamprey::require!(kernel.is_err_and(|f| (f.vector, f.code) == (14, 5)), "user", "heap");
        let end = USER_BASE + user::USER_SIZE - 4;
        lamprey::require_eq!(vector(end), PAGE_FAULT, "user", "half outside");
        lamprey::require!(user::read::<u32>(end).is_ok(), "user", "the last four bytes");
        lamprey::mark!("all told");
    });
}

/// CR3 reads back without bit 63, PCID and LAM bits as written; CR4 as written.
#[lamprey::scenario]
fn control_registers() {
    lamprey::cpu(0, || {
        load_cr3(1 << 63 | U57 | 0x5003);
        let value: u64;
        // SAFETY: a read.
        unsafe { asm!("mov {}, cr3", out(reg) value) }
        lamprey::require_eq!(value, U57 | 0x5003, "cr3", "reads back otherwise");
        lamprey::require_eq!(lamprey::cr3(0), value, "cr3", "lamprey::cr3 differs");
        load_cr3(0);
        load_cr4(cr4() & !(1 << 17));
        lamprey::require_eq!(lamprey::cr4(0) >> 17 & 1, 0, "cr4", "PCIDE stays");
        load_cr4(cr4() | 1 << 17);
        let descriptor = [0u64, 0];
        // SAFETY: nothing is cached here.
        unsafe {
            asm!("invpcid {}, [{}]", in(reg) 2u64, in(reg) descriptor.as_ptr());
            asm!("invlpg [{}]", in(reg) USER_BASE);
        }
        lamprey::mark!("done");
    });
}

/// One CPU turns LAM on for itself: the other sees it in CR3, and its own pointers do not change.
#[lamprey::scenario]
fn cr3_of_another() {
    lamprey::cpu(0, || load_cr3(U57));
    lamprey::cpu(1, || {
        if lamprey::cr3(0) == U57 {
            lamprey::mark!("on there");
            lamprey::require_eq!(lamprey::cr3(0), U57, "stable", "off again");
        }
        lamprey::require_eq!(lamprey::cr3(1), 0, "own", "changed from outside");
    });
}

/// Set-up sees what it has just written to CR3 of CPU 0, and CPU 0 starts with it.
#[lamprey::scenario]
fn set_up_sees_its_cr3() {
    crate::cpu::load_cr3(0x5000);
    let seen = lamprey::cr3(0);
    lamprey::cpu(0, move || {
        lamprey::require!(seen == 0x5000 && lamprey::cr3(0) == seen, "cr3", "{seen:#x}");
        lamprey::mark!("looked");
    });
}

/// CR4.LAM_SUP: bits 62:48 of kernel pointers are free, on the CPU that has it set.
#[lamprey::scenario]
fn supervisor() {
    let word = lamprey::new(7u64);
    lamprey::cpu(0, move || {
        load_cr4(cr4() | 1 << 28);
        let tagged = core::ptr::from_ref(word).expose_provenance() as u64 & !(0x7fff << 48);
        let value: u64;
        // SAFETY: without the tag it is the address of `word`.
        unsafe { asm!("mov {}, qword ptr [{}]", out(reg) value, in(reg) tagged, options(nostack)) }
        lamprey::require_eq!(value, 7, "tag", "the word");
        lamprey::mark!("tagged");
    });
}
