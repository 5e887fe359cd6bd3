//! Non-maskable interrupts: one is latched while they are blocked, and any IRET ends the blocking (SDM
//! vol. 3 §6.7).

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::apic::{self, To};
use crate::tables::{self, cpu_of};
use crate::trap::Frame;
use crate::{cpu, ipi, log, print, println};

/// The actions of the first NMI of a test.
const NOTHING: u64 = 0;
const SEND_TWO: u64 = 1;
const SEND_AND_RETURN_FROM_ANOTHER: u64 = 2;
static PLAN: AtomicU64 = AtomicU64::new(NOTHING);
/// The number of NMI handlers of CPU 0 that have begun and not ended.
static DEPTH: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Handles vector 2.
pub(crate) fn handle(frame: &Frame) {
    let cpu = cpu_of((&raw const *frame).addr() as u64);
    ipi::count(cpu, frame.vector);
    if cpu == 1 {
        return;
    }
    let depth = DEPTH.fetch_add(1, Relaxed) + 1;
    log::note([depth, frame.rip, 0]);
    match PLAN.swap(NOTHING, Relaxed) {
        SEND_TWO => {
            apic::send_nmi(To::Cpu(0));
            apic::send_nmi(To::Cpu(0));
            log::note([0xf, 0, 0]);
        }
        SEND_AND_RETURN_FROM_ANOTHER => {
            apic::send_nmi(To::Cpu(0));
            log::note([0xe, 0, 0]);
            cpu::software_interrupt_83();
            wait_for(2);
            log::note([0xf, 0, 0]);
        }
        _ => {}
    }
    DEPTH.fetch_sub(1, Relaxed);
    TAKEN.fetch_add(1, Relaxed);
}

/// Waits until `begun` handlers have begun in all.
fn wait_for(begun: u64) {
    while TAKEN.load(Relaxed) + DEPTH.load(Relaxed) < begun {}
}

/// Runs `plan` with an NMI to this CPU, and prints the depths at which handlers ran: `f` is the end of
/// the first, `e` a point within it.
fn line(name: &str, plan: u64, expected: u64) {
    log::forget();
    TAKEN.store(0, Relaxed);
    PLAN.store(plan, Relaxed);
    apic::send_nmi(To::Cpu(0));
    while TAKEN.load(Relaxed) < expected {}
    print!("nmi/{name}:");
    log::print();
}

pub(crate) fn run() {
    line("if-off", NOTHING, 1);
    cpu::interrupts_on();
    line("if-on", NOTHING, 1);
    cpu::interrupts_off();
    line("latched-once", SEND_TWO, 2);
    tables::nest_nmis(true);
    line("unblocked-by-any-iret", SEND_AND_RETURN_FROM_ANOTHER, 2);
    tables::nest_nmis(false);
    println!("nmi/left-over: {}", TAKEN.load(Relaxed));
}
