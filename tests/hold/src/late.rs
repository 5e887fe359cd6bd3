//! Words that the search discovers late to be shared: stores that were left out before must not
//! look like an order of stores that no CPU sees.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use lamprey::paging::{self, PageTables, USER};
use lamprey::user;

use crate::cpu::{cli, hlt, load_cr3};
use crate::shared::words;

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// Lets CPU 1 store three words; the first opens the way to the others.
fn three_stores(words: &'static [AtomicU64; 3]) {
    lamprey::cpu(1, move || words.iter().for_each(|word| word.store(1, Relaxed)));
}

/// The third word is not seen without the second.
#[lamprey::scenario]
fn third_word_after_the_second() {
    let stored = words();
    let [first, second, third] = stored;
    lamprey::cpu(0, move || {
        let _ = second.load(Relaxed);
        if first.load(Relaxed) == 1 && third.load(Relaxed) == 1 {
            lamprey::mark!("the third");
            lamprey::require!(second.load(Relaxed) == 1, "order", "it came before the second");
        }
    });
    three_stores(stored);
}

/// A CPU that would sleep for ever if the third word were seen without the second never does.
#[lamprey::scenario]
fn no_deadlock_by_the_third_word() {
    let stored = words();
    let [first, second, third] = stored;
    lamprey::cpu(0, move || {
        let _ = second.load(Relaxed);
        if first.load(Relaxed) == 1 && third.load(Relaxed) == 1 {
            lamprey::mark!("the third");
            if second.load(Relaxed) == 0 {
                cli();
                hlt();
            }
        }
    });
    three_stores(stored);
}

/// A consumer that looks at the slot between the flag and the payload.
#[lamprey::scenario]
fn slot_and_payload() {
    let stored = words();
    let [ready, slot, payload] = stored;
    lamprey::cpu(0, move || {
        if ready.load(Relaxed) == 1 {
            let _ = slot.load(Relaxed);
            if payload.load(Relaxed) == 1 {
                lamprey::mark!("the payload");
                lamprey::require!(slot.load(Relaxed) == 1, "order", "it came before the slot");
            }
        }
    });
    three_stores(stored);
}

/// ISA2, with the reader first: each word is discovered only after the one before.
#[lamprey::scenario]
fn chain_of_three_cpus() {
    let [x, y, z] = words();
    lamprey::cpu(0, move || {
        if z.load(Relaxed) == 1 {
            lamprey::mark!("the end of the chain");
            lamprey::require!(x.load(Relaxed) == 1, "order", "its begin is not there");
        }
    });
    lamprey::cpu(1, move || {
        if y.load(Relaxed) == 1 {
            z.store(1, Relaxed);
        }
    });
    lamprey::cpu(2, move || {
        x.store(1, Relaxed);
        y.store(1, Relaxed);
    });
}

/// A word that only a handler makes shared.
#[lamprey::scenario]
fn word_of_a_handler() {
    let [x, y, z] = words();
    lamprey::handler(VECTOR, move || {
        if y.load(Relaxed) == 1 {
            lamprey::mark!("after both stores");
            lamprey::require!(x.load(Relaxed) == 1, "order", "the second without the first");
            z.store(1, Relaxed);
        }
    });
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        y.store(1, Relaxed);
        if z.load(Relaxed) == 1 {
            lamprey::require!(x.load(Relaxed) == 1, "forwarding", "its own store is not there");
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Lets CPU 0 store to a page and then a flag; CPU 1 runs `reader` with the flag and the page's word.
fn message_in_user_memory(reader: fn(flag: &AtomicU64, data: &AtomicU64)) {
    lamprey::page_tables(4);
    let (tables, page) = (PageTables::new(), paging::frame());
    tables.map(VA, page.pa(), USER);
    load_cr3(tables.root());
    let [flag] = words();
    lamprey::cpu(0, move || {
        let _ = user::write(VA, 1u64);
        flag.store(1, Relaxed);
    });
    lamprey::cpu(1, move || reader(flag, &page.words()[0]));
}

/// MP by a store to user memory, through page tables.
#[lamprey::scenario(marks = ["both"])]
fn message_in_user_memory_always_read() {
    message_in_user_memory(|flag, data| {
        let (flag, data) = (flag.load(Relaxed), data.load(Relaxed));
        lamprey::require!(flag <= data, "order", "the flag without the data");
        if flag == 1 {
            lamprey::mark!("both");
        }
    });
}

/// The same, where the data is read only if the flag is set.
#[lamprey::scenario(marks = ["both"])]
fn message_in_user_memory_read_if_there() {
    message_in_user_memory(|flag, data| {
        if flag.load(Relaxed) == 1 {
            lamprey::mark!("both");
            lamprey::require!(data.load(Relaxed) == 1, "order", "the flag without the data");
        }
    });
}
