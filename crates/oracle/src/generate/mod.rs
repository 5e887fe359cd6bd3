//! Random programs, by class: each class makes what it is about likely.

mod build;
mod carried;
mod flags;
mod interrupts;
mod memory;
mod paging;
mod several;

use paging::Kind;

use crate::program::Program;
use crate::random::Random;

/// What programs are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Loads, stores, LOCKed and plain read-modify-writes, fences; 8 bytes wide.
    Memory,
    /// The same in all widths and at all places, across words, too.
    Widths,
    /// Locks, waits, checks of values.
    Locks,
    /// Interrupts with called handlers, windows between CLI and STI.
    Interrupts,
    /// HLT, and what wakes from it.
    Halt,
    /// Raw handlers, which look at frames and registers.
    Raw,
    /// Messages by the x2APIC, priorities, EOI.
    Apic,
    /// NMIs, sent and unsent.
    Nmi,
    /// Page tables and TLBs: stores to entries, INVLPG, frames that are freed.
    Pages,
    /// PCIDs, MOV to CR3, INVPCID, global pages.
    Pcids,
    /// LAM.
    Lam,
    /// Rights of all levels, SMEP.
    Rights,
    /// CR2, which handlers overwrite.
    Cr2,
    /// Repeated string instructions, CMPXCHG16B.
    Several,
    /// Values carried from word to word, behind conditions and choices.
    Carried,
    /// Invariants and final checks.
    Checks,
    /// Flags A and D of page-table entries.
    Flags,
    /// Ends that take certain switches.
    Switches,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 18] = [
        Class::Memory,
        Class::Widths,
        Class::Locks,
        Class::Interrupts,
        Class::Halt,
        Class::Raw,
        Class::Apic,
        Class::Nmi,
        Class::Pages,
        Class::Pcids,
        Class::Lam,
        Class::Rights,
        Class::Cr2,
        Class::Several,
        Class::Carried,
        Class::Checks,
        Class::Flags,
        Class::Switches,
    ];

    /// What it is called on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Class::Memory => "memory",
            Class::Widths => "widths",
            Class::Locks => "locks",
            Class::Interrupts => "interrupts",
            Class::Halt => "halt",
            Class::Raw => "raw",
            Class::Apic => "apic",
            Class::Nmi => "nmi",
            Class::Pages => "pages",
            Class::Pcids => "pcids",
            Class::Lam => "lam",
            Class::Rights => "rights",
            Class::Cr2 => "cr2",
            Class::Several => "several",
            Class::Carried => "carried",
            Class::Checks => "checks",
            Class::Flags => "flags",
            Class::Switches => "switches",
        }
    }
}

/// The program of that class that belongs to `seed`.
pub fn generate(class: Class, seed: u64) -> Program {
    let mut random = Random::new(seed ^ (class as u64) << 56);
    // Neighbouring seeds begin alike otherwise.
    random.below(1);
    match class {
        Class::Memory => memory::plain(&mut random, false),
        Class::Widths => memory::plain(&mut random, true),
        Class::Locks => memory::locks(&mut random),
        Class::Interrupts => interrupts::called(&mut random),
        Class::Halt => interrupts::halt(&mut random),
        Class::Raw => interrupts::raw(&mut random),
        Class::Apic => interrupts::apic(&mut random),
        Class::Nmi => interrupts::nmi(&mut random),
        Class::Pages => paging::tables(&mut random, Kind::Pages),
        Class::Pcids => paging::tables(&mut random, Kind::Pcids),
        Class::Lam => paging::tables(&mut random, Kind::Lam),
        Class::Rights => paging::tables(&mut random, Kind::Rights),
        Class::Cr2 => paging::tables(&mut random, Kind::Cr2),
        Class::Several => several::several(&mut random),
        Class::Carried => carried::carried(&mut random),
        Class::Checks => carried::checks(&mut random),
        Class::Flags => flags::flags(&mut random),
        Class::Switches => carried::switches(&mut random),
    }
}
