//! Correct code: no run may violate anything.

#![no_std]
#![no_main]

// One file for the three guests; each uses a part of it.
#[allow(dead_code)]
#[path = "../../cpu.rs"]
mod cpu;

#[allow(dead_code)]
#[path = "../../entry.rs"]
mod entry;

#[allow(dead_code)]
#[path = "../../shared.rs"]
mod shared;

#[allow(dead_code)]
#[path = "../../stacks_in_use.rs"]
mod stacks_in_use;

#[allow(dead_code)]
#[path = "../../stale.rs"]
mod stale;

mod algorithms;
mod atomics;
mod cr2;
mod features;
mod frames;
mod interrupts;
mod lam;
mod late;
mod nmi;
mod orders;
mod paging;
mod private;
mod rights;
mod stacks;
mod steering;
mod steps;
mod tables;
mod tlb;
mod tso;
mod unsent;
mod user_atomics;
mod x2apic;
