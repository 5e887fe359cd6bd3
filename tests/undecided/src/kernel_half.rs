//! Page tables for the kernel half: it is mapped by arithmetic, and tables for it have no model.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, PageTables};
use lamprey::user;

use crate::cpu::load_cr3;

/// An address outside the arithmetic map.
const VMALLOC: u64 = 0xffff_c900_0000_0000;
/// The direct map, inside it.
const DIRECT: u64 = 0xffff_8880_0000_0000;

/// Creates tables that map `va` to a page whose first word is 7.
fn tables(va: u64, flags: u64) -> PageTables {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let page = paging::frame();
    page.words()[0].store(7, Relaxed);
    tables.map(va, page.pa(), flags);
    tables
}

/// A page that the kernel maps for itself is read.
// reason: a kernel-half mapping made in page tables, of 0xffffc90000000000
// instruction: mov
// cpu: 0
#[lamprey::scenario]
fn read() {
    let tables = tables(VMALLOC, paging::P | paging::RW | paging::A | paging::D);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let value: u64;
        // SAFETY: mapped.
        unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) VMALLOC, options(nostack)) };
        lamprey::require!(value == 7, "value", "it reads {value}");
    });
}

/// An entry of the topmost table is enough: there may be a page below it.
// reason: a kernel-half mapping made in page tables
#[lamprey::scenario]
fn write_below_a_present_table() {
    let tables = tables(VMALLOC, 0);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        // SAFETY: the run ends at it.
        unsafe { asm!("mov qword ptr [{}], 1", in(reg) VMALLOC, options(nostack)) };
    });
}

/// User mode reads a kernel-half page that is open to it.
// reason: a kernel-half mapping made in page tables
#[lamprey::scenario]
fn read_at_cpl_3() {
    let tables = tables(VMALLOC, paging::USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require!(user::read::<u64>(VMALLOC).is_ok(), "read", "it faults");
    });
}

/// User mode fetches from one.
// reason: a kernel-half mapping made in page tables
#[lamprey::scenario]
fn fetch_at_cpl_3() {
    let tables = tables(VMALLOC, paging::USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require!(user::execute(VMALLOC).is_ok(), "fetch", "it faults");
    });
}

/// The kernel jumps into one.
// reason: a kernel-half mapping made in page tables
#[lamprey::scenario]
fn jump() {
    let tables = tables(VMALLOC, paging::P | paging::A);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        // SAFETY: the run ends there.
        unsafe { asm!("jmp {}", in(reg) VMALLOC, options(noreturn)) }
    });
}

/// The entry of the topmost table is gone, and translations cached from it may still be used.
// reason: a kernel-half mapping made in page tables
#[lamprey::scenario]
fn stale() {
    let tables = tables(VMALLOC, paging::USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        tables.entry(VMALLOC, 4).store(0, SeqCst);
        lamprey::require!(user::read::<u64>(VMALLOC).is_err(), "read", "it does not fault");
    });
}

/// Tables for an address that arithmetic maps, elsewhere: one of the two would be wrong.
// reason: CPU0's CR3 leads to one for 0xffff888000000000
// instruction: mov
#[lamprey::scenario]
fn direct_map_elsewhere() {
    let tables = tables(DIRECT, paging::P | paging::A);
    let word = lamprey::new(AtomicU64::new(1));
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require!(word.load(Relaxed) == 1, "value", "it is another");
    });
}
