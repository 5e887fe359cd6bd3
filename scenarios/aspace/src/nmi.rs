//! An NMI that reads user memory: if `user_access_ok` permits it, it reads that of the space,
//! and never a freed page.

use aspace::Core;
use lamprey::{cpu, mark, scenario, this_cpu};

use crate::machine::core_of;
use crate::paged::{ALL, Kernel, Paged};
use crate::process::{Process, sees, touch};

/// The contents of A's page and of B's.
const OF_A: u64 = 0xa;
const OF_B: u64 = 0xb;

/// A page of A is freed while CPU 0 comes to A and goes lazy on it; an NMI comes to either CPU.
#[scenario]
fn while_a_page_is_freed() {
    let kernel = Kernel::new(ALL);
    let process = Process::new("A");
    lamprey::nmi(1, move || {
        if !core_of(this_cpu()).user_access_ok(process.space) {
            mark!("it may not read");
        } else if touch() {
            mark!("it reads the page");
        } else {
            mark!("the page is gone");
        }
    });
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        Core::enter_lazy(&Paged);
    });
    cpu(1, move || {
        kernel.start();
        process.free_page();
    });
}

/// CPU 0 runs A, is lazy on it, runs B, and A again: an NMI reads the page of the one it asked for.
#[scenario]
fn while_switching() {
    let kernel = Kernel::new(ALL);
    let a = Process::new("A").holding(OF_A);
    let b = Process::new("B").holding(OF_B);
    lamprey::nmi(1, move || {
        let core = core_of(0);
        if core.user_access_ok(a.space) {
            sees(OF_A);
            mark!("it reads A's page");
        } else if core.user_access_ok(b.space) {
            sees(OF_B);
            mark!("it reads B's page");
        } else {
            mark!("it may not read");
        }
    });
    cpu(0, move || {
        kernel.start();
        a.switch_to();
        Core::enter_lazy(&Paged);
        b.switch_to();
        a.switch_to();
    });
}

/// CPU 0 leaves A for the kernel's own tables, which have no user half: an NMI does not take them for A's.
#[scenario]
fn while_leaving() {
    let kernel = Kernel::new(ALL);
    let process = Process::new("A").holding(OF_A);
    lamprey::nmi(1, move || {
        if core_of(0).user_access_ok(process.space) {
            sees(OF_A);
            mark!("it reads A's page");
        } else {
            mark!("it may not read");
        }
    });
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        Core::leave(&Paged);
    });
}
