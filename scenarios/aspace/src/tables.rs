//! Tables are freed as soon as `flush_tables` or `retire` returns: no CPU may walk through them, at
//! any moment.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, SeqCst};

use aspace::{Config, Core, InUse};
use lamprey::{cpu, mark, scenario};

use crate::paged::{ALL, Kernel, Paged};
use crate::process::{Process, touch};
use crate::scene::Signal;

/// A table of A is freed while CPU 0 comes to A, uses it, and goes lazy on it.
#[scenario(marks = ["used", "gone"])]
fn freed_under_a_lazy_cpu() {
    free_table(ALL, |_| Core::enter_lazy(&Paged));
}

/// The same without PCIDs, where the kernel's own tables have the PCID of A's.
#[scenario(marks = ["used", "gone"])]
fn freed_under_a_lazy_cpu_without_pcids() {
    free_table(Config { pcid: false, ..ALL }, |_| Core::enter_lazy(&Paged));
}

/// A table of A is freed while CPU 0 goes over to B and comes back. What it keeps under A's PCID may lead
/// to the table, which does no harm while B runs, and must be gone when A runs again.
#[scenario(marks = ["used", "gone"])]
fn freed_while_a_cpu_is_elsewhere() {
    let kernel = Kernel::new(ALL);
    let (process, other) = (Process::new("A"), Process::new("B"));
    free_table_of(kernel, process, move |process| {
        other.switch_to();
        process.switch_to();
    });
}

/// Without PCIDs CPU 0 leaves A for the kernel's own tables: nothing of A's may be left in its TLB.
#[scenario(marks = ["used", "gone"])]
fn freed_after_leaving_without_pcids() {
    free_table(Config { pcid: false, ..ALL }, |_| Core::leave(&Paged));
}

/// A has ended on CPU 0, which goes lazy on it at the very moment at which its root is freed.
#[scenario]
fn root_freed_while_going_lazy() {
    let kernel = Kernel::new(ALL);
    let process = Process::new("A");
    let ended = Signal::new("process_ended");
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        ended.give();
        Core::enter_lazy(&Paged);
    });
    cpu(1, move || {
        kernel.start();
        ended.wait();
        match process.space.retire(&Paged) {
            Ok(()) => {
                process.free_root();
                mark!("the root is freed");
            }
            Err(InUse) => mark!("CPU 0 was not lazy yet"),
        }
    });
}

/// The kernel breaks the contract that no CPU will switch to A any more: CPU 0's switch begins
/// before `retire` returns, and joins after `retire` has looked. The root is freed under it.
///
/// Found with `adversarial`, under both models: CPU 0 need not use the tables that it loads.
#[scenario(finds = "freed-table")]
fn switch_while_retiring() {
    let kernel = Kernel::new(ALL);
    let process = Process::new("A");
    let returned = lamprey::new(AtomicBool::new(false));
    lamprey::name(returned, "retire_returned");
    cpu(0, move || {
        kernel.start();
        if !returned.load(Acquire) {
            process.switch_to();
        }
    });
    cpu(1, move || {
        kernel.start();
        let in_use = process.space.retire(&Paged).is_err();
        // SeqCst, a locked instruction: visible before the root is freed.
        returned.store(true, SeqCst);
        if !in_use {
            process.free_root();
        }
    });
}

/// Lets CPU 0 use A and then do `next`, while CPU 1 frees a table of A.
fn free_table(config: Config, next: fn(Process)) {
    let kernel = Kernel::new(config);
    free_table_of(kernel, Process::new("A"), next);
}

fn free_table_of(kernel: Kernel, process: Process, next: impl Fn(Process) + Send + 'static) {
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        if touch() {
            mark!("used");
        } else {
            mark!("gone");
        }
        next(process);
    });
    cpu(1, move || {
        kernel.start();
        process.free_table();
    });
}
