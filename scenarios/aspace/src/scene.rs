//! A space, the machine, and the actions of the CPUs on them.

use core::hint::spin_loop;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Release};

use aspace::{Config, Core, Lam, Root, Space};

use crate::machine::{self, Machine};
use crate::{property, translations};

/// A space and the kernel's own tables. The space is never freed, so every switch to it is allowed.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) space: &'static Space,
    kernel: Root,
}

impl Scene {
    /// Builds the scene, in set-up. `cr3-mirror` is checked on the first `cpus` CPUs: every change
    /// of CR3 and of the interrupt flag there is a step then, which costs states.
    pub(crate) fn new(cpus: usize) -> Self {
        machine::set_up();
        translations::set_up();
        property::mirror_holds(cpus);
        let (kernel, root) = (new_root("kernel"), new_root("A"));
        let space = lamprey::new(Space::new(root));
        lamprey::name(space, "space_a");
        translations::watch(space);
        // The first switch would do it otherwise, on the CPU that comes first.
        let _ = space.ctx_id();
        lamprey::name_value(1 << 61, "LAM_U57");
        Self { space, kernel }
    }

    /// Builds a second space, in set-up.
    pub(crate) fn another() -> &'static Space {
        let space = lamprey::new(Space::new(new_root("B")));
        lamprey::name(space, "space_b");
        let _ = space.ctx_id();
        space
    }

    /// Starts the crate on this CPU, before anything else on it: set-up runs on CPU 0 alone and
    /// could not do it for the others.
    pub(crate) fn start(self) {
        let config = Config { pcid: true, lazy: true, lam: true };
        // SAFETY: the tables stay; CPUs start with CR4.PCIDE set, have LAM, and have no space.
        unsafe { Core::start(&Machine, self.kernel, config) };
    }

    /// Switches to a thread of the space, as the scheduler does.
    pub(crate) fn switch_to(self) {
        // SAFETY: the space is never freed.
        unsafe { Core::switch_to(&Machine, self.space) };
    }

    /// Borrows the space for a kernel thread.
    pub(crate) fn use_space(self) {
        // SAFETY: the space is never freed.
        unsafe { Core::use_space(&Machine, self.space) };
    }

    /// Gives the space back; the CPU is lazy then.
    pub(crate) fn unuse_space(self) {
        Core::unuse_space(&Machine, self.space);
    }

    /// Borrows the space for a kernel thread and gives it back.
    pub(crate) fn borrow_and_give_back(self) {
        self.use_space();
        self.unuse_space();
    }

    /// Runs the space's thread here, which turns LAM on.
    pub(crate) fn enable_lam(self) {
        self.switch_to();
        self.space.enable_lam(&Machine, Lam::U57).expect("LAM is there and not locked");
        lamprey::note!("the enabling call returned");
        property::user_point(self.space, property::TAGGED);
    }

    /// Runs the space's thread here, for which LAM is on, and follows a tagged pointer.
    pub(crate) fn run_tagged(self) {
        self.switch_to();
        property::user_point(self.space, property::TAGGED);
    }
}

/// Switches this CPU to a thread of `space`, which is [another](Scene::another), as the scheduler does.
pub(crate) fn switch_to_another(space: &'static Space) {
    // SAFETY: no space here is ever freed.
    unsafe { Core::switch_to(&Machine, space) };
}

pub(crate) fn new_root(name: &str) -> Root {
    let pa = lamprey::physical_address(lamprey::alloc(4096, 4096));
    lamprey::name_root(pa, name);
    Root::new(pa)
}

/// Switches this CPU to a kernel thread, as the scheduler does.
pub(crate) fn switch_to_kthread() {
    Core::enter_lazy(&Machine);
}

/// A message from one CPU to another, sent once: "the thread is yours".
#[derive(Clone, Copy)]
pub(crate) struct Signal(&'static AtomicBool);

impl Signal {
    pub(crate) fn new(name: &str) -> Self {
        let flag = lamprey::new(AtomicBool::new(false));
        lamprey::name(flag, name);
        Self(flag)
    }

    pub(crate) fn give(self) {
        self.0.store(true, Release);
    }

    pub(crate) fn wait(self) {
        while !self.0.load(Acquire) {
            spin_loop();
        }
    }
}
