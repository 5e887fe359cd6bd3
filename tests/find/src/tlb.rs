//! Entries that each operation may leave in a CPU's TLB and paging-structure caches (SDM vol. 3
//! §4.10.4.1). `tests/hold` has those that it must drop.

use lamprey::user;

use crate::cpu::{cr4, invlpg, load_cr3, load_cr4};
use crate::stale::Kept::{Global, Large, Page, ReadOnly, Table};
use crate::stale::{NOFLUSH, SMAP, SMEP, cell, cell_without_pcids, invpcid};

/// No operation: a page is kept.
#[lamprey::scenario(finds = "stale")]
fn nothing_page() {
    cell(Page, 1, 1, |_| {});
}

/// No operation: a global page is kept, for other PCIDs, too.
#[lamprey::scenario(finds = "stale")]
fn nothing_global() {
    cell(Global, 1, 2, |_| {});
}

/// No operation: a page is kept as it was, without the right to be written.
#[lamprey::scenario(finds = "stale")]
fn nothing_read_only() {
    cell(ReadOnly, 1, 1, |_| {});
}

/// No operation: a large page is kept.
#[lamprey::scenario(finds = "stale")]
fn nothing_large_page() {
    cell(Large, 1, 1, |_| {});
}

/// No operation: a table is kept.
#[lamprey::scenario(finds = "stale")]
fn nothing_tables() {
    cell(Table, 1, 1, |_| {});
}

/// INVLPG leaves other PCIDs alone.
#[lamprey::scenario(finds = "stale")]
fn invlpg_other_pcid() {
    cell(Page, 2, 1, |at| invlpg(at.va));
}

/// INVLPG leaves other pages.
#[lamprey::scenario(finds = "stale")]
fn invlpg_other_page() {
    cell(Page, 1, 1, |at| invlpg(at.va ^ 0x1000));
}

/// INVLPG leaves the paging-structure caches of other PCIDs.
#[lamprey::scenario(finds = "stale")]
fn invlpg_tables_of_other_pcid() {
    cell(Table, 2, 1, |at| invlpg(at.va));
}

/// INVLPG of an address that is not canonical drops nothing.
// warns: which is not canonical, invalidates nothing
#[lamprey::scenario(finds = "stale")]
fn invlpg_non_canonical() {
    cell(Page, 1, 1, |at| invlpg(at.va | 1 << 57));
}

/// INVPCID 0 leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn invpcid_address_global() {
    cell(Global, 2, 1, |at| invpcid(0, 2, at.va));
}

/// INVPCID 0 leaves other PCIDs alone, the current one, too.
#[lamprey::scenario(finds = "stale")]
fn invpcid_address_other_pcid() {
    cell(Page, 1, 1, |at| invpcid(0, 2, at.va));
}

/// INVPCID 0 leaves other pages.
#[lamprey::scenario(finds = "stale")]
fn invpcid_address_other_page() {
    cell(Page, 2, 1, |at| invpcid(0, 2, at.va ^ 0x1000));
}

/// INVPCID 0 leaves paging-structure caches for other addresses, unlike INVLPG.
#[lamprey::scenario(finds = "stale")]
fn invpcid_address_other_tables() {
    cell(Table, 2, 1, |at| invpcid(0, 2, at.va ^ 1 << 40));
}

/// INVPCID 1 leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn invpcid_context_global() {
    cell(Global, 2, 1, |_| invpcid(1, 2, 0));
}

/// INVPCID 1 leaves other PCIDs alone, the current one, too.
#[lamprey::scenario(finds = "stale")]
fn invpcid_context_other_pcid() {
    cell(Page, 1, 1, |_| invpcid(1, 2, 0));
}

/// INVPCID 1 leaves the paging-structure caches of other PCIDs.
#[lamprey::scenario(finds = "stale")]
fn invpcid_context_tables_of_other_pcid() {
    cell(Table, 1, 1, |_| invpcid(1, 2, 0));
}

/// INVPCID 3 leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn invpcid_but_global_global() {
    cell(Global, 2, 1, |_| invpcid(3, 0, 0));
}

/// MOV to CR3 without PCIDs leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn mov_cr3_without_pcids_global() {
    cell_without_pcids(Global, |at| load_cr3(at.root));
}

/// MOV to CR3 leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn mov_cr3_global() {
    cell(Global, 2, 1, |at| load_cr3(at.root | 2));
}

/// MOV to CR3 leaves pages of the PCID it comes from.
#[lamprey::scenario(finds = "stale")]
fn mov_cr3_other_pcid() {
    cell(Page, 1, 1, |at| load_cr3(at.root | 2));
}

/// MOV to CR3 leaves paging-structure caches of the PCID it comes from.
#[lamprey::scenario(finds = "stale")]
fn mov_cr3_tables_of_other_pcid() {
    cell(Table, 1, 1, |at| load_cr3(at.root | 2));
}

/// MOV to CR3 with bit 63 leaves pages.
#[lamprey::scenario(finds = "stale")]
fn noflush_page() {
    cell(Page, 1, 1, |at| load_cr3(at.root | 1 | NOFLUSH));
}

/// MOV to CR3 with bit 63 leaves global pages.
#[lamprey::scenario(finds = "stale")]
fn noflush_global() {
    cell(Global, 1, 1, |at| load_cr3(at.root | 1 | NOFLUSH));
}

/// MOV to CR3 with bit 63 leaves paging-structure caches.
#[lamprey::scenario(finds = "stale")]
fn noflush_tables() {
    cell(Table, 1, 1, |at| load_cr3(at.root | 1 | NOFLUSH));
}

/// CR4.SMEP is set: other PCIDs are left alone.
#[lamprey::scenario(finds = "stale")]
fn smep_other_pcid() {
    cell(Page, 2, 1, |_| load_cr4(cr4() | SMEP));
}

/// CR4.SMEP is set: global pages are left, which may be of other PCIDs.
#[lamprey::scenario(finds = "stale")]
fn smep_global() {
    cell(Global, 2, 1, |_| load_cr4(cr4() | SMEP));
}

/// CR4.SMAP is set: nothing is dropped.
#[lamprey::scenario(finds = "stale")]
fn smap() {
    cell(Page, 1, 1, |_| load_cr4(cr4() | SMAP));
}

/// #PF leaves other PCIDs alone.
#[lamprey::scenario(finds = "stale")]
fn fault_other_pcid() {
    cell(Page, 2, 1, |at| {
        load_cr3(at.empty | 1);
        lamprey::assume(user::read::<u64>(at.va).is_err());
    });
}

/// #PF leaves other pages.
#[lamprey::scenario(finds = "stale")]
fn fault_other_page() {
    cell(Page, 1, 1, |at| lamprey::assume(user::read::<u64>(at.va ^ 0x1000).is_err()));
}

/// #PF leaves global pages, which may be of other PCIDs, if they would not cause the fault again.
#[lamprey::scenario(finds = "stale")]
fn fault_global() {
    cell(Global, 2, 1, |at| {
        load_cr3(at.empty | 1);
        lamprey::assume(user::read::<u64>(at.va).is_err());
    });
}
