//! Operations of CPUs on each other: flush, LAM, retirement.

use crate::sim::{ALL, KERNEL, Sim};
use aspace::{Config, Core, CpuId, CpuSet, InUse, Lam, LamError, Root, Space};

fn cpus(numbers: &[u32]) -> CpuSet {
    numbers.iter().fold(CpuSet::EMPTY, |set, &n| set.with(CpuId::new(n)))
}

fn end(sim: &Sim, spaces: &[&Space], all: u32) {
    for cpu in 0..all {
        sim.on(cpu, Core::leave);
    }
    for space in spaces {
        assert_eq!(sim.on(0, |hw| space.retire(hw)), Ok(()));
    }
}

const A: u64 = 0x10_0000;
const B: u64 = 0x20_0000;

fn space(root: u64) -> Space {
    Space::new(Root::new(root))
}

#[test]
fn a_flush_reaches_users_and_spares_the_rest() {
    let (sim, a, b) = (Sim::new(4, ALL), space(A), space(B));
    for cpu in [0, 1, 2] {
        sim.switch(cpu, &a);
        assert!(sim.sees(cpu, &a));
    }
    sim.switch(3, &b);
    sim.lazy(2);
    sim.edit(&a);
    assert!(!sim.sees(1, &a));
    sim.on(0, |hw| a.flush(hw));
    assert_eq!(sim.kicked.get(), cpus(&[1]));
    assert!(sim.sees(0, &a) && sim.sees(1, &a));
    // The lazy CPU finds the new generation when it returns.
    assert_eq!(sim.writes_in(2, |sim| sim.switch(2, &a)), 1);
    assert!(sim.sees(2, &a));
    end(&sim, &[&a, &b], 4);
}

#[test]
fn a_flush_of_tables_drives_lazy_cpus_off() {
    let (sim, a) = (Sim::new(2, ALL), space(A));
    sim.switch(0, &a);
    sim.switch(1, &a);
    sim.lazy(1);
    sim.on(0, |hw| a.flush_tables(hw));
    assert_eq!(sim.kicked.get(), cpus(&[1]));
    assert_eq!(sim.cr3(1).bits(), KERNEL.pa());
    assert_eq!(a.loaded_on(), cpus(&[0]));
    end(&sim, &[&a], 2);
}

#[test]
fn an_initiator_that_is_lazy_itself_leaves() {
    let (sim, a) = (Sim::new(1, ALL), space(A));
    sim.switch(0, &a);
    sim.lazy(0);
    sim.on(0, |hw| a.flush(hw));
    assert_eq!(sim.cr3(0).bits(), KERNEL.pa());
    end(&sim, &[&a], 1);
}

#[test]
fn a_target_that_leaves_before_the_kick_arrives_is_not_waited_for() {
    let (sim, a, b) = (Sim::new(2, ALL), Box::leak(Box::new(space(A))), space(B));
    let a: &'static Space = a;
    sim.switch(0, a);
    sim.switch(1, a);
    assert!(sim.sees(1, a));
    sim.edit(a);
    *sim.before_kick.borrow_mut() = Some(Box::new(|sim| sim.on(1, Core::leave)));
    sim.on(0, |hw| a.flush(hw));
    // Never delivered: no CPU needed it.
    assert_eq!(sim.pending.get(), cpus(&[1]));
    sim.switch(1, a);
    assert!(sim.sees(1, a));
    sim.switch(1, &b);
    end(&sim, &[a, &b], 2);
}

#[test]
fn late_merged_and_idle_kicks_do_nothing() {
    let (sim, a) = (Sim::new(2, ALL), space(A));
    sim.on(1, Core::on_kick);
    sim.switch(1, &a);
    let idle = sim.writes_in(1, |sim| sim.on(1, Core::on_kick));
    assert_eq!(idle, 0);
    sim.on(0, |hw| {
        a.flush(hw);
        a.flush(hw);
    });
    assert_eq!(sim.writes_in(1, |sim| sim.on(1, Core::on_kick)), 0);
    end(&sim, &[&a], 2);
}

#[test]
fn an_initiator_interrupted_by_another_flush_waits_for_its_own() {
    let (sim, a) = (Sim::new(3, ALL), Box::leak(Box::new(space(A))));
    let a: &'static Space = a;
    for cpu in 0..3 {
        sim.switch(cpu, a);
        assert!(sim.sees(cpu, a));
    }
    sim.edit(a);
    *sim.before_kick.borrow_mut() = Some(Box::new(|sim| {
        sim.edit(a);
        sim.on(1, |hw| a.flush(hw));
        assert!((0..3).all(|cpu| sim.sees(cpu, a)));
    }));
    sim.on(0, |hw| a.flush(hw));
    assert!((0..3).all(|cpu| sim.sees(cpu, a)));
    end(&sim, &[a], 3);
}

#[test]
fn a_flush_may_be_called_with_interrupts_off() {
    let (sim, a) = (Sim::new(2, ALL), space(A));
    sim.switch(0, &a);
    sim.switch(1, &a);
    sim.on_irqs_off(0, |hw| a.flush(hw));
    assert!(sim.sees(1, &a));
    end(&sim, &[&a], 2);
}

#[test]
fn lam_reaches_every_user_before_the_call_returns() {
    for config in [ALL, Config { pcid: false, ..ALL }, Config { lazy: false, ..ALL }] {
        let (sim, a) = (Sim::new(3, config), space(A));
        sim.switch(0, &a);
        sim.switch(1, &a);
        sim.switch(2, &a);
        sim.lazy(2);
        assert_eq!(sim.on(0, |hw| a.enable_lam(hw, Lam::U57)), Ok(()));
        assert_eq!(sim.cr3(0).lam(), Some(Lam::U57));
        assert_eq!(sim.cr3(1).lam(), Some(Lam::U57));
        // The return of the thread from another CPU, and a kernel thread's borrowing.
        sim.switch(2, &a);
        assert_eq!(sim.cr3(2).lam(), Some(Lam::U57));
        sim.lazy(2);
        assert_eq!(sim.writes_in(2, |sim| sim.switch(2, &a)), u32::from(!config.lazy));
        assert_eq!(sim.cr3(2).lam(), Some(Lam::U57));
        end(&sim, &[&a], 3);
        assert!((0..3).all(|cpu| sim.cr3(cpu).lam().is_none()));
    }
}

#[test]
fn lam_reaches_a_cpu_that_joins_late() {
    let (sim, a) = (Sim::new(3, ALL), Box::leak(Box::new(space(A))));
    let a: &'static Space = a;
    sim.switch(0, a);
    sim.switch(1, a);
    // CPU 2 joins after the set was read.
    *sim.before_kick.borrow_mut() = Some(Box::new(|sim| {
        sim.switch(2, a);
        assert_eq!(sim.cr3(2).lam(), Some(Lam::U48));
    }));
    assert_eq!(sim.on(0, |hw| a.enable_lam(hw, Lam::U48)), Ok(()));
    assert_eq!(sim.kicked.get(), cpus(&[1]));
    assert_eq!(sim.cr3(0).bits(), 1 << 62 | A | 1);
    assert_eq!(sim.cr3(1).bits(), 1 << 62 | A | 1);
    end(&sim, &[a], 3);
}

#[test]
fn lam_goes_with_a_remembered_space() {
    let (sim, a, b) = (Sim::new(1, ALL), space(A), space(B));
    sim.switch(0, &a);
    sim.switch(0, &b);
    assert_eq!(sim.on(0, |hw| a.enable_lam(hw, Lam::U57)), Ok(()));
    assert_eq!(sim.cr3(0).bits(), B | 2);
    sim.switch(0, &a);
    assert_eq!(sim.last_write[0].get().bits(), 1 << 61 | A | 1);
    sim.switch(0, &b);
    sim.switch(0, &a);
    assert_eq!(sim.last_write[0].get().bits(), 1 << 63 | 1 << 61 | A | 1);
    end(&sim, &[&a, &b], 1);
}

#[test]
fn lam_is_refused_without_the_feature_when_locked_and_twice() {
    let (sim, a, b) = (Sim::new(1, ALL), space(A), space(B));
    b.lock_lam();
    assert_eq!(sim.on(0, |hw| b.enable_lam(hw, Lam::U57)), Err(LamError::Locked));
    assert_eq!(b.lam(), None);
    assert_eq!(sim.on(0, |hw| a.enable_lam(hw, Lam::U57)), Ok(()));
    assert_eq!(sim.on(0, |hw| a.enable_lam(hw, Lam::U48)), Err(LamError::Locked));
    assert_eq!(a.lam(), Some(Lam::U57));
    a.lock_lam();
    assert_eq!(a.lam(), Some(Lam::U57));
    let child = Space::forked(Root::new(0x30_0000), &a);
    assert_eq!(child.lam(), Some(Lam::U57));
    assert_eq!(sim.on(0, |hw| child.enable_lam(hw, Lam::U57)), Err(LamError::Locked));

    let old = Sim::new(1, Config { lam: false, ..ALL });
    let c = space(A);
    assert_eq!(old.on(0, |hw| c.enable_lam(hw, Lam::U57)), Err(LamError::Unsupported));
    assert_eq!(c.lam(), None);
}

#[test]
fn retirement_drives_lazy_cpus_off_and_refuses_users() {
    let (sim, a) = (Sim::new(2, ALL), space(A));
    sim.switch(0, &a);
    sim.switch(1, &a);
    sim.lazy(0);
    assert_eq!(sim.on(0, |hw| a.retire(hw)), Err(InUse));
    assert_eq!(sim.cr3(0).bits(), KERNEL.pa());
    sim.lazy(1);
    assert_eq!(sim.on(0, |hw| a.retire(hw)), Ok(()));
    assert_eq!(sim.cr3(1).bits(), KERNEL.pa());
    drop(a);
}
