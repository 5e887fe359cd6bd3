//! The second patch of the RFC: compare on the lazy return. It fixes the reported case, breaks
//! something else, and does not cover the kernel thread that is not lazy.

use crate::property::{asid_names_mm_on, lam_mirror_holds_on};
use crate::situation;
use crate::variant::Patch2;

/// A CPU that was lazy on A returns to A's thread with LAM on.
#[lamprey::scenario(marks = ["the enabling call returned", "the thread ran on CPU 0"])]
fn lazy_kthread_keeps_mm() {
    situation::lazy_kthread_keeps_mm::<Patch2>();
}

/// But under an ASID that was never assigned: that of another address space.
#[lamprey::scenario(finds = "asid-names-mm", marks = ["the enabling call returned"])]
fn lazy_return_takes_an_unassigned_asid() {
    situation::lazy_kthread_keeps_mm::<Patch2>();
    asid_names_mm_on(0);
}

/// With one read CR3 and the CPU's copy of its LAM bits agree.
#[lamprey::scenario(marks = ["the kernel thread uses A", "the enabling call returned"])]
fn kthread_uses_mm_while_enabling() {
    situation::kthread_uses_mm_while_enabling::<Patch2>();
    lam_mirror_holds_on(0);
}

/// A kernel thread that uses A, not lazily, still faults: it never reaches the comparison.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<Patch2>();
}

/// Two CPUs that were lazy on A return to A's thread with LAM on.
#[lamprey::scenario(marks = ["the enabling call returned", "the thread ran on CPU 2"])]
fn two_lazy_kthreads() {
    situation::two_lazy_kthreads::<Patch2>();
}
