//! A bare-metal guest that prints the behaviour of its processor, one line per check.
//!
//! A line is `group/name: result`; the result is what was observed (a vector, an error code, an
//! address), never whether that is right. So the outputs of two machines are compared line by line:
//! `cargo xtask cross-check`.
//!
//! # Start by a machine
//!
//! The image is an ELF64 file, linked at the physical addresses that it is loaded at, 1 MiB to 2
//! MiB. There are two CPUs.
//!
//! *Firmware or an emulator* enters CPU 0 by the PVH note, in 32-bit mode with flat segments and paging
//! off. The guest builds the state below and starts CPU 1 by INIT and start-up IPI.
//!
//! *Lamprey* enters every CPU at the symbol `lamprey_boot64`, in this state:
//!
//! | register | value |
//! |---|---|
//! | RIP | `lamprey_boot64` |
//! | RDI | number of the CPU, 0 or 1; other general registers are not read |
//! | RFLAGS | 2 |
//! | CR0 | 80010033H: PG, WP, NE, ET, MP, PE |
//! | CR3 | address of the symbol `boot_page_tables`; the image contains the complete tables |
//! | CR4 | 620H: OSXMMEXCPT, OSFXSR, PAE |
//! | EFER | NXE, LMA, LME, SCE |
//! | CS, SS | 64-bit code, data, CPL 0; the guest loads its own GDT, IDT, TSS and selectors first |
//! | local APIC | after reset |
//!
//! No stack is needed. Memory not in the image reads as zero; at least 2 MiB of it is used.
//!
//! # Requirements on a machine
//!
//! COM1 at 3F8H: OUT to the data register, IN of the line status at 3FDH, bit 5. The end is OUT of one
//! byte to port F4H: 10H after the last line, 11H after a panic. APIC registers as MSRs if CPUID
//! enumerates x2APIC, else at FEE00000H.
//!
//! # Invariants
//!
//! - Only CPU 0 prints, and every machine prints the same names in the same order. If a feature is
//!   missing the result is `absent`.
//! - Behaviour that the architecture leaves open (a stale translation, the moment of an interrupt)
//!   is not printed.
//! - Every instruction on the path from `lamprey_boot64` has a model in `crates/x86`.
#![no_std]
#![no_main]

mod apic;
mod canonical;
mod cpu;
mod dispatch;
mod interrupts;
mod ipi;
mod labels;
mod log;
mod nmi;
mod page;
mod pcid;
mod permissions;
mod privilege;
mod probe;
mod runtime;
mod segments;
mod serial;
mod tables;
mod tlb;
mod trap;

use core::arch::global_asm;

global_asm!(include_str!("disk.s"), options(att_syntax, raw));
global_asm!(include_str!("boot.s"), options(att_syntax, raw));
global_asm!(include_str!("trap.s"), options(att_syntax, raw));

unsafe extern "C" {
    /// Set to a value other than 0 on the path from the PVH note.
    static booted_by_firmware: u32;
}

/// The function that `lamprey_boot64` calls.
#[unsafe(no_mangle)]
extern "sysv64" fn start(cpu: usize) -> ! {
    tables::load(cpu);
    apic::enable(cpu);
    if cpu == 0 { first() } else { ipi::serve() }
}

fn first() -> ! {
    tables::fill_vectors();
    // SAFETY: written once, before this.
    if unsafe { (&raw const booted_by_firmware).read_volatile() } != 0 {
        serial::prepare();
        apic::start_the_other();
    }
    apic::wait_for_the_other();
    page::prepare();
    permissions::run();
    privilege::run();
    segments::run();
    pcid::run();
    canonical::run();
    tlb::run();
    interrupts::run();
    nmi::run();
    ipi::run();
    println!("end: all groups have run");
    serial::exit(0x10)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("panic: {info}");
    serial::exit(0x11)
}
