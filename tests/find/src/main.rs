//! Known bugs: each must be found.

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

mod accessed;
mod answers;
mod cr2;
mod ends;
mod faults;
mod features;
mod frames;
mod interrupts;
mod late;
mod locks;
mod lost_update;
mod nmi;
mod properties;
mod registers;
mod rights;
mod stacks;
mod steps;
mod switches;
mod tables;
mod tlb;
mod torn;
mod tso;
mod unsent;
mod user_access;
mod windows;
mod x2apic;
