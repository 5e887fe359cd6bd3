//! The kernel's own accesses to the user half that fault: there is no handler.

use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;

use lamprey::paging::{self, PageTables, RW, USER};
use lamprey::user::USER_BASE;

use crate::cpu::{cr4, load_cr3, load_cr4};

const VA: u64 = 0x40_0000;
const SMAP: u64 = 1 << 21;

/// Runs `access` on one CPU whose page at `VA` has the bits `flags`.
fn kernel(flags: u64, access: fn()) {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), flags);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        access();
    });
}

fn read() {
    // SAFETY: it is meant to fault.
    unsafe { asm!("mov {}, qword ptr [{}]", out(reg) _, in(reg) VA, options(nostack)) }
}

fn write() {
    // SAFETY: it is meant to fault.
    unsafe { asm!("mov qword ptr [{}], 1", in(reg) VA, options(nostack)) }
}

/// SMAP, and RFLAGS.AC is clear.
// found: mov
#[lamprey::scenario(finds = "fault")]
fn smap() {
    kernel(USER, || {
        load_cr4(cr4() | SMAP);
        read();
    });
}

/// SMAP with flat user memory.
// found: mov
#[lamprey::scenario(finds = "fault")]
fn smap_without_page_tables() {
    lamprey::cpu(0, || {
        load_cr4(cr4() | SMAP);
        // SAFETY: it is meant to fault.
        unsafe { asm!("mov {}, qword ptr [{}]", out(reg) _, in(reg) USER_BASE, options(nostack)) }
    });
}

/// CR0.WP: a page that user mode may not write is read-only for the kernel, too.
// found: mov
#[lamprey::scenario(finds = "fault")]
fn write_protected() {
    kernel(USER & !RW, write);
}

/// Nothing is mapped.
// found: mov
#[lamprey::scenario(finds = "fault")]
fn not_mapped() {
    kernel(0, read);
}

/// A store to an entry may still be in the store buffer, which the CPU's own page walker does not read.
// only: tso
#[lamprey::scenario(finds = "not-mapped-yet")]
fn own_store_to_an_entry() {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    let pte = tables.map(VA, 0, 0);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        pte.store(page.pa() | USER, Relaxed);
        let result = lamprey::user::read::<u8>(VA);
        lamprey::require!(result.is_ok(), "not-mapped-yet", "the walk does not see the store");
    });
}
