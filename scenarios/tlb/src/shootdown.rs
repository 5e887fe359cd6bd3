//! A page is unmapped and freed while another CPU runs the process.
//!
//! CPU 0 runs a thread of the process, CPU 1 another that gives a page back, as `munmap` does.
//! INVLPG reaches CPU 1 alone. Until CPU 0 has flushed, too, the page may not be given to another
//! user (SDM vol. 3 §4.10.5).

use crate::arch::invlpg;
use crate::process::{Process, Shootdown, VA, touch};

/// The page is freed, and CPU 0 was not told.
///
/// Found with `adversarial` and `retain`, under both models.
#[lamprey::scenario(finds = "freed-frame")]
fn nobody_is_told() {
    let process = Process::only_one();
    lamprey::cpu(0, move || {
        process.enter();
        touch();
        touch();
    });
    lamprey::cpu(1, move || {
        process.enter();
        process.clear_pte();
        invlpg(VA);
        process.free_page();
    });
}

/// CPU 0 is told by an interrupt, but the page is freed before it has answered.
///
/// Found with `adversarial` and `retain`, under both models.
#[lamprey::scenario(finds = "freed-frame")]
fn nobody_waits() {
    unmap(|shootdown| shootdown.send(0));
}

/// CPU 0 is told by an interrupt, and answers before the page is freed.
#[lamprey::scenario]
fn other_cpu_answers() {
    unmap(|shootdown| {
        shootdown.send(0);
        shootdown.wait();
        lamprey::mark!("CPU 0 has flushed");
    });
}

/// Lets CPU 1 take the page away, do `flush_others`, and free the page.
fn unmap(flush_others: impl FnOnce(Shootdown) + Send + 'static) {
    let process = Process::only_one();
    let shootdown = Shootdown::new();
    lamprey::cpu(0, move || {
        process.enter();
        touch();
        touch();
    });
    lamprey::cpu(1, move || {
        process.enter();
        process.clear_pte();
        invlpg(VA);
        flush_others(shootdown);
        process.free_page();
    });
}
