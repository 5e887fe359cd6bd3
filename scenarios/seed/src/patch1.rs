//! The first patch of the RFC: the mask is read once. CR3 and its copy agree; both can be old.

use crate::property::lam_mirror_holds_on;
use crate::situation;
use crate::variant::Patch1;

/// A CPU that was lazy on A still returns to A's thread with LAM off.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn lazy_kthread_keeps_mm() {
    situation::lazy_kthread_keeps_mm::<Patch1>();
}

/// With one read CR3 and the CPU's copy of its LAM bits agree.
#[lamprey::scenario(marks = ["the kernel thread uses A", "the enabling call returned"])]
fn kthread_uses_mm_while_enabling() {
    situation::kthread_uses_mm_while_enabling::<Patch1>();
    lam_mirror_holds_on(0);
}

/// A kernel thread that uses A, not lazily, still faults on a tagged pointer that it receives.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<Patch1>();
}

/// A second lazy CPU changes nothing.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn two_lazy_kthreads() {
    situation::two_lazy_kthreads::<Patch1>();
}
