//! The machine as a whole: loading, set-up, what can happen next, observing.

use std::sync::Arc;

use abi::hypercall::Hypercall;
use x86::{RDI, RSP};

use crate::code::Code;
use crate::cpu::{Activity, Cpu, blank_regs};
use crate::exec::Accesses;
use crate::hypercall::{Entry, Look, Registered};
use crate::interrupt;
use crate::layout::{self, Layout, Segment, Want};
use crate::memory::Memory;
use crate::state::{Agent, Part, Role, State, Word};
use crate::step::{Bad, End, Halt, Mode, NextOperation, Violation};
use crate::watch::{Access, Seen, Watch};

/// Instructions after which code that runs by itself counts as endless.
const ALONE_INSTRUCTIONS: u64 = 200_000_000;

/// What may be switched.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Clear stack memory below the red zone at the end of each step, where no correct program looks,
    /// so that it does not tell states apart. Off only to check that it changes no verdict.
    pub masking: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { masking: true }
    }
}

/// What never changes while a scenario runs.
#[derive(Debug)]
pub struct Machine {
    pub(crate) layout: Layout,
    pub(crate) code: Code,
    pub(crate) config: Config,
    pub(crate) registered: Registered,
    return_address: u64,
    /// Where set-up stopped allocating.
    heap_next: u64,
    boot: Memory,
    pub(crate) instructions: u64,
}

impl Machine {
    /// A machine with an image loaded and its hypercalls bound to these addresses.
    ///
    /// # Errors
    ///
    /// Segments that do not fit the layout, or no `lamprey_return`.
    pub fn new(
        segments: &[Segment],
        calls: &[(u64, Hypercall)],
        config: Config,
    ) -> Result<Machine, String> {
        let layout = Layout::new(segments)?;
        let mut boot = Memory::new(layout.size());
        for segment in segments {
            for (offset, byte) in (0u64..).zip(&segment.bytes).filter(|(_, byte)| **byte != 0) {
                let location = segment.va - abi::layout::IMAGE_BASE + offset;
                boot.store(location, 1, u64::from(*byte));
            }
        }
        let code = Code::new(&layout, segments, calls);
        let return_address =
            calls.iter().find(|(_, call)| *call == Hypercall::Return).map(|(va, _)| *va).ok_or(
                "the image has no symbol `lamprey_return`; it is not built with the guest library",
            )?;
        let registered = Registered::default();
        let heap_next = layout::SETUP_ARENA.0;
        Ok(Machine {
            layout,
            code,
            config,
            registered,
            return_address,
            heap_next,
            boot,
            instructions: 0,
        })
    }

    /// What the set-up registered.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The map of memory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Instructions executed since the machine was made.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// The disassembly of the instruction at `rip`.
    pub fn disassembly(&self, rip: u64) -> Option<String> {
        self.code.text(&self.layout, rip)
    }

    /// Bytes of the image or heap, as the set-up has not touched them; `None` if unmapped.
    pub fn boot_word(&self, va: u64) -> Option<u64> {
        self.layout.kernel(va, 8, Want::Read).map(|location| self.boot.load(location, 8))
    }

    /// The value of `size` (1 to 8) bytes of kernel memory.
    pub fn peek(&self, state: &State, va: u64, size: u8) -> Option<u64> {
        self.layout.kernel(va, size, Want::Read).map(|location| state.memory.load(location, size))
    }

    /// Runs the scenario's set-up alone on CPU 0, then brings every CPU to its first scheduling point.
    ///
    /// # Errors
    ///
    /// A violation or a gap, in set-up or before a first visible operation.
    pub fn start<A: Accesses, W: Watch>(
        &mut self,
        entry: u64,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<State, Halt> {
        self.registered = Registered::default();
        let mut state = State { memory: self.boot.clone(), cpus: vec![Arc::new(Cpu::new(0))] };
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
        self.place_cpus(&mut state);
        self.handlers_may_start(state.cpu_count(), accesses);
        for number in 0..state.cpu_count() {
            if state.cpu(number).activity == Activity::Running {
                self.run(&mut state, Agent::thread(number), None, false, accesses, watch)?;
            }
        }
        Ok(state)
    }

    /// What the start of a handler depends on counts as touched from the beginning: were it only
    /// recorded when a handler starts, an agent that turns interrupts off and on again in one step
    /// would hide that it could.
    fn handlers_may_start<A: Accesses>(&self, cpus: u8, accesses: &mut A) {
        if self.registered.handlers.is_empty() {
            return;
        }
        for number in 0..cpus {
            for part in [Part::InterruptFlag, Part::Pending] {
                accesses.touch(Agent::interrupt(number), Word::part(number, part), true);
            }
        }
    }

    /// Gives each CPU what the set-up registered for it.
    fn place_cpus(&self, state: &mut State) {
        let used =
            self.registered.cpus.iter().rposition(Option::is_some).map_or(1, |last| last + 1);
        for number in 0..u8::try_from(used).expect("at most 8") {
            let mut cpu = Cpu::new(number);
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

    fn push_return(&self, memory: &mut Memory, agent: Agent) {
        let top = layout::stack(agent).1 - 8;
        let location = self.layout.kernel(top, 8, Want::Write).expect("stacks are mapped");
        memory.store(location, 8, self.return_address);
    }

    /// Calls `choice(agent, pick)` for everything that can happen next.
    pub fn choices(&self, state: &State, mut choice: impl FnMut(Agent, u16)) {
        for (number, cpu) in (0u8..).zip(&state.cpus) {
            let level = cpu.level(number);
            let goes_on = cpu.interrupted.is_some() || cpu.activity == Activity::Running;
            if goes_on {
                (0..cpu.choosing.unwrap_or(1)).for_each(|pick| choice(level, pick));
            }
            if let Some(bit) = cpu.deliverable() {
                choice(Agent::interrupt(number), bit);
            }
        }
    }

    /// What `agent` does next; `None` if it has ended or not started.
    pub fn next(&self, state: &State, agent: Agent) -> Option<NextOperation> {
        let level = usize::from(matches!(agent.role(), Role::Interrupt(_)));
        state.cpus.get(usize::from(agent.cpu()))?.next[level]
    }

    pub(crate) fn deliver<A: Accesses, W: Watch>(
        &self,
        state: &mut State,
        number: u8,
        bit: u16,
        accesses: &mut A,
        watch: &mut W,
    ) {
        let agent = Agent::interrupt(number);
        accesses.touch(agent, Word::part(number, Part::InterruptFlag), true);
        accesses.touch(agent, Word::part(number, Part::Pending), true);
        let (vector, entry) = self.registered.handlers[usize::from(bit)];
        let rip = state.cpu(number).regs.rip;
        watch.seen(Seen { agent, rip, access: Access::Ipi { vector } });
        interrupt::deliver(state.cpu_mut(number), number, vector, bit, entry);
        self.push_return(&mut state.memory, agent);
    }

    /// Runs `entry` on a copy of `state` where nothing else moves: an invariant or a final check.
    ///
    /// # Errors
    ///
    /// A violation or a gap.
    pub fn observe<A: Accesses, W: Watch>(
        &mut self,
        state: &State,
        entry: Entry,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let mut copy = state.clone();
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
        let State { memory, cpus } = state;
        self.enter(memory, Arc::make_mut(&mut cpus[0]), agent, entry);
        let mode = Mode { alone: true, setup, credit: true, pick: None, limit: ALONE_INSTRUCTIONS };
        let end = self.execute(state, agent, mode, others, accesses, watch)?;
        let rip = state.cpu(0).regs.rip;
        match end {
            End::Returned => Ok(()),
            End::Choose(_) | End::Halted => {
                Err(self.gap(agent, rip, "choose or hlt in code that runs by itself".into()))
            }
            End::Before(_) => Err(Halt::Bad(Bad { agent, rip, what: Violation::Endless })),
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

/// What every CPU shows of itself.
pub(crate) fn look(state: &State) -> Vec<Look> {
    state
        .cpus
        .iter()
        .map(|cpu| Look {
            cr3: cpu.system.cr3,
            cr4: cpu.system.cr4,
            interrupts_on: cpu.interrupt_flag(),
        })
        .collect()
}
