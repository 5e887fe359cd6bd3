//! The questions of the seed, and the order of events at a change of the mode.

use core::hint::spin_loop;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use aspace::{Lam, LamError, Space};
use lamprey::{cpu, mark, require_eq, scenario};

use crate::machine::Machine;
use crate::property::{TAGGED, lam_is_that_of, user_point};
use crate::scene::{Scene, Signal, new_root, switch_to_another, switch_to_kthread};

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

/// Two kernel threads begin to use A at the very moment at which LAM is turned on.
#[scenario]
fn two_use_space_while_enabling() {
    let scene = Scene::new(0);
    for n in [0, 2] {
        cpu(n, move || {
            scene.start();
            scene.use_space();
        });
    }
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
    });
    lamprey::finally(move || {
        mark!("all are done");
        (0..3).for_each(|n| lam_is_that_of(scene.space, n));
    });
}

/// A kernel thread that uses A, not lazily, follows a tagged pointer that it receives.
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

/// Two CPUs are lazy on A, one of them from an earlier moment, the other from any moment on; its
/// thread turns LAM on, on a third CPU, and visits one after the other.
#[scenario]
fn two_lazy_kthreads() {
    let scene = Scene::new(3);
    let cpu2_is_lazy = Signal::new("cpu2_is_lazy");
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
        cpu2_is_lazy.wait();
        scene.enable_lam();
        switch_to_kthread();
        to_cpu0.give();
    });
    cpu(2, move || {
        scene.start();
        scene.borrow_and_give_back();
        cpu2_is_lazy.give();
        to_cpu2.wait();
        scene.run_tagged();
        mark!("the thread ran on CPU 2");
    });
}

/// Two enabling calls at the same time: one of them succeeds, and the other gets an error.
#[scenario]
fn two_enabling_calls() {
    let scene = Scene::new(0);
    let enabled = lamprey::new(AtomicU64::new(0));
    for n in 0..2 {
        cpu(n, move || {
            scene.start();
            match scene.space.enable_lam(&Machine, Lam::U57) {
                Ok(()) => enabled.fetch_add(1, Relaxed),
                Err(_) => enabled.fetch_add(0x100, Relaxed),
            };
        });
    }
    lamprey::finally(move || {
        mark!("both returned");
        require_eq!(enabled.load(Relaxed), 0x101, "enabled-once", "not one won and one was told");
    });
}

/// The mode is locked at the very moment at which LAM is turned on: whichever comes second, LAM stays as
/// the first left it.
#[scenario]
fn lock_while_enabling() {
    let scene = Scene::new(0);
    let enabled = lamprey::new(AtomicU64::new(0));
    cpu(0, move || {
        scene.start();
        if scene.space.enable_lam(&Machine, Lam::U57).is_ok() {
            enabled.store(1, Relaxed);
        }
    });
    cpu(1, move || scene.space.lock_lam());
    lamprey::finally(move || {
        let is_on = scene.space.lam().is_some();
        match enabled.load(Relaxed) {
            0 => mark!("locked first"),
            _ => mark!("enabled first"),
        }
        require_eq!(
            u64::from(is_on),
            enabled.load(Relaxed),
            "mode-stays",
            "the mode changed again"
        );
    });
}

/// A forks at the very moment at which LAM is turned on in it: the child has A's mode, for good, or none
/// and may choose.
#[scenario]
fn fork_while_enabling() {
    let scene = Scene::new(0);
    let root = new_root("child");
    cpu(0, move || {
        scene.start();
        let child = lamprey::new(Space::forked(root, scene.space));
        match child.enable_lam(&Machine, Lam::U57) {
            Ok(()) => mark!("forked first"),
            Err(LamError::Locked) => mark!("enabled first"),
            Err(LamError::Unsupported) => {}
        }
        switch_to_another(child);
        user_point(child, TAGGED);
    });
    cpu(1, move || {
        scene.start();
        scene.enable_lam();
    });
}
