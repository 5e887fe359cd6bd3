//! Permitted accesses to the user half, the faults of the others, and their effects on the
//! tables (SDM vol. 3 §4.6 to §4.8).

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, A, D, Frame, G, P, PS, PageTables, RW, US, USER, XD};
use lamprey::user::{self, GENERAL_PROTECTION, PAGE_FAULT, UserFault};

use crate::cpu::{cr4, invlpg, load_cr3, load_cr4};

const VA: u64 = 0x40_0000;

/// Bits of a page fault's error code (SDM vol. 3 §4.7).
const PRESENT: u32 = 1;
const WRITE: u32 = 1 << 1;
const USER_MODE: u32 = 1 << 2;
const RESERVED: u32 = 1 << 3;
const FETCH: u32 = 1 << 4;

const SMAP: u64 = 1 << 21;
const LAM_U57: u64 = 1 << 61;
const LAM_U48: u64 = 1 << 62;
/// A physical address that no CPU of the model has: reserved in an entry.
const BEYOND: u64 = 1 << 51;

/// Creates tables of `levels` levels with a page at `va`.
fn scene(levels: u32, va: u64) -> (PageTables, &'static AtomicU64, Frame) {
    lamprey::page_tables(levels.into());
    let (tables, page) = (PageTables::with_levels(levels), paging::frame());
    let pte = tables.map(va, page.pa(), USER);
    (tables, pte, page)
}

/// Changes an entry so that the walker sees it at once, with no cached entry left.
fn set(entry: &AtomicU64, value: u64) {
    entry.swap(value, SeqCst);
    invlpg(VA);
}

fn code<T>(result: Result<T, UserFault>) -> u32 {
    match result {
        Ok(_) => 0,
        Err(fault) => {
            lamprey::require_eq!(fault.vector, PAGE_FAULT, "rights", "the exception");
            fault.code
        }
    }
}

/// Checks reads, writes and fetches at CPL 3, for rights of a PTE: the error codes, 0 for none.
fn row(pte: &AtomicU64, value: u64, expected: [u32; 3]) {
    set(pte, value);
    let found = [code(user::read::<u8>(VA)), code(user::write(VA, 1u8)), code(user::execute(VA))];
    let names = ["read", "write", "fetch"];
    for ((found, expected), name) in found.into_iter().zip(expected).zip(names) {
        lamprey::require!(found == expected, "rights", "{name} of {value:#x}: code {found:#x}");
    }
}

/// P, R/W, U/S, XD and reserved bits of a PTE, at CPL 3.
#[lamprey::scenario]
fn at_cpl_3() {
    let (tables, pte, page) = scene(4, VA);
    let pa = page.pa();
    let denied = PRESENT | USER_MODE;
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        row(pte, pa | USER, [0, 0, 0]);
        row(pte, pa | USER | XD, [0, 0, denied | FETCH]);
        row(pte, pa | USER & !RW, [0, denied | WRITE, 0]);
        row(pte, pa | USER & !US, [denied, denied | WRITE, denied | FETCH]);
        row(pte, pa | USER & !P, [USER_MODE, USER_MODE | WRITE, USER_MODE | FETCH]);
        let reserved = denied | RESERVED;
        row(pte, BEYOND | USER, [reserved, reserved | WRITE, reserved | FETCH]);
        lamprey::mark!("tried");
    });
}

/// A right that an upper entry denies is denied, with any last entry.
#[lamprey::scenario]
fn upper_levels_count() {
    let (tables, pte, _) = scene(4, VA);
    let denied = PRESENT | USER_MODE;
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        for level in 2..=4 {
            let entry = tables.entry(VA, level);
            let value = entry.load(Relaxed);
            let same = pte.load(Relaxed);
            set(entry, value & !RW);
            row(pte, same, [0, denied | WRITE, 0]);
            set(entry, value & !US);
            row(pte, same, [denied, denied | WRITE, denied | FETCH]);
            set(entry, value | XD);
            row(pte, same, [0, 0, denied | FETCH]);
            set(entry, value & !P);
            row(pte, same, [USER_MODE, USER_MODE | WRITE, USER_MODE | FETCH]);
            set(entry, value);
        }
        lamprey::mark!("tried");
    });
}

/// The kernel may use user pages while CR4.SMAP is clear, or RFLAGS.AC is set.
#[lamprey::scenario]
fn kernel_with_smap_and_ac() {
    let (tables, _, page) = scene(4, VA);
    page.words()[0].store(7, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require_eq!(kernel_read(), 7, "rights", "without SMAP");
        load_cr4(cr4() | SMAP);
        // SAFETY: RFLAGS.AC allows accesses to user pages.
        unsafe { asm!("stac", options(nostack)) };
        lamprey::require_eq!(kernel_read(), 7, "rights", "with AC");
        // SAFETY: as it was.
        unsafe { asm!("clac", options(nostack)) };
        lamprey::require!(user::read(VA) == Ok(7u64), "rights", "at CPL 3");
        lamprey::mark!("read");
    });
}

fn kernel_read() -> u64 {
    let value;
    // SAFETY: the page is mapped.
    unsafe { asm!("mov {}, qword ptr [{}]", out(reg) value, in(reg) VA, options(nostack)) };
    value
}

/// LAM removes tags before the walk; instruction fetches have none.
#[lamprey::scenario]
fn lam() {
    let (tables, _, page) = scene(4, VA);
    page.words()[0].store(7, Relaxed);
    lamprey::cpu(0, move || {
        for (lam, tag) in [(LAM_U57, 0x3f << 57), (LAM_U48, 0x7fff << 48)] {
            load_cr3(tables.root() | lam);
            lamprey::require!(user::read(VA | tag) == Ok(7u64), "tag", "the word");
            let fetch = user::execute(VA | tag).map_err(|fault| fault.vector);
            lamprey::require!(fetch == Err(GENERAL_PROTECTION), "tag", "a fetch");
        }
        load_cr3(tables.root());
        let plain = user::read::<u64>(VA | 1 << 57).map_err(|fault| fault.vector);
        lamprey::require!(plain == Err(GENERAL_PROTECTION), "tag", "without LAM");
        lamprey::mark!("tagged");
    });
}

/// 5-level paging, on every CPU: bits 55:48 of an address select an entry, too.
#[lamprey::scenario]
fn five_levels() {
    const HIGH: u64 = 3 << 48 | VA;
    let (tables, _, page) = scene(5, HIGH);
    page.words()[0].store(7, Relaxed);
    let run = move || {
        load_cr3(tables.root());
        lamprey::require!(user::read(HIGH) == Ok(7u64), "levels", "the word");
        lamprey::require_eq!(code(user::read::<u8>(VA)), USER_MODE, "levels", "elsewhere");
        load_cr3(tables.root() | LAM_U57);
        lamprey::require!(user::read(HIGH | 1 << 57) == Ok(7u64), "levels", "with a tag");
        lamprey::mark!("read");
    };
    lamprey::cpu(0, run);
    lamprey::cpu(1, run);
}

/// A read sets A at every level, a write D in the last entry, too.
#[lamprey::scenario]
fn accessed_and_dirty() {
    let (tables, pte, _) = scene(4, VA);
    let entries = [1, 2, 3, 4].map(|level| tables.entry(VA, level));
    entries.iter().for_each(|entry| {
        entry.fetch_and(!(A | D), Relaxed);
    });
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let flags = || entries.map(|entry| entry.load(Relaxed) & (A | D));
        lamprey::require!(flags() == [0; 4], "flags", "before an access");
        lamprey::require!(user::read::<u8>(VA).is_ok(), "flags", "the page is mapped");
        lamprey::require!(flags() == [A; 4], "flags", "after a read");
        lamprey::require!(user::write(VA, 1u8).is_ok(), "flags", "it may be written");
        lamprey::require!(flags() == [A | D, A, A, A], "flags", "after a write");
        lamprey::require!(pte.load(Relaxed) & PS == 0, "flags", "nothing else");
        lamprey::mark!("set");
    });
}

/// An access that faults sets no D; and none above sets it.
#[lamprey::scenario]
fn no_dirty_by_a_fault() {
    let (tables, pte, page) = scene(4, VA);
    pte.store(page.pa() | P | US | A, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        let expected = PRESENT | USER_MODE | WRITE;
        lamprey::require_eq!(code(user::write(VA, 1u8)), expected, "flags", "the fault");
        lamprey::require!(pte.load(Relaxed) & D == 0, "flags", "the page passes for written");
        lamprey::mark!("faulted");
    });
}

/// A right that was given meanwhile: an access may fault once more, and not twice.
#[lamprey::scenario(marks = ["spurious", "at once"])]
fn spurious_fault_comes_once() {
    spurious_fault(0, 0);
}

/// The same with a global page that another PCID may have cached.
#[lamprey::scenario(marks = ["spurious", "at once"])]
fn spurious_fault_of_a_global_page_comes_once() {
    spurious_fault(G, 2);
}

/// Caches, under `pcid`, a page with `flags`; another PCID writes to it with the right that it has
/// got meanwhile.
fn spurious_fault(flags: u64, pcid: u64) {
    let (tables, pte, page) = scene(4, VA);
    pte.store(page.pa() | flags | USER & !RW, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | pcid);
        pte.fetch_or(RW, SeqCst);
        load_cr3(tables.root() | 1 << 63);
        if user::write(VA, 1u8).is_err() {
            lamprey::mark!("spurious");
            lamprey::require!(user::write(VA, 1u8).is_ok(), "once", "the fault comes again");
        } else {
            lamprey::mark!("at once");
        }
    });
}

/// An entry that is not present is not cached: a page that was mapped meanwhile is there at once.
#[lamprey::scenario]
fn absent_pages_are_not_cached() {
    let (tables, pte, page) = scene(4, VA);
    pte.store(0, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require_eq!(code(user::read::<u8>(VA)), USER_MODE, "absent", "before");
        pte.swap(page.pa() | USER, SeqCst);
        lamprey::require!(
            user::read::<u8>(VA).is_ok(),
            "absent",
            "a fault memory does not justify"
        );
        lamprey::mark!("mapped");
    });
}

/// The kernel's own pages are present for user mode, and closed: code and data.
#[lamprey::scenario]
fn pages_of_the_kernel() {
    let (tables, _, page) = scene(4, VA);
    let text = pages_of_the_kernel as fn() as usize as u64;
    let data = page.pointer().expose_provenance() as u64;
    let denied = PRESENT | USER_MODE;
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        for address in [text, data] {
            lamprey::require_eq!(code(user::read::<u8>(address)), denied, "rights", "a read");
            let write = code(user::write(address, 1u8));
            lamprey::require_eq!(write, denied | WRITE, "rights", "a write");
            lamprey::require_eq!(code(user::execute(address)), denied | FETCH, "rights", "a fetch");
        }
        lamprey::mark!("tried");
    });
}

/// With 5 levels bits 63:57 alone decide what is canonical, for a fetch, too.
#[lamprey::scenario]
fn five_levels_upper_half() {
    const UPPER: u64 = 0xff00_0000_0000_1000;
    let (tables, _, _) = scene(5, VA);
    lamprey::cpu(0, move || {
        load_cr3(tables.root());
        lamprey::require_eq!(code(user::read::<u8>(UPPER)), USER_MODE, "rights", "a read");
        let fetch = code(user::execute(UPPER));
        lamprey::require_eq!(fetch, USER_MODE | FETCH, "rights", "a fetch");
        lamprey::mark!("tried");
    });
}

/// STAC permits kernel accesses to flat user memory, too; without SMAP none is needed.
#[lamprey::scenario]
fn smap_without_page_tables() {
    lamprey::cpu(0, || {
        let read = || {
            // SAFETY: user memory is mapped.
            unsafe {
                asm!("mov {}, qword ptr [{}]", out(reg) _, in(reg) user::USER_BASE, options(nostack))
            }
        };
        read();
        load_cr4(cr4() | SMAP);
        // SAFETY: changes RFLAGS.AC alone.
        unsafe { asm!("stac", options(nostack)) };
        read();
        lamprey::mark!("read twice");
    });
}
