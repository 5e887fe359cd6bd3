//! The end of a space.

use aspace::{Core, InUse};
use lamprey::{cpu, mark, scenario};

use crate::machine::Machine;
use crate::property::nobody_is_on;
use crate::scene::{Scene, Signal, switch_to_another};

/// The last thread of A ends while another CPU is lazy on A: after `retire` no CPU is on its tables.
#[scenario]
fn retire_with_lazy_cpu() {
    let scene = Scene::new(2);
    let lazy = Signal::new("cpu0_is_lazy");
    cpu(0, move || {
        scene.start();
        scene.borrow_and_give_back();
        lazy.give();
    });
    cpu(1, move || {
        scene.start();
        scene.switch_to();
        lazy.wait();
        Core::leave(&Machine);
        let retired = scene.space.retire(&Machine);
        lamprey::require!(retired.is_ok(), "retire", "a space without users is said to be in use");
        nobody_is_on(scene.space, 2);
        mark!("the space is retired");
    });
}

/// A kernel thread gives A back at the very moment at which A is retired: `Ok` is never too early.
#[scenario]
fn retire_while_unusing() {
    let scene = Scene::new(2);
    let last_user = Signal::new("cpu0_is_the_last_user");
    cpu(0, move || {
        scene.start();
        scene.use_space();
        last_user.give();
        scene.unuse_space();
    });
    cpu(1, move || match retire_after(scene, last_user) {
        Ok(()) => mark!("the space is retired"),
        Err(InUse) => mark!("the kernel thread was not done"),
    });
}

/// The last user of A goes over to B at the very moment at which A is retired.
#[scenario]
fn retire_while_leaving() {
    let scene = Scene::new(2);
    let other = Scene::another();
    let last_user = Signal::new("cpu0_is_the_last_user");
    cpu(0, move || {
        scene.start();
        scene.switch_to();
        last_user.give();
        switch_to_another(other);
    });
    cpu(1, move || match retire_after(scene, last_user) {
        Ok(()) => mark!("the space is retired"),
        Err(InUse) => mark!("its user was not gone"),
    });
}

/// Retires A once its last user is known; after `Ok` no CPU is on its tables.
fn retire_after(scene: Scene, last_user: Signal) -> Result<(), InUse> {
    scene.start();
    last_user.wait();
    scene.space.retire(&Machine)?;
    nobody_is_on(scene.space, 2);
    Ok(())
}
