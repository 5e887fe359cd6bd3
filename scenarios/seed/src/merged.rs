//! The merged code: the enabling call interrupts every CPU that has A loaded and waits; a CPU reads
//! the mask once, after it has joined A's cpumask.
//!
//! On a machine without store buffers (`--model sc`) everything holds here. With them it does not. The
//! enabling CPU stores the mask, and reads the cpumask while that store is still in its store buffer. A
//! CPU that joins in between sets its bit, reads the old mask, and gets no interrupt. It is the
//! store-buffering litmus test (SDM vol. 3 §8.2.3.4): a store and a load of another word on one side
//! without a fence between them.
//!
//! This holds for *this re-creation*, made from the published description: plain stores of the mm's
//! fields, then `on_each_cpu_mask` on its cpumask. With one LOCKed or serialising instruction in
//! between, in code that the description leaves out or a compiler put there, it cannot happen. The image
//! of a kernel shows whether it has one. [`fenced`](crate::fenced) is the same with a barrier there.

use crate::property::{asid_names_mm_on, lam_mirror_holds_on};
use crate::situation;
use crate::variant::Merged;

/// A CPU that becomes lazy on A while the new mask is in the enabling CPU's store buffer is not told of
/// LAM, and returns to A's thread with it off.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn lazy_kthread_keeps_mm() {
    situation::lazy_kthread_keeps_mm::<Merged>();
    all_of(2);
}

/// One thread is enough for that: the other CPU runs a kernel thread.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn single_threaded() {
    situation::lazy_kthread_and_one_thread::<Merged>();
}

/// CR3 and each CPU's copy of its LAM bits agree, on the enabling CPU, too.
#[lamprey::scenario(marks = ["the kernel thread uses A", "the enabling call returned"])]
fn kthread_uses_mm_while_enabling() {
    situation::kthread_uses_mm_while_enabling::<Merged>();
    all_of(2);
}

/// A kernel thread that begins to use A at that moment faults on a tagged pointer that it receives.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn kthread_running_gets_tagged_pointer() {
    situation::kthread_running_gets_tagged_pointer::<Merged>();
    all_of(2);
}

/// A second lazy CPU changes nothing.
#[lamprey::scenario(finds = "lam-at-user-point", marks = ["the enabling call returned"])]
fn two_lazy_kthreads() {
    situation::two_lazy_kthreads::<Merged>();
}

fn all_of(cpus: usize) {
    for n in 0..cpus {
        lam_mirror_holds_on(n);
        asid_names_mm_on(n);
    }
}
