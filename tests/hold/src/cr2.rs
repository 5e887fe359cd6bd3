//! CR2 after page faults of user mode.

use core::arch::asm;

use lamprey::paging::PageTables;
use lamprey::user::{self, PAGE_FAULT};

use crate::cpu::load_cr3;

const VA: u64 = 0x40_0000;

fn cr2() -> u64 {
    let address;
    // SAFETY: a read.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nostack)) };
    address
}

/// Lets each access fault, and checks that CR2 has its address.
fn faults_at(addresses: &'static [u64]) {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        for address in addresses {
            let vector = user::read::<u64>(*address).map_err(|fault| fault.vector);
            lamprey::require!(vector == Err(PAGE_FAULT), "fault", "{vector:?} at {address:#x}");
            lamprey::require_eq!(cr2(), *address, "cr2", "CR2 is of another fault");
        }
        lamprey::mark!("tried");
    });
}

/// In the user half.
#[lamprey::scenario(marks = ["tried"])]
fn user_half() {
    faults_at(&[VA, VA + 0x1008]);
}

/// In the kernel half.
#[lamprey::scenario(marks = ["tried"])]
fn kernel_half() {
    faults_at(&[0xffff_9000_0000_0000, VA, 0xffff_8880_0000_0008]);
}

/// #GP leaves CR2 unchanged.
#[lamprey::scenario]
fn general_protection() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let _ = user::read::<u64>(VA);
        let _ = user::read::<u64>(1 << 60);
        lamprey::require_eq!(cr2(), VA, "cr2", "CR2 is not that of the last page fault");
        lamprey::mark!("tried");
    });
}
