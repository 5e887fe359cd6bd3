//! Translations that a flush on this CPU leaves in its TLB. One CPU is enough.
//!
//! A CPU has few PCIDs in use and many processes, so a PCID gets another owner at times. A MOV to CR3 with
//! bit 63 set flushes nothing, without it the new PCID, but no global pages; INVLPG flushes one
//! address (SDM vol. 3 §4.10.4.1).

use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;

use lamprey::{paging, user};

use crate::arch::{LAM_U57, NOFLUSH, invlpg, load_cr3};
use crate::process::{PCID, Process, VA, touch};

/// The first word of page A, and that of page B.
const OF_A: u64 = 0xa;
const OF_B: u64 = 0xb;

/// The PCID of A is given to B, and nothing is flushed: B reads A's page.
///
/// Found with `adversarial` and `retain`, under both models.
#[lamprey::scenario(finds = "wrong-address-space")]
fn reused_without_flush() {
    switch_between_two(paging::USER, |slot, process| {
        slot.owner.set(process.tables.root());
        load_cr3(process.tables.root() | PCID | NOFLUSH);
    });
}

/// A new owner's first switch flushes; only an owner that comes back keeps what is cached.
#[lamprey::scenario(marks = ["a new owner", "the same owner"])]
fn flushed_for_a_new_owner() {
    switch_between_two(paging::USER, switch);
}

/// As it should be, but A's page is global: a MOV to CR3 leaves it in the TLB, for every PCID.
///
/// Found with `adversarial` and `retain`, under both models.
#[lamprey::scenario(finds = "wrong-address-space")]
fn global_user_page() {
    switch_between_two(paging::USER | paging::G, switch);
}

/// The owner of the PCID.
struct Slot {
    /// Physical address of its root; 0 at first.
    owner: Cell<u64>,
}

/// Switches processes correctly.
fn switch(slot: &Slot, process: &Process) {
    let root = process.tables.root();
    if slot.owner.replace(root) == root {
        lamprey::mark!("the same owner");
        load_cr3(root | PCID | NOFLUSH);
    } else {
        lamprey::mark!("a new owner");
        load_cr3(root | PCID);
    }
}

/// Runs A, a kernel thread, A again, then B; each must see its own page.
fn switch_between_two(flags: u64, switch: impl Fn(&Slot, &Process) + Send + 'static) {
    let (a, b) = (Process::new(flags), Process::new(flags));
    let kernel = paging::PageTables::new();
    a.page.words()[0].store(OF_A, Relaxed);
    b.page.words()[0].store(OF_B, Relaxed);
    lamprey::name_root(a.tables.root(), "A");
    lamprey::name_root(b.tables.root(), "B");
    lamprey::name_root(kernel.root(), "kernel");
    lamprey::cpu(0, move || {
        let slot = Slot { owner: Cell::new(0) };
        switch(&slot, &a);
        sees(OF_A);
        load_cr3(kernel.root());
        switch(&slot, &a);
        sees(OF_A);
        switch(&slot, &b);
        sees(OF_B);
    });
}

/// Checks that the process that runs reads its page.
fn sees(expected: u64) {
    let word = user::read::<u64>(VA).unwrap_or(0);
    lamprey::require!(
        word == expected,
        "wrong-address-space",
        "a process reads {word:#x} from another one's page; its own has {expected:#x}"
    );
    lamprey::mark!("read");
}

/// A page is unmapped by the pointer that the process gave, with a tag in it. INVLPG masks no tags:
/// the address is not canonical, and nothing is flushed (LAM §7.5).
///
/// Found with `adversarial` and `retain`, under both models.
#[lamprey::scenario(finds = "freed-frame")]
fn invlpg_of_a_tagged_address() {
    unmap_by_pointer(|pointer| pointer);
}

/// The tag is removed first.
#[lamprey::scenario(marks = ["the page is used", "the page is gone"])]
fn invlpg_of_an_untagged_address() {
    unmap_by_pointer(|pointer| pointer & ((1 << 57) - 1));
}

fn unmap_by_pointer(untag: impl FnOnce(u64) -> u64 + Send + 'static) {
    let process = Process::only_one();
    let pointer = VA | 0x2a << 57;
    lamprey::cpu(0, move || {
        load_cr3(process.tables.root() | PCID | LAM_U57);
        touch();
        process.clear_pte();
        invlpg(untag(pointer));
        process.free_page();
        if user::read::<u64>(pointer).is_err() {
            lamprey::mark!("the page is gone");
        }
    });
}
