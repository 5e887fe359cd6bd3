//! CR2 is that of the CPU's last page fault, in a thread or in a handler.

use core::arch::asm;

use lamprey::paging::PageTables;
use lamprey::user;

use crate::cpu::load_cr3;

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// Makes a handler fault at another address.
fn fault_elsewhere() {
    let _ = user::read::<u64>(VA + 0x10_0000);
}

/// Faults on CPU 0, and then reads CR2.
fn fault_and_look() {
    lamprey::page_tables(4);
    load_cr3(PageTables::new().root());
    lamprey::cpu(0, || {
        let _ = user::read::<u64>(VA);
        let address: u64;
        // SAFETY: a read.
        unsafe { asm!("mov {}, cr2", out(reg) address, options(nostack)) };
        lamprey::require_eq!(address, VA, "cr2", "CR2 is of another fault");
    });
}

/// An interrupt comes between the fault and the read.
#[lamprey::scenario(finds = "cr2")]
fn fault_in_a_handler() {
    lamprey::handler(VECTOR, fault_elsewhere);
    fault_and_look();
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// An NMI comes between the fault and the read.
#[lamprey::scenario(finds = "cr2")]
fn fault_in_an_nmi() {
    lamprey::nmi(1, fault_elsewhere);
    fault_and_look();
}
