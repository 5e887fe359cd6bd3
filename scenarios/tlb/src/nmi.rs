//! An NMI that reads user memory in the middle of a switch.
//!
//! A profiler's NMI looks at the user stack of the task it interrupts. In a switch from A to B there is
//! a moment at which CR3 is B's and the task is still A. `nmi_uaccess_okay` of Linux detects it by
//! comparing the task with `loaded_mm`, a per-CPU word for the mm in CR3; it holds *switching* from
//! before the change of CR3 until after it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use lamprey::{paging, user};

use crate::process::{Process, VA};

/// `loaded_mm` and `current`: A, B, or neither.
const A: u64 = 0xa;
const B: u64 = 0xb;
const SWITCHING: u64 = !0;

/// The handler reads without asking: between the change of CR3 and that of the task it takes B's memory
/// for A's.
///
/// Found with every `--tlb`, under both models: no flush is missing.
#[lamprey::scenario(finds = "wrong-address-space")]
fn reads_without_asking() {
    switch(|_| true, true);
}

/// The handler asks, but `loaded_mm` still says A when CR3 is B's already.
///
/// Found with every `--tlb`, under both models.
#[lamprey::scenario(finds = "wrong-address-space")]
fn no_word_for_switching() {
    switch(Cpu::nmi_uaccess_okay, false);
}

/// The handler asks, and `loaded_mm` says *switching* while CR3 changes.
#[lamprey::scenario(marks = ["A's memory", "B's memory", "it may not read"])]
fn asks_and_is_told() {
    switch(Cpu::nmi_uaccess_okay, true);
}

/// The state that a CPU has about itself.
struct Cpu {
    /// The owner of the tables in CR3.
    loaded_mm: AtomicU64,
    /// The owner of the running task.
    current: AtomicU64,
}

impl Cpu {
    fn nmi_uaccess_okay(&self) -> bool {
        self.loaded_mm.load(Relaxed) == self.current.load(Relaxed)
    }
}

/// Lets CPU 0 run A, then B. One NMI comes at any moment; its handler reads user memory if `okay`.
fn switch(okay: impl Fn(&Cpu) -> bool + Sync + 'static, says_switching: bool) {
    let (a, b) = (Process::new(paging::USER), Process::new(paging::USER));
    a.page.words()[0].store(A, Relaxed);
    b.page.words()[0].store(B, Relaxed);
    lamprey::name_root(a.tables.root(), "A");
    lamprey::name_root(b.tables.root(), "B");
    lamprey::name_value(A, "A");
    lamprey::name_value(B, "B");
    lamprey::name_value(SWITCHING, "SWITCHING");
    let cpu = lamprey::new(Cpu { loaded_mm: AtomicU64::new(0), current: AtomicU64::new(A) });
    lamprey::name(cpu, "cpu0");
    lamprey::nmi(1, move || {
        if okay(cpu) {
            // Page faults are handled: 0 stands for a fault.
            let word = user::read::<u64>(VA).unwrap_or(0);
            look(word, cpu.current.load(Relaxed));
        } else {
            lamprey::mark!("it may not read");
        }
    });
    lamprey::cpu(0, move || {
        cpu.loaded_mm.store(SWITCHING, Relaxed);
        a.enter();
        cpu.loaded_mm.store(A, Relaxed);
        // The switch. NMIs come with interrupts off, too.
        if says_switching {
            cpu.loaded_mm.store(SWITCHING, Relaxed);
        }
        b.enter();
        cpu.loaded_mm.store(B, Relaxed);
        cpu.current.store(B, Relaxed);
    });
}

/// Checks the `word` that the NMI has read for the task `current`.
fn look(word: u64, current: u64) {
    match word {
        A => lamprey::mark!("A's memory"),
        B => lamprey::mark!("B's memory"),
        _ => {}
    }
    lamprey::require!(
        word == current || word == 0,
        "wrong-address-space",
        "an NMI reads user memory of another process than the task's"
    );
}
