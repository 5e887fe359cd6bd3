//! Tables that change under a CPU, and the operations that keep it from using their old contents.

use core::arch::asm;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use lamprey::paging::{self, A, D, G, P, PS, PageTables, RW, US, USER};
use lamprey::user;

use crate::cpu::{invlpg, load_cr3};
use crate::entry::{LARGE, NEW, OLD, VA, frame, named};
use crate::shared::words;
use crate::stale::NOFLUSH;

/// An entry of the topmost table for the table itself: all tables become pages.
const SELF: u64 = 1 << 39;
/// The address of the PTE of `VA` then.
const WINDOW: u64 = SELF | VA >> 9;

fn mfence() {
    // SAFETY: orders accesses.
    unsafe { asm!("mfence", options(nostack)) };
}

/// Checks that an access does not get the old contents.
fn look_at(va: u64) {
    let word = user::read::<u64>(va).unwrap_or(0);
    lamprey::require!(word != OLD, "stale", "what memory said before");
    lamprey::mark("looked");
}

/// INVLPG drops the stale PDPTE: later contents of the page directory below it are not walked.
#[lamprey::scenario(marks = ["looked"])]
fn directory_changes_after_invlpg() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    tables.map(VA, 0, 0);
    let (pdpte, pde) = (tables.entry(VA, 3), tables.entry(VA, 2));
    let table = frame(frame(OLD).pa() | USER);
    let other = frame(frame(frame(NEW).pa() | USER).pa() | USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pdpte.swap(other.pa() | USER, SeqCst);
        invlpg(VA);
        pde.swap(table.pa() | USER, SeqCst);
        look_at(VA);
    });
}

/// A page that comes and goes in an old table while the CPU is away from its PCID was never seen,
/// though a stale PDE still leads there.
#[lamprey::scenario(marks = ["looked"])]
fn made_and_gone_while_away() {
    lamprey::page_tables(4);
    let (tables, others) = (PageTables::new(), PageTables::new());
    let (page, table) = (frame(OLD), frame(frame(NEW).pa() | USER));
    let pte = tables.map(VA, 0, 0);
    let pde = tables.entry(VA, 2);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        load_cr3(others.root() | 2 | NOFLUSH);
        pde.swap(table.pa() | USER, SeqCst);
        pte.swap(page.pa() | USER | G, SeqCst);
        pte.swap(0, SeqCst);
        load_cr3(tables.root() | 1 | NOFLUSH);
        look_at(VA);
    });
}

/// A root that the CPU has left is not walked, also where the next one has the same PCID and nothing is
/// flushed.
#[lamprey::scenario]
fn root_that_was_left() {
    lamprey::page_tables(4);
    let (tables, others) = (PageTables::new(), PageTables::new());
    tables.map(VA, 0, 0);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        load_cr3(others.root() | 1 | NOFLUSH);
        lamprey::frame_free(tables.root());
        let _ = user::read::<u64>(VA);
        lamprey::mark!("freed");
    });
}

/// One table at two addresses: an INVLPG for each.
#[lamprey::scenario(marks = ["looked"])]
fn table_at_two_addresses() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (frame(OLD), frame(NEW));
    let pte = tables.map(VA, old.pa(), USER);
    tables.make(VA + LARGE, 2).store(tables.entry(VA, 2).load(Relaxed), Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pte.swap(new.pa() | USER, SeqCst);
        invlpg(VA);
        invlpg(VA + LARGE);
        look_at(VA);
        look_at(VA + LARGE);
    });
}

/// A 2-MiB page takes the place of a table, and INVLPG of the 4-KiB page drops its translation.
#[lamprey::scenario(marks = ["looked"])]
fn large_page_in_place_of_a_table() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (frame(OLD), frame(NEW));
    let offset = new.pa() & (LARGE - 0x1000);
    let va = VA + offset;
    tables.map(va, old.pa(), USER);
    let pde = tables.entry(va, 2);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pde.swap((new.pa() - offset) | USER | PS, SeqCst);
        invlpg(va);
        look_at(va);
    });
}

/// Tables that map themselves: an entry is read and written as user memory.
#[lamprey::scenario(marks = ["looked"])]
fn entry_as_user_memory() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (frame(OLD), frame(NEW));
    let pte = tables.map(VA, old.pa(), USER);
    tables.make(SELF, 4).store(tables.root() | USER, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        lamprey::require!(user::read(WINDOW) == Ok(old.pa() | USER), "window", "another entry");
        lamprey::require!(user::write(WINDOW, new.pa() | USER).is_ok(), "window", "no write");
        invlpg(VA);
        lamprey::require!(pte.load(Relaxed) == new.pa() | USER, "window", "another word");
        look_at(VA);
    });
}

/// The window to a table is closed by an INVLPG of its own before the table is freed.
#[lamprey::scenario]
fn window_to_a_table() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    tables.map(VA, frame(OLD).pa(), USER);
    tables.make(SELF, 4).store(tables.root() | USER, Relaxed);
    let pde = tables.entry(VA, 2);
    let table = named(pde);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pde.swap(0, SeqCst);
        invlpg(VA);
        invlpg(WINDOW);
        lamprey::frame_free(table);
        lamprey::require!(user::read::<u64>(WINDOW).is_err(), "window", "it is open");
        lamprey::mark!("freed");
    });
}

/// A walk that meets one entry four times sets A in it, and D as it is the last one, too.
#[lamprey::scenario]
fn accessed_and_dirty_of_an_entry_for_its_own_table() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let entry = tables.make(SELF, 4);
    entry.store(tables.root() | P | RW | US, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        // The index is 1 at every level: the topmost table itself. Its entry 300 is not used.
        let own = SELF | 1 << 30 | 1 << 21 | 1 << 12;
        lamprey::require!(user::write(own + 8 * 300, 0u64).is_ok(), "own", "no write");
        let expected = tables.root() | P | RW | US | A | D;
        lamprey::require_eq!(entry.load(Relaxed), expected, "flags", "the entry");
        lamprey::mark!("written");
    });
}

/// D is clear, also in the cached translation: the first write sets it.
#[lamprey::scenario]
fn first_write_sets_dirty() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let pte = tables.map(VA, frame(OLD).pa(), P | RW | US | A);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        let _ = user::read::<u64>(VA);
        // A bit for software.
        pte.fetch_or(1 << 9, SeqCst);
        lamprey::require!(user::write(VA, 3u64).is_ok(), "dirty", "no write");
        lamprey::require!(pte.load(Relaxed) & D != 0, "dirty", "the page passes for clean");
        lamprey::mark!("written");
    });
}

/// After MFENCE no store to the page is on its way: it may be freed.
#[lamprey::scenario]
fn page_freed_after_mfence() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let page = frame(OLD);
    let pte = tables.map(VA, page.pa(), USER);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        let _ = user::write(VA, 3u64);
        pte.store(0, Relaxed);
        mfence();
        lamprey::frame_free(page.pa());
        lamprey::mark!("freed");
    });
}

/// After MFENCE the walks of every CPU see the cleared entry: one that loads these tables later
/// does not find the freed page.
#[lamprey::scenario]
fn table_freed_after_mfence() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    tables.map(VA, frame(OLD).pa(), USER);
    let pde = tables.entry(VA, 2);
    let table = named(pde);
    let [freed] = words();
    lamprey::cpu(0, move || {
        pde.store(0, Relaxed);
        mfence();
        lamprey::frame_free(table);
        freed.store(1, Relaxed);
    });
    lamprey::cpu(1, move || {
        if freed.load(Relaxed) == 1 {
            load_cr3(tables.root() | 1);
            lamprey::require!(user::read::<u64>(VA).is_err(), "gone", "the page is there");
            lamprey::mark!("after it is freed");
        }
    });
}

/// Walks from stale upper entries set A and D in more entries than an operation can announce.
#[lamprey::scenario]
fn flags_of_many_entries() {
    lamprey::page_tables(4);
    let spaces: [PageTables; 3] = core::array::from_fn(|_| PageTables::new());
    for space in &spaces {
        space.map(VA, paging::frame().pa(), P | RW | US);
        for level in 2..=3 {
            let entry = space.entry(VA, level);
            entry.store(entry.load(Relaxed) & !A, Relaxed);
        }
    }
    let [first, second] = [1, 2].map(|space: usize| spaces[space].entry(VA, 4).load(Relaxed));
    let (top, root) = (spaces[0].entry(VA, 4), spaces[0].root());
    let [go] = words();
    lamprey::cpu(0, move || {
        load_cr3(root);
        while go.load(Relaxed) == 0 {}
        lamprey::mark!("the tables have changed twice");
        let _ = user::read::<u64>(VA);
    });
    lamprey::cpu(1, move || {
        top.store(first, Relaxed);
        top.store(second, Relaxed);
        go.store(1, Relaxed);
    });
}
