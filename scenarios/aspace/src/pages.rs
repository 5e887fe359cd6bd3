//! A page is freed as soon as `flush` returns: no CPU may use it through its TLB, on any path by
//! which the CPU comes back to the space.

use aspace::{Config, Core};
use lamprey::{cpu, mark, paging, scenario};

use crate::paged::{ALL, Kernel, Paged};
use crate::process::{Process, touch};

/// CPU 0 goes lazy on A and comes back, and uses A's page before and after.
#[scenario(marks = ["used", "used again", "gone after it was used"])]
fn freed_while_lazy() {
    free(ALL, paging::USER, Core::enter_lazy);
}

/// The same without lazy mode: in between CPU 0 is on the kernel's own tables.
#[scenario(marks = ["used", "used again", "gone after it was used"])]
fn freed_without_lazy_mode() {
    free(Config { lazy: false, ..ALL }, paging::USER, Core::enter_lazy);
}

/// The same without PCIDs: each switch flushes.
#[scenario(marks = ["used", "used again", "gone after it was used"])]
fn freed_without_pcids() {
    free(Config { pcid: false, ..ALL }, paging::USER, Core::leave);
}

/// CPU 0 leaves A and comes back under the same PCID: old translations are used only if no flush
/// came between.
#[scenario(marks = ["used", "used again", "gone after it was used"])]
fn freed_while_away() {
    free(ALL, paging::USER, Core::leave);
}

/// CPU 0 runs B in between, under a PCID of its own.
#[scenario(marks = ["used", "used again", "gone after it was used"])]
fn freed_while_another_runs() {
    let kernel = Kernel::new(ALL);
    let (process, other) = (Process::new("A"), Process::new("B"));
    use_and_free(kernel, process, move || other.switch_to());
}

/// The kernel breaks the contract: A's page is global. A MOV to CR3 leaves it in the TLB, so `flush`
/// is of no use.
///
/// Found with `adversarial` and `retain`, under both models.
#[scenario(finds = "freed-frame")]
fn global_page() {
    free(ALL, paging::USER | paging::G, Core::enter_lazy);
}

/// Maps A's page with `flags`; between its two uses CPU 0 does `pause`.
fn free(config: Config, flags: u64, pause: fn(&Paged)) {
    let kernel = Kernel::new(config);
    let process = Process::with_page("A", flags);
    use_and_free(kernel, process, move || pause(&Paged));
}

/// Lets CPU 0 use the process's page, do something else, and use it again, while CPU 1 frees it.
fn use_and_free(kernel: Kernel, process: Process, pause: impl Fn() + Send + 'static) {
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        let used = touch();
        if used {
            mark!("used");
        }
        pause();
        process.switch_to();
        match (used, touch()) {
            (true, true) => mark!("used again"),
            (true, false) => mark!("gone after it was used"),
            _ => {}
        }
    });
    cpu(1, move || {
        kernel.start();
        process.switch_to();
        process.free_page();
    });
}
