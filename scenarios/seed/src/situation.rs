//! The actions of the CPUs. A scenario is one of these with one [`Variant`].

use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64};

use lamprey::{mark, note};

use crate::lam::{prctl_enable_tagged_addr, set_up_calls};
use crate::mm::{Mm, set_up};
use crate::property::{TAGGED, user_point};
use crate::switch::{kthread_unuse_mm, kthread_use_mm};
use crate::thread::{RunQueue, Thread, switch_to_kthread, switch_to_user};
use crate::variant::Variant;

/// Runs the mail's interleaving. A kernel thread on CPU 0 borrows A and gives it back, lazily; the
/// only thread of A turns LAM on, on CPU 1, and is migrated to CPU 0.
pub(crate) fn lazy_kthread_keeps_mm<V: Variant>() {
    let mm = begin::<V>();
    let queue = run_queue("cpu0.queue");
    let thread = Thread::only_one_of(mm);
    lamprey::cpu(0, move || {
        borrow_and_give_back::<V>(mm);
        let thread = queue.take();
        run_user::<V>(&thread);
        mark!("the thread ran on CPU 0");
    });
    lamprey::cpu(1, move || {
        enable::<V>(&thread);
        switch_to_kthread();
        note!("the only thread of A is migrated to CPU 0");
        queue.put(thread);
    });
}

/// Runs [`lazy_kthread_keeps_mm`] for the objection that the process is single-threaded: notes the
/// location of the one thread, and checks that it is never in two places.
pub(crate) fn lazy_kthread_and_one_thread<V: Variant>() {
    let mm = begin::<V>();
    let queue = run_queue("cpu0.queue");
    let thread = Thread::only_one_of(mm);
    let on_cpu0 = lamprey::new(AtomicBool::new(false));
    let on_cpu1 = lamprey::new(AtomicBool::new(true));
    lamprey::name(on_cpu0, "thread_on_cpu0");
    lamprey::name(on_cpu1, "thread_on_cpu1");
    lamprey::always(move || {
        let twice = on_cpu0.load(Relaxed) && on_cpu1.load(Relaxed);
        lamprey::require!(!twice, "one-user-thread", "A runs on two CPUs");
    });
    lamprey::cpu(0, move || {
        note!("CPU 0 runs a kernel thread, not a thread of A");
        borrow_and_give_back::<V>(mm);
        let thread = queue.take();
        on_cpu0.store(true, Relaxed);
        note!("the only thread of A is on CPU 0 now, and nowhere else");
        run_user::<V>(&thread);
        mark!("the thread ran on CPU 0");
    });
    lamprey::cpu(1, move || {
        note!("CPU 1 runs the only thread of A");
        enable::<V>(&thread);
        switch_to_kthread();
        on_cpu1.store(false, Relaxed);
        queue.put(thread);
        mark!("the thread has left CPU 1");
    });
}

/// Lets a kernel thread on CPU 0 begin to use A while A's thread turns LAM on, on CPU 1. Checks
/// nothing by itself: the scenario adds a property.
pub(crate) fn kthread_uses_mm_while_enabling<V: Variant>() {
    let mm = begin::<V>();
    let thread = Thread::only_one_of(mm);
    lamprey::cpu(0, move || {
        kthread_use_mm::<V>(mm);
        mark!("the kernel thread uses A");
    });
    lamprey::cpu(1, move || enable::<V>(&thread));
}

/// Lets a kernel thread on CPU 0 use A all the time, as vhost's do. A's thread turns LAM on, on CPU
/// 1, and hands it a tagged pointer. No lazy CPU, no migration.
pub(crate) fn kthread_running_gets_tagged_pointer<V: Variant>() {
    let mm = begin::<V>();
    let thread = Thread::only_one_of(mm);
    let request = lamprey::new(AtomicU64::new(0));
    lamprey::name(request, "request");
    lamprey::cpu(0, move || {
        kthread_use_mm::<V>(mm);
        let pointer = loop {
            match request.load(Acquire) {
                0 => spin_loop(),
                pointer => break pointer,
            }
        };
        note!("the kernel thread has a pointer to work on");
        user_point(mm, pointer);
        mark!("the kernel thread followed the pointer");
        kthread_unuse_mm();
    });
    lamprey::cpu(1, move || {
        enable::<V>(&thread);
        request.store(TAGGED, Release);
    });
}

/// Lets kernel threads on CPU 0 and CPU 2 borrow A and give it back. A's thread turns LAM on, on
/// CPU 1, and is migrated to CPU 0 and then to CPU 2.
pub(crate) fn two_lazy_kthreads<V: Variant>() {
    let mm = begin::<V>();
    let (to_cpu0, to_cpu2) = (run_queue("cpu0.queue"), run_queue("cpu2.queue"));
    let thread = Thread::only_one_of(mm);
    lamprey::cpu(0, move || {
        borrow_and_give_back::<V>(mm);
        let thread = to_cpu0.take();
        run_user::<V>(&thread);
        switch_to_kthread();
        to_cpu2.put(thread);
    });
    lamprey::cpu(1, move || {
        enable::<V>(&thread);
        switch_to_kthread();
        to_cpu0.put(thread);
    });
    lamprey::cpu(2, move || {
        borrow_and_give_back::<V>(mm);
        let thread = to_cpu2.take();
        run_user::<V>(&thread);
        mark!("the thread ran on CPU 2");
    });
}

fn begin<V: Variant>() -> &'static Mm {
    if V::IPI {
        set_up_calls();
    }
    set_up()
}

fn run_queue(name: &str) -> &'static RunQueue {
    let queue = lamprey::new(RunQueue::new());
    lamprey::name(queue, name);
    queue
}

/// Runs a kernel thread, from `kthread_use_mm` to `kthread_unuse_mm`. The CPU is lazy on A after it.
fn borrow_and_give_back<V: Variant>(mm: &'static Mm) {
    kthread_use_mm::<V>(mm);
    kthread_unuse_mm();
}

/// Runs `thread` here, which turns LAM on.
fn enable<V: Variant>(thread: &Thread) {
    switch_to_user::<V>(thread);
    prctl_enable_tagged_addr::<V>(thread).expect("nobody locked LAM before");
    note!("the enabling call returned");
    mark!("the enabling call returned");
    user_point(thread.mm(), TAGGED);
}

/// Runs `thread` here, for which LAM is on, and follows a tagged pointer.
fn run_user<V: Variant>(thread: &Thread) {
    switch_to_user::<V>(thread);
    user_point(thread.mm(), TAGGED);
}
