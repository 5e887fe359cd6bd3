//! Flushes: of users, of lazy CPUs, from two sides.

use aspace::Core;
use aspace::x86_64::IrqGuard;
use lamprey::{cpu, mark, scenario};

use crate::machine::Machine;
use crate::scene::{Scene, switch_to_another, switch_to_kthread};
use crate::translations::{self, edit_and, nobody_walks_old_tables};

/// A CPU that uses A is never behind a flush that has returned, wherever the flush finds it.
#[scenario]
fn flush_with_user() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.switch_to();
        translations::are_fresh();
    });
    cpu(1, move || flush_once(scene));
    lamprey::finally(|| mark!("the flush returned"));
}

/// A CPU that goes lazy on A is left alone, and is not behind when it comes back.
#[scenario]
fn flush_with_lazy_target() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.switch_to();
        switch_to_kthread();
        scene.switch_to();
        translations::are_fresh();
        mark!("back from lazy mode");
    });
    cpu(1, move || flush_once(scene));
}

/// A CPU comes back to A from the kernel's tables: what its TLB kept under A's PCID is used only if no
/// flush came between.
#[scenario]
fn flush_while_coming_back() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.switch_to();
        Core::leave(&Machine);
        scene.switch_to();
        translations::are_fresh();
        mark!("back under the same PCID");
    });
    cpu(1, move || flush_once(scene));
}

/// A CPU comes to A from a space whose generation is ahead of A's: one is not taken for the other.
#[scenario]
fn flush_while_coming_from_another() {
    let scene = Scene::new(2);
    let other = Scene::another();
    cpu(0, move || {
        scene.start();
        switch_to_another(other);
        other.flush(&Machine);
        scene.switch_to();
        translations::are_fresh();
        mark!("came from B");
    });
    cpu(1, move || flush_once(scene));
}

/// A CPU leaves A at the moment at which another comes to it, and then flushes A from outside: the other
/// is not overlooked.
#[scenario]
fn flush_after_leaving() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.switch_to();
        Core::leave(&Machine);
        edit_and(|| scene.space.flush(&Machine));
        mark!("the flush returned");
    });
    cpu(1, move || {
        scene.start();
        scene.switch_to();
        translations::are_fresh();
    });
}

/// A flush of tables drives a lazy CPU off: when it returns, no lazy CPU is on them.
#[scenario]
fn flush_tables_with_lazy_target() {
    let scene = Scene::new(2);
    cpu(0, move || {
        scene.start();
        scene.borrow_and_give_back();
    });
    cpu(1, move || {
        scene.start();
        scene.switch_to();
        edit_and(|| scene.space.flush_tables(&Machine));
        translations::are_fresh();
        nobody_walks_old_tables(scene.space, 2);
        mark!("the flush returned");
    });
}

/// Two CPUs that use A flush it at the same time: both return, and neither is behind.
#[scenario]
fn two_initiators() {
    let scene = Scene::new(2);
    for n in 0..2 {
        cpu(n, move || flush_once(scene));
    }
    lamprey::finally(|| mark!("both flushes returned"));
}

/// The same with interrupts off on both: neither takes the other's interrupt, and both return.
#[scenario]
fn two_initiators_with_interrupts_off() {
    let scene = Scene::new(2);
    for n in 0..2 {
        cpu(n, move || {
            scene.start();
            scene.switch_to();
            let guard = IrqGuard::new();
            edit_and(|| scene.space.flush(&Machine));
            drop(guard);
            translations::are_fresh();
        });
    }
    lamprey::finally(|| mark!("both flushes returned"));
}

/// Runs A's thread here, which changes the page tables and flushes.
fn flush_once(scene: Scene) {
    scene.start();
    scene.switch_to();
    edit_and(|| scene.space.flush(&Machine));
    translations::are_fresh();
}
