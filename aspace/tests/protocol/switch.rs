//! Operations of one CPU: switching, lazy mode, PCID slots.

use crate::sim::{ALL, KERNEL, Sim};
use aspace::{Config, Core, CpuId, CpuSet, Hardware as _, Root, SLOTS, Space};

fn spaces<const N: usize>() -> [Space; N] {
    std::array::from_fn(|n| Space::new(Root::new(0x10_0000 + 0x1000 * n as u64)))
}

fn end(sim: &Sim, cpu: u32, spaces: &[Space]) {
    sim.on(cpu, Core::leave);
    assert_eq!(sim.cr3(cpu).bits(), KERNEL.pa());
    for space in spaces {
        assert_eq!(space.loaded_on(), CpuSet::EMPTY);
    }
}

#[test]
fn switches_between_spaces_and_moves_between_their_sets() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<2>());
    let set = CpuSet::EMPTY.with(CpuId::new(0));
    assert_eq!(sim.cr3(0).bits(), KERNEL.pa());
    sim.switch(0, &s[0]);
    assert_eq!(sim.cr3(0).bits(), s[0].root().pa() | 1);
    assert_eq!((s[0].loaded_on(), s[1].loaded_on()), (set, CpuSet::EMPTY));
    sim.switch(0, &s[1]);
    assert_eq!(sim.cr3(0).bits(), s[1].root().pa() | 2);
    assert_eq!((s[0].loaded_on(), s[1].loaded_on()), (CpuSet::EMPTY, set));
    end(&sim, 0, &s);
}

#[test]
fn a_switch_to_the_loaded_space_writes_nothing() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<1>());
    sim.switch(0, &s[0]);
    assert_eq!(sim.writes_in(0, |sim| sim.switch(0, &s[0])), 0);
    end(&sim, 0, &s);
}

#[test]
fn a_lazy_return_writes_nothing_when_nothing_changed() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<1>());
    let core = CpuId::new(0);
    sim.switch(0, &s[0]);
    assert!(sim.on(0, |hw| hw.core(core).user_access_ok(&s[0])));
    sim.lazy(0);
    sim.lazy(0);
    assert!(!sim.on(0, |hw| hw.core(core).user_access_ok(&s[0])));
    assert!(sim.core(core).is_lazy());
    assert!(s[0].loaded_on().contains(core));
    assert_eq!(sim.writes_in(0, |sim| sim.switch(0, &s[0])), 0);
    assert!(!sim.core(core).is_lazy());
    end(&sim, 0, &s);
}

#[test]
fn going_lazy_on_the_kernels_tables_is_nothing() {
    let sim = Sim::new(1, ALL);
    assert_eq!(sim.writes_in(0, |sim| sim.lazy(0)), 0);
    assert!(!sim.core(CpuId::new(0)).is_lazy());
}

#[test]
fn a_kernel_thread_borrows_and_gives_back() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<1>());
    // SAFETY: `end` leaves the space before it is dropped.
    sim.on(0, |hw| unsafe { Core::use_space(hw, &s[0]) });
    assert!(sim.sees(0, &s[0]));
    sim.on(0, |hw| Core::unuse_space(hw, &s[0]));
    assert!(sim.core(CpuId::new(0)).is_lazy());
    assert_eq!(sim.cr3(0).root(), s[0].root());
    end(&sim, 0, &s);
}

#[test]
fn a_remembered_space_keeps_its_translations() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<SLOTS>());
    for space in s.iter().chain(&s) {
        sim.switch(0, space);
        assert!(sim.sees(0, space));
    }
    assert_eq!(sim.last_write[0].get().bits() >> 63, 1);
    assert_eq!(sim.cr3(0).pcid().number(), SLOTS as u16);
    end(&sim, 0, &s);
}

#[test]
fn a_remembered_space_is_flushed_if_its_generation_moved() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<2>());
    sim.switch(0, &s[0]);
    assert!(sim.sees(0, &s[0]));
    sim.switch(0, &s[1]);
    sim.edit(&s[0]);
    sim.on(0, |hw| s[0].flush(hw));
    sim.switch(0, &s[0]);
    assert!(!sim.last_write[0].get().keeps_tlb());
    assert!(sim.sees(0, &s[0]));
    end(&sim, 0, &s);
}

#[test]
fn a_flush_of_the_loaded_space_is_remembered() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<2>());
    sim.switch(0, &s[0]);
    sim.on(0, |hw| s[0].flush(hw));
    sim.switch(0, &s[1]);
    sim.switch(0, &s[0]);
    assert!(sim.last_write[0].get().keeps_tlb());
    end(&sim, 0, &s);
}

#[test]
fn the_seventh_space_evicts_the_first() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<{ SLOTS + 1 }>());
    for space in &s {
        sim.switch(0, space);
        assert!(!sim.last_write[0].get().keeps_tlb());
        assert!(sim.sees(0, space));
    }
    assert_eq!(sim.cr3(0).pcid().number(), 1);
    sim.switch(0, &s[0]);
    assert_eq!(sim.cr3(0).pcid().number(), 2);
    assert!(sim.sees(0, &s[0]));
    sim.switch(0, &s[2]);
    assert!(sim.last_write[0].get().keeps_tlb());
    end(&sim, 0, &s);
}

#[test]
fn without_pcid_every_switch_flushes() {
    let (sim, s) = (Sim::new(1, Config { pcid: false, ..ALL }), spaces::<2>());
    for space in [&s[0], &s[1], &s[0]] {
        sim.switch(0, space);
        assert_eq!(sim.last_write[0].get().bits(), space.root().pa());
        sim.edit(space);
        sim.on(0, |hw| space.flush(hw));
        assert!(sim.sees(0, space));
        sim.lazy(0);
        assert_eq!(sim.writes_in(0, |sim| sim.switch(0, space)), 0);
    }
    end(&sim, 0, &s);
}

#[test]
fn without_lazy_mode_a_kernel_thread_runs_on_the_kernels_tables() {
    let (sim, s) = (Sim::new(1, Config { lazy: false, ..ALL }), spaces::<1>());
    sim.switch(0, &s[0]);
    sim.lazy(0);
    assert_eq!(sim.last_write[0].get().bits(), KERNEL.pa() | 1 << 63);
    end(&sim, 0, &s);
}

#[test]
fn a_cpu_that_starts_again_remembers_nothing() {
    let (sim, s) = (Sim::new(1, ALL), spaces::<1>());
    sim.switch(0, &s[0]);
    end(&sim, 0, &s);
    // SAFETY: no space is loaded, and the configuration is the same.
    sim.on(0, |hw| unsafe { Core::start(hw, KERNEL, ALL) });
    sim.switch(0, &s[0]);
    assert!(!sim.last_write[0].get().keeps_tlb());
    end(&sim, 0, &s);
}

#[test]
fn context_ids_differ_and_stay() {
    let s = spaces::<2>();
    let first = s[0].ctx_id();
    assert_ne!(first, s[1].ctx_id());
    assert_ne!(first, 0);
    assert_eq!(s[0].ctx_id(), first);
}

#[test]
#[should_panic(expected = "dropped while a CPU has it loaded")]
fn dropping_a_loaded_space_panics() {
    let sim = Sim::new(1, ALL);
    let space = Space::new(Root::new(0x2000));
    sim.switch(0, &space);
    drop(space);
}
