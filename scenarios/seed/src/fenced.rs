//! The merged code, with a full barrier in the enabling call between the store of the mask and the
//! read of A's cpumask: either the enabling CPU finds the bit of a CPU that joins, or that CPU
//! finds the new mask. Everything holds, on every CPU, with store buffers, too.

use crate::property::{asid_names_mm_on, lam_mirror_holds_on};
use crate::situation;
use crate::variant::Fenced;

/// A CPU that is lazy on A is told of LAM and returns to A's thread with it on.
#[lamprey::scenario(marks = ["the enabling call returned", "the thread ran on CPU 0"])]
fn lazy_kthread_keeps_mm() {
    situation::lazy_kthread_keeps_mm::<Fenced>();
    all_of(2);
}

/// With the objection's one thread everything holds, too.
#[lamprey::scenario(
    marks = ["the enabling call returned", "the thread has left CPU 1", "the thread ran on CPU 0"]
)]
fn single_threaded() {
    situation::lazy_kthread_and_one_thread::<Fenced>();
}

/// CR3 and each CPU's copy of its LAM bits agree, on the enabling CPU, too.
#[lamprey::scenario(marks = ["the kernel thread uses A", "the enabling call returned"])]
fn kthread_uses_mm_while_enabling() {
    situation::kthread_uses_mm_while_enabling::<Fenced>();
    all_of(2);
}

/// A kernel thread that uses A follows a tagged pointer that it receives.
#[lamprey::scenario(
    marks = ["the enabling call returned", "the kernel thread followed the pointer"]
)]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<Fenced>();
    all_of(2);
}

/// Two CPUs that are lazy on A are told of LAM and return to A's thread with it on.
#[lamprey::scenario(marks = ["the enabling call returned", "the thread ran on CPU 2"])]
fn two_lazy_kthreads() {
    situation::two_lazy_kthreads::<Fenced>();
}

fn all_of(cpus: usize) {
    for n in 0..cpus {
        lam_mirror_holds_on(n);
        asid_names_mm_on(n);
    }
}
