//! Interrupts between the two CPUs (SDM vol. 3 §10.6).

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::apic::{self, To};
use crate::{cpu, log, println};

/// The number of times that each CPU has taken an interrupt: NMIs first, then vectors 40H to 7FH.
static COUNTS: [[AtomicU64; 65]; 2] = [const { [const { AtomicU64::new(0) }; 65] }; 2];
/// A vector that CPU 1 answers with an interrupt to CPU 0.
const ANSWERED: u64 = 0x48;
const ANSWER: u64 = 0x49;

fn cell(cpu: usize, vector: u64) -> &'static AtomicU64 {
    let place = if vector == 2 { 0 } else { vector as usize - 0x40 + 1 };
    &COUNTS[cpu][place]
}

/// Counts `vector`, taken by `cpu`.
pub(crate) fn count(cpu: usize, vector: u64) {
    cell(cpu, vector).fetch_add(1, SeqCst);
}

/// Handles `vector` on CPU 1.
pub(crate) fn handle(vector: u64) {
    count(1, vector);
    if vector == ANSWERED {
        apic::send(To::Cpu(0), ANSWER as u32);
    }
}

/// Runs CPU 1 outside handlers.
pub(crate) fn serve() -> ! {
    loop {
        cpu::sleep();
    }
}

/// Sends, waits until CPU 1 has taken `taken` and CPU 0 `here`, and prints both counts.
fn line(name: &str, vector: u64, to: To, here: u64) {
    let before = [0, 1].map(|cpu| cell(cpu, vector).load(SeqCst));
    match vector {
        2 => apic::send_nmi(to),
        _ => apic::send(to, vector as u32),
    }
    let since = |cpu: usize| cell(cpu, vector).load(SeqCst) - before[cpu];
    while since(1) < 1 || since(0) < here {
        core::hint::spin_loop();
    }
    println!("ipi/{name}: cpu0={} cpu1={}", since(0), since(1));
}

pub(crate) fn run() {
    cpu::interrupts_on();
    log::forget();
    line("fixed", 0x44, To::Cpu(1), 0);
    line("all-but-self", 0x45, To::Others, 0);
    line("all", 0x46, To::All, 1);
    line("nmi", 2, To::Cpu(1), 0);
    line("nmi-all-but-self", 2, To::Others, 0);
    let before = cell(0, ANSWER).load(SeqCst);
    line("answered", ANSWERED, To::Cpu(1), 0);
    while cell(0, ANSWER).load(SeqCst) == before {
        core::hint::spin_loop();
    }
    println!("ipi/answer: cpu0={}", cell(0, ANSWER).load(SeqCst) - before);
    cpu::interrupts_off();
}
