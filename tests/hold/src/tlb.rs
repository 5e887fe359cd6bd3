//! Entries that each operation must drop from a CPU's TLB and paging-structure caches (SDM vol. 3
//! §4.10.4.1). `tests/find` has those that it may leave.

use lamprey::user;

use crate::cpu::{cr4, invlpg, load_cr3, load_cr4};
use crate::stale::Kept::{Global, Large, Page, ReadOnly, Table};
use crate::stale::{PGE, SMEP, cell, cell_without_pcids, invpcid, toggle_cr4, toggle_pcide};

/// INVLPG: the page, under the current PCID.
#[lamprey::scenario]
fn invlpg_page() {
    cell(Page, 1, 1, |at| invlpg(at.va));
}

/// INVLPG: a global page, under whichever PCID it was cached.
#[lamprey::scenario]
fn invlpg_global() {
    cell(Global, 2, 1, |at| invlpg(at.va));
}

/// INVLPG of one address of a large page: all of it.
#[lamprey::scenario]
fn invlpg_large_page() {
    cell(Large, 1, 1, |at| invlpg(at.va ^ 0x1_0000));
}

/// INVLPG of any address: all paging-structure caches of the current PCID.
#[lamprey::scenario]
fn invlpg_tables() {
    cell(Table, 1, 1, |at| invlpg(at.va ^ 1 << 40));
}

/// INVPCID 0: the page, under the PCID given.
#[lamprey::scenario]
fn invpcid_address_page() {
    cell(Page, 2, 1, |at| invpcid(0, 2, at.va));
}

/// INVPCID 0: the paging-structure caches for the address.
#[lamprey::scenario]
fn invpcid_address_tables() {
    cell(Table, 2, 1, |at| invpcid(0, 2, at.va));
}

/// INVPCID 1: all pages under the PCID given.
#[lamprey::scenario]
fn invpcid_context_page() {
    cell(Page, 2, 1, |_| invpcid(1, 2, 0));
}

/// INVPCID 1: its paging-structure caches.
#[lamprey::scenario]
fn invpcid_context_tables() {
    cell(Table, 2, 1, |_| invpcid(1, 2, 0));
}

/// INVPCID 2: pages under every PCID.
#[lamprey::scenario]
fn invpcid_all_page() {
    cell(Page, 2, 1, |_| invpcid(2, 0, 0));
}

/// INVPCID 2: global pages.
#[lamprey::scenario]
fn invpcid_all_global() {
    cell(Global, 2, 1, |_| invpcid(2, 0, 0));
}

/// INVPCID 2: all paging-structure caches.
#[lamprey::scenario]
fn invpcid_all_tables() {
    cell(Table, 2, 1, |_| invpcid(2, 0, 0));
}

/// INVPCID 3: pages under every PCID.
#[lamprey::scenario]
fn invpcid_but_global_page() {
    cell(Page, 2, 1, |_| invpcid(3, 0, 0));
}

/// INVPCID 3: all paging-structure caches.
#[lamprey::scenario]
fn invpcid_but_global_tables() {
    cell(Table, 2, 1, |_| invpcid(3, 0, 0));
}

/// MOV to CR3 without PCIDs: pages.
#[lamprey::scenario]
fn mov_cr3_without_pcids_page() {
    cell_without_pcids(Page, |at| load_cr3(at.root));
}

/// MOV to CR3 without PCIDs: paging-structure caches.
#[lamprey::scenario]
fn mov_cr3_without_pcids_tables() {
    cell_without_pcids(Table, |at| load_cr3(at.root));
}

/// MOV to CR3: pages under the new PCID.
#[lamprey::scenario]
fn mov_cr3_page() {
    cell(Page, 2, 1, |at| load_cr3(at.root | 2));
}

/// MOV to CR3: paging-structure caches of the new PCID.
#[lamprey::scenario]
fn mov_cr3_tables() {
    cell(Table, 2, 1, |at| load_cr3(at.root | 2));
}

/// CR4.PGE changes: pages under every PCID.
#[lamprey::scenario]
fn pge_page() {
    cell(Page, 2, 1, |_| toggle_cr4(PGE));
}

/// CR4.PGE changes: global pages.
#[lamprey::scenario]
fn pge_global() {
    cell(Global, 2, 1, |_| toggle_cr4(PGE));
}

/// CR4.PGE changes: all paging-structure caches.
#[lamprey::scenario]
fn pge_tables() {
    cell(Table, 2, 1, |_| toggle_cr4(PGE));
}

/// CR4.PCIDE is cleared: pages under every PCID.
#[lamprey::scenario]
fn pcide_page() {
    cell(Page, 2, 1, toggle_pcide);
}

/// CR4.PCIDE is cleared: global pages.
#[lamprey::scenario]
fn pcide_global() {
    cell(Global, 2, 1, toggle_pcide);
}

/// CR4.PCIDE is cleared: all paging-structure caches.
#[lamprey::scenario]
fn pcide_tables() {
    cell(Table, 2, 1, toggle_pcide);
}

/// CR4.SMEP is set: pages under the current PCID.
#[lamprey::scenario]
fn smep_page() {
    cell(Page, 1, 1, |_| load_cr4(cr4() | SMEP));
}

/// CR4.SMEP is set: paging-structure caches of the current PCID.
#[lamprey::scenario]
fn smep_tables() {
    cell(Table, 1, 1, |_| load_cr4(cr4() | SMEP));
}

/// #PF: the page, under the current PCID.
#[lamprey::scenario]
fn fault_page() {
    cell(ReadOnly, 1, 1, |at| lamprey::assume(user::write(at.va, 2u64).is_err()));
}

/// #PF: the paging-structure caches used for the address.
#[lamprey::scenario]
fn fault_tables() {
    cell(Table, 1, 1, |at| lamprey::assume(user::read::<u64>(at.va).is_err()));
}
