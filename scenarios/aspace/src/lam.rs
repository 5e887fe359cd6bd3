//! The questions of the seed.

use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Release};

use lamprey::{cpu, mark, scenario};

use crate::property::{TAGGED, lam_is_that_of, user_point};
use crate::scene::{Scene, Signal, switch_to_kthread};

/// A CPU that is lazy on A gets A's thread, for which LAM was turned on elsewhere.
#[scenario]
fn lazy_return() {
    let scene = Scene::new(2);
    let to_cpu0 = Signal::new("thread_to_cpu0");
    cpu(0, move || {
        scene.start();
        scene.borrow_and_give_back();
        to_cpu0.wait();
        scene.run_tagged();
        mark!("the thread ran on CPU 0");
    });
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
        switch_to_kthread();
        to_cpu0.give();
    });
}

/// A kernel thread begins to use A while LAM is turned on; when both are done, it has LAM.
#[scenario]
fn use_space_while_enabling() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.use_space();
    });
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
    });
    lamprey::finally(move || {
        mark!("both are done");
        lam_is_that_of(scene.space, 0);
        lam_is_that_of(scene.space, 1);
    });
}

/// A kernel thread that uses A, not lazily, follows a tagged pointer it is handed.
#[scenario]
fn running_kthread_gets_tagged_pointer() {
    let scene = Scene::new(2);
    let request = lamprey::new(AtomicU64::new(0));
    lamprey::name(request, "request");
    cpu(0, move || {
        scene.start();
        scene.use_space();
        let pointer = loop {
            match request.load(Acquire) {
                0 => spin_loop(),
                pointer => break pointer,
            }
        };
        user_point(scene.space, pointer);
        mark!("the kernel thread followed the pointer");
        scene.unuse_space();
    });
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
        request.store(TAGGED, Release);
    });
}

/// Two CPUs are lazy on A; its thread turns LAM on on a third, and visits one after the other.
#[scenario]
fn two_lazy_kthreads() {
    let scene = Scene::new(3);
    let (to_cpu0, to_cpu2) = (Signal::new("thread_to_cpu0"), Signal::new("thread_to_cpu2"));
    cpu(0, move || {
        scene.start();
        scene.borrow_and_give_back();
        to_cpu0.wait();
        scene.run_tagged();
        switch_to_kthread();
        to_cpu2.give();
    });
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
        switch_to_kthread();
        to_cpu0.give();
    });
    cpu(2, move || {
        scene.start();
        scene.borrow_and_give_back();
        to_cpu2.wait();
        scene.run_tagged();
        mark!("the thread ran on CPU 2");
    });
}
