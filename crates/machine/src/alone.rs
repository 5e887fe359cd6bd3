//! Code that runs by itself: set-up, invariants, final checks.

use std::sync::Arc;

use memory::Memory;
use mmu::bits::CR4_LA57;
use x86::{RDI, RSP};

use crate::agent::{Agent, RUNNING_AGENTS};
use crate::cpu::{Activity, Cpu, blank_regs};
use crate::exec::Accesses;
use crate::frames::Depth;
use crate::gone;
use crate::halt::{Bad, Halt, Violation};
use crate::layout;
use crate::look::{Look, look};
use crate::machine::Machine;
use crate::registered::{Entry, Registered};
use crate::state::State;
use crate::step::{End, Mode};
use crate::translation::{capture, find_tables};
use crate::watch::Watch;
use crate::word::Word;

/// Instructions after which code that runs by itself counts as endless.
const ALONE_INSTRUCTIONS: u64 = 200_000_000;

impl Machine {
    /// Runs the scenario's set-up alone on CPU 0, then brings every CPU to its first scheduling point.
    ///
    /// # Errors
    ///
    /// A violation or a gap, in set-up or before a first visible operation; or the set-up is cut off.
    pub fn start<A: Accesses, W: Watch>(
        &mut self,
        entry: u64,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<State, Halt> {
        self.registered = Registered::default();
        let mut state = State::new(self.boot.clone());
        state.cpu_mut(0).system.arenas[0] = layout::SETUP_ARENA.0;
        let others = look(&state);
        self.run_alone(
            &mut state,
            Entry { function: entry, data: 0 },
            true,
            &others,
            &mut Unseen,
            watch,
        )?;
        self.heap_next = state.cpu(0).system.arenas[0];
        self.begin(state, accesses, watch)
    }

    /// Starts without a set-up: CPU *i* runs `entries[i]`, of which there is one to eight.
    ///
    /// # Errors
    ///
    /// A violation or a gap before a first visible operation.
    pub fn start_threads<A: Accesses, W: Watch>(
        &mut self,
        entries: &[Entry],
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<State, Halt> {
        self.registered = Registered::default();
        for (slot, entry) in self.registered.cpus.iter_mut().zip(entries) {
            *slot = Some(*entry);
        }
        let state = State::new(self.boot.clone());
        self.begin(state, accesses, watch)
    }

    /// Places the CPUs and brings each to its first scheduling point.
    fn begin<A: Accesses, W: Watch>(
        &mut self,
        mut state: State,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<State, Halt> {
        self.place_cpus(&mut state);
        let depth = |agent| Depth::new(layout::stack(Agent(agent)).1);
        self.depths = (0..RUNNING_AGENTS).map(depth).collect();
        state.nmi_budget = self.registered.nmi.map_or(0, |nmi| nmi.budget);
        self.handlers_may_start(state.cpu_count(), accesses);
        if self.registered.page_tables {
            for cpu in &state.cpus {
                let (agent, fill) = (Agent::hardware(0), self.config.fill);
                find_tables(&self.layout, &state.memory, &cpu.system, fill, agent, accesses);
            }
        }
        for number in 0..state.cpu_count() {
            if state.cpu(number).activity == Activity::Running {
                let (agent, cpu) = (Agent::thread(number), state.cpu_mut(number));
                gone::give(&self.layout, cpu, agent, &mut self.depths, accesses);
                self.run(&mut state, Agent::thread(number), None, false, accesses, watch)?;
            }
        }
        Ok(state)
    }

    /// Gives each CPU what the set-up registered for it.
    fn place_cpus(&self, state: &mut State) {
        let used =
            self.registered.cpus.iter().rposition(Option::is_some).map_or(1, |last| last + 1);
        // The number of levels is the machine's.
        let levels = state.cpu(0).system.cr4 & CR4_LA57;
        for number in 0..u8::try_from(used).expect("at most 8") {
            let mut cpu = Cpu::new(number);
            cpu.system.cr4 |= levels;
            if number == 0 {
                // What set-up did to the control registers of CPU 0 stays.
                let arenas = cpu.system.arenas;
                cpu.system = state.cpu(0).system.clone();
                cpu.system.arenas = arenas;
            }
            if let Some(entry) = self.registered.cpus[usize::from(number)] {
                cpu.activity = Activity::Running;
                self.enter(&mut state.memory, &mut cpu, Agent::thread(number), entry);
            }
            match state.cpus.get_mut(usize::from(number)) {
                Some(slot) => *slot = Arc::new(cpu),
                None => state.cpus.push(Arc::new(cpu)),
            }
        }
    }

    /// Sets registers and stack for a call of `entry` that returns to `lamprey_return`.
    fn enter(&self, memory: &mut Memory, cpu: &mut Cpu, agent: Agent, entry: Entry) {
        cpu.regs = blank_regs();
        cpu.regs.rip = entry.function;
        cpu.regs.gpr[RDI] = entry.data;
        cpu.regs.gpr[RSP] = layout::stack(agent).1 - 8;
        self.push_return(memory, agent);
    }

    /// Runs `entry` on a copy of `state` where nothing else moves: an invariant or a final check.
    ///
    /// It sees every store that was made, even if it is still in a store buffer: what a CPU has written
    /// about itself is to be compared with what it is, not with what others can see of it.
    ///
    /// # Errors
    ///
    /// A violation or a gap, or `entry` is cut off.
    pub fn observe<A: Accesses, W: Watch>(
        &mut self,
        state: &State,
        entry: Entry,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let mut copy = state.clone();
        let stores = copy.drain_all();
        if self.registered.page_tables {
            // Any of them may be an entry that CPU 0 has cached.
            capture(
                &self.layout,
                &mut copy,
                self.config.fill,
                &stores,
                None,
                (0, &mut ()),
                |_, _| {},
            );
        }
        let cpu = copy.cpu_mut(0);
        cpu.system.latch.clear();
        cpu.system.arenas[0] = self.heap_next;
        self.run_alone(&mut copy, entry, false, &look(state), accesses, watch)
    }

    /// Runs `entry` as the observer, to its end. What it asks about CPUs is answered from `others`.
    fn run_alone<A: Accesses, W: Watch>(
        &mut self,
        state: &mut State,
        entry: Entry,
        setup: bool,
        others: &[Look],
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let agent = Agent::OBSERVER;
        let State { memory, cpus, .. } = state;
        self.enter(memory, Arc::make_mut(&mut cpus[0]), agent, entry);
        let mode = Mode { alone: true, setup, credit: true, pick: None, limit: ALONE_INSTRUCTIONS };
        let end = self.execute(state, agent, mode, others, accesses, watch)?;
        let rip = state.cpu(0).regs.rip;
        match end {
            End::Returned(_) => Ok(()),
            End::Choose(_) | End::Halted => {
                Err(self.gap(agent, rip, "choose or hlt in code that runs by itself".into()))
            }
            End::Before(_) | End::Translation(..) => {
                Err(Halt::Bad(Bad { agent, rip, what: Violation::Endless }))
            }
        }
    }
}

/// Set-up happens before everything else: nothing in it can conflict.
struct Unseen;

impl Accesses for Unseen {
    fn is_shared(&self, _: Word) -> bool {
        false
    }

    fn touch(&mut self, _: Agent, _: Word, _: bool) {}
}
