//! Linux 6.8, before the series. Everything that was suspected does happen.

use crate::property::lam_mirror_holds_on;
use crate::situation;
use crate::variant::Before;

/// The mail: a CPU that was lazy on A returns to A's thread with LAM off in CR3.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn lazy_kthread_keeps_mm() {
    situation::lazy_kthread_keeps_mm::<Before>();
}

/// "I don't think it is possible", for the process has one thread: it has, and it happens.
#[lamprey::scenario(
    finds = "lam-at-user-point",
    marks = ["the enabling call returned", "the thread has left CPU 1"]
)]
fn single_threaded_so_it_cannot_happen() {
    situation::lazy_kthread_and_one_thread::<Before>();
}

/// The mask is read twice: CR3 and the CPU's copy of its LAM bits come to differ.
#[lamprey::scenario(finds = "lam-mirror")]
fn kthread_uses_mm_while_enabling() {
    situation::kthread_uses_mm_while_enabling::<Before>();
    lam_mirror_holds_on(0);
}

/// A kernel thread that uses A, not lazily, faults on a tagged pointer that it receives.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<Before>();
}

/// The mail with a second lazy CPU.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn two_lazy_kthreads() {
    situation::two_lazy_kthreads::<Before>();
}
