//! Tables that a CPU reaches through stale entries of its paging-structure caches.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use lamprey::paging::{self, A, Frame, P, PS, PageTables, RW, US, USER};
use lamprey::user;

use crate::cpu::{invlpg, load_cr3};
use crate::entry::{LARGE, NEW, OLD, VA, frame, named};
use crate::shared::words;
use crate::stale::NOFLUSH;

fn wait(word: &AtomicU64) {
    while word.load(Acquire) == 0 {
        spin_loop();
    }
}

/// Checks that an access does not get what only a stale entry leads to.
fn look_at(va: u64) {
    let word = user::read::<u64>(va).unwrap_or(0);
    lamprey::require!(word != OLD, "stale", "through an entry that memory has no more");
}

/// A page directory that gets out of use: the PDPTE names another. Its PDE, which only a stale PDPTE leads
/// to, then names a frame that was no table before, with a page of its own.
struct Detour {
    tables: PageTables,
    pdpte: &'static AtomicU64,
    /// The new value of the PDPTE.
    other: u64,
    pde: &'static AtomicU64,
    table: Frame,
    page: Frame,
}

impl Detour {
    fn new() -> Self {
        lamprey::page_tables(4);
        let tables = PageTables::new();
        tables.map(VA, 0, 0);
        let page = frame(OLD);
        let table = frame(page.pa() | USER);
        let directory = frame(frame(frame(NEW).pa() | USER).pa() | USER);
        Self {
            tables,
            pdpte: tables.entry(VA, 3),
            other: directory.pa() | USER,
            pde: tables.entry(VA, 2),
            table,
            page,
        }
    }

    /// Changes the PDPTE, then the PDE below the old one.
    fn open(&self) {
        self.pdpte.swap(self.other, SeqCst);
        self.pde.swap(self.table.pa() | USER, SeqCst);
    }

    /// Removes the page from the table again.
    fn close(&self) {
        self.table.words()[0].swap(0, SeqCst);
    }
}

/// Lets CPU 0 use the tables, open the detour, do `after`, and look.
fn detour(after: impl FnOnce(&Detour) + Send + 'static) {
    let detour = Detour::new();
    lamprey::cpu(0, move || {
        load_cr3(detour.tables.root() | 1);
        detour.open();
        after(&detour);
        look_at(VA);
    });
}

/// Through the stale PDPTE.
#[lamprey::scenario(finds = "stale")]
fn detour_is_open() {
    detour(|_| {});
}

/// The translation is cached while the page is in the table.
#[lamprey::scenario(finds = "stale")]
fn detour_was_open() {
    detour(Detour::close);
}

/// The same, with a table that another address space also uses.
#[lamprey::scenario(finds = "stale")]
fn detour_by_a_table_of_others() {
    let detour = Detour::new();
    let others = PageTables::new();
    others.make(VA, 2).store(detour.table.pa() | USER, Relaxed);
    lamprey::cpu(0, move || {
        load_cr3(others.root() | 2);
        load_cr3(detour.tables.root() | 1);
        detour.open();
        detour.close();
        look_at(VA);
    });
}

/// INVLPG of another page drops the stale PDPTE, but not the translation obtained by it.
#[lamprey::scenario(finds = "stale")]
fn detour_and_invlpg_of_another_page() {
    detour(|detour| {
        detour.close();
        invlpg(VA + 0x1000);
    });
}

/// A PDPTE that was cached before the CPU went to another PCID is still cached when it comes back.
#[lamprey::scenario(finds = "stale")]
fn detour_opens_while_away() {
    let detour = Detour::new();
    let others = PageTables::new();
    lamprey::cpu(0, move || {
        load_cr3(detour.tables.root() | 1);
        load_cr3(others.root() | 2 | NOFLUSH);
        detour.open();
        load_cr3(detour.tables.root() | 1 | NOFLUSH);
        detour.close();
        look_at(VA);
    });
}

/// The page is freed after it was removed from the table.
#[lamprey::scenario(finds = "freed-frame")]
fn detour_to_a_freed_page() {
    detour(|detour| {
        detour.close();
        lamprey::frame_free(detour.page.pa());
    });
}

/// Lets CPU 0 open the detour; CPU 1 then stores `after` to the table's entry, which has been `before`.
fn detour_changes(before: fn(&Detour) -> u64, after: fn(&Detour) -> u64, waits: bool) {
    let detour = Detour::new();
    let after = after(&detour);
    let entry = &detour.table.words()[0];
    entry.store(before(&detour), Relaxed);
    let [open, done] = words();
    lamprey::cpu(0, move || {
        load_cr3(detour.tables.root() | 1);
        detour.open();
        open.store(1, Release);
        if waits {
            wait(done);
        }
        look_at(VA);
    });
    lamprey::cpu(1, move || {
        wait(open);
        entry.store(after, Relaxed);
        done.store(1, Release);
    });
}

/// Another CPU puts the page into the table.
#[lamprey::scenario(finds = "stale")]
fn detour_opened_by_another() {
    detour_changes(|_| 0, |detour| detour.page.pa() | USER, false);
}

/// Another CPU removes it.
#[lamprey::scenario(finds = "stale")]
fn detour_closed_by_another() {
    detour_changes(|detour| detour.page.pa() | USER, |_| 0, true);
}

/// A page directory is unmapped without a flush on CPU 0 and used for data that looks like an
/// entry; the page that it seems to map is freed.
#[lamprey::scenario(finds = "freed-frame")]
fn directory_becomes_data() {
    let detour = Detour::new();
    let [ready, done] = words();
    lamprey::cpu(0, move || {
        load_cr3(detour.tables.root() | 1);
        ready.store(1, Release);
        wait(done);
        let _ = user::read::<u64>(VA);
    });
    let Detour { pdpte, pde, table, page, .. } = detour;
    lamprey::cpu(1, move || {
        wait(ready);
        pdpte.store(0, Relaxed);
        pde.store(table.pa() | USER, Relaxed);
        table.words()[0].store(0, Relaxed);
        // SAFETY: orders accesses.
        unsafe { asm!("mfence", options(nostack)) };
        lamprey::frame_free(page.pa());
        done.store(1, Release);
    });
}

/// A walk by a stale PDE sets A in a frame that has become data.
#[lamprey::scenario(finds = "changed")]
fn accessed_flag_in_data() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let data = tables.map(VA, paging::frame().pa(), P | RW | US);
    let pde = tables.entry(VA, 2);
    let [done] = words();
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        wait(done);
        let _ = user::read::<u64>(VA);
    });
    lamprey::cpu(1, move || {
        pde.store(0, Relaxed);
        let before = data.load(Relaxed);
        lamprey::require!(before & A == 0, "used", "nobody has used the page yet");
        done.store(1, Release);
        lamprey::require!(data.load(Relaxed) == before, "changed", "by a walk of another CPU");
    });
}

/// While CPU 0 is away from PCID 1 the PDE names another table, and the old table gets a page: it is seen
/// through the stale PDE when the CPU is back.
#[lamprey::scenario(finds = "stale")]
fn page_of_an_old_table_made_while_away() {
    lamprey::page_tables(4);
    let (tables, others) = (PageTables::new(), PageTables::new());
    let (page, table) = (frame(OLD), frame(frame(NEW).pa() | USER));
    let pte = tables.map(VA, 0, 0);
    let pde = tables.entry(VA, 2);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        load_cr3(others.root() | 2 | NOFLUSH);
        pde.swap(table.pa() | USER, SeqCst);
        pte.swap(page.pa() | USER, SeqCst);
        load_cr3(tables.root() | 1 | NOFLUSH);
        look_at(VA);
    });
}

/// Another root under the same PCID, without a flush: tables below the old root may still be walked.
#[lamprey::scenario(finds = "freed-table")]
fn table_below_a_root_that_was_left() {
    lamprey::page_tables(4);
    let (tables, others) = (PageTables::new(), PageTables::new());
    tables.map(VA, 0, 0);
    let below = named(tables.entry(VA, 4));
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        load_cr3(others.root() | 1 | NOFLUSH);
        lamprey::frame_free(below);
    });
}

/// One table at two addresses: INVLPG of the one leaves the other.
#[lamprey::scenario(finds = "stale")]
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
        look_at(VA + LARGE);
    });
}

/// A 2-MiB page takes the place of a table: INVLPG of another address leaves the 4-KiB page's translation.
#[lamprey::scenario(finds = "stale")]
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
        invlpg(va ^ 0x1000);
        look_at(va);
    });
}

/// A table that maps itself: the window to a table that is freed needs an INVLPG of its own.
#[lamprey::scenario(finds = "freed-frame")]
fn window_to_a_table() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    tables.map(VA, frame(OLD).pa(), USER);
    tables.make(1 << 39, 4).store(tables.root() | USER, Relaxed);
    let pde = tables.entry(VA, 2);
    let table = named(pde);
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        pde.swap(0, SeqCst);
        invlpg(VA);
        lamprey::frame_free(table);
        let _ = user::read::<u64>(1 << 39 | VA >> 9);
    });
}

/// Set-up uses a page, and then changes its PTE: CPU 0 still has the old one.
#[lamprey::scenario(finds = "stale")]
fn page_cached_in_set_up() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let (old, new) = (frame(OLD), frame(NEW));
    let pte = tables.map(VA, old.pa(), USER);
    load_cr3(tables.root());
    let _ = user::read::<u64>(VA);
    pte.swap(new.pa() | USER, SeqCst);
    lamprey::cpu(0, || look_at(VA));
}

/// Set-up clears a PDE under the CR3 it has loaded: CPU 0 may still walk through the table.
#[lamprey::scenario(finds = "freed-table")]
fn table_cached_in_set_up() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    tables.map(VA, frame(OLD).pa(), USER);
    let pde = tables.entry(VA, 2);
    let table = named(pde);
    load_cr3(tables.root() | 1);
    pde.store(0, Relaxed);
    lamprey::cpu(0, move || lamprey::frame_free(table));
}

/// A page is freed while another CPU may keep the translation. Page and PTE are told by their names.
// found: CPU0 may keep 0x
// names: -> frame of page (pcid 1) since step
// writes: pte
#[lamprey::scenario(finds = "freed-frame")]
fn named_page_is_freed_without_a_flush() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let page = frame(OLD);
    let pte = tables.map(VA, page.pa(), USER);
    lamprey::name(pte, "pte");
    lamprey::name(page.words(), "page");
    lamprey::cpu(0, move || {
        load_cr3(tables.root() | 1);
        let _ = user::read::<u64>(VA);
    });
    lamprey::cpu(1, move || {
        pte.swap(0, SeqCst);
        lamprey::frame_free(page.pa());
    });
}

/// Two CPUs each drop the reference that they take for the last.
// found: frame 0x
#[lamprey::scenario(finds = "freed-twice")]
fn page_is_freed_twice() {
    lamprey::page_tables(4);
    let page = paging::frame();
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || lamprey::frame_free(page.pa()));
    }
}

/// Set-up has freed it before.
#[lamprey::scenario(finds = "freed-twice")]
fn page_of_set_up_is_freed_twice() {
    lamprey::page_tables(4);
    let page = paging::frame();
    lamprey::frame_free(page.pa());
    lamprey::cpu(0, move || lamprey::frame_free(page.pa()));
}
