//! The machine as a whole: loading, and what can happen next.

use abi::hypercall::Hypercall;
use memory::Memory;
use mmu::Fill;

use crate::agent::{Agent, Role};
use crate::code::Code;
use crate::cpu::{Activity, Choosing, Cpu};
use crate::cutoff::Cutoff;
use crate::frames::Depth;
use crate::layout::{self, Layout, Segment, Want};
use crate::next::NextOperation;
use crate::registered::Registered;
use crate::state::State;
use crate::walker::Ram;
use crate::word::{Part, Word};

/// In which order CPUs see each other's stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryModel {
    /// x86-TSO: a store buffer per CPU.
    #[default]
    Tso,
    /// Sequential consistency: a store is visible to all when it is made.
    Sc,
}

/// What may be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// When translations come to be cached, for scenarios with page tables.
    pub fill: Fill,
    /// In which order stores become visible.
    pub memory_model: MemoryModel,
    /// Mask what is below the stack pointer at the end of each step, as long as nobody reads it, so that it
    /// does not tell states apart. Off only to check that it changes no verdict.
    pub masking: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { fill: Fill::Adversarial, memory_model: MemoryModel::default(), masking: true }
    }
}

/// The choice to deliver an NMI that was sent.
pub(crate) const NMI_SENT: u16 = 1;
/// The choice of an NMI that nobody has sent.
pub(crate) const NMI_UNSENT: u16 = 2;
/// Added to the choice of an interrupt or NMI for each other one like it that stays on its way.
pub(crate) const ANOTHER: u16 = 1 << 8;
/// The choice of an NMI that was sent and for which there is no level left; no alternative of anything has
/// this number, nor the next.
pub(crate) const NMI_TOO_DEEP: u16 = u16::MAX;
/// The same of one that nobody has sent.
pub(crate) const NMI_UNSENT_TOO_DEEP: u16 = u16::MAX - 1;

/// What never changes while a scenario runs.
#[derive(Debug)]
pub struct Machine {
    pub(crate) layout: Layout,
    pub(crate) code: Code,
    pub(crate) config: Config,
    pub(crate) registered: Registered,
    pub(crate) return_address: u64,
    /// Where set-up stopped allocating.
    pub(crate) heap_next: u64,
    pub(crate) boot: Memory,
    pub(crate) instructions: u64,
    pub(crate) cutoff: Cutoff,
    /// Of every agent's stack, in this round of a search.
    pub(crate) depths: Vec<Depth>,
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
        if config.masking {
            boot = boot.with_stacks(layout.stacks());
        }
        for segment in segments {
            for (offset, byte) in (0u64..).zip(&segment.bytes).filter(|(_, byte)| **byte != 0) {
                let location = segment.va - abi::layout::IMAGE_BASE + offset;
                boot.store(location, 1, u64::from(*byte));
            }
        }
        let code = Code::new(&layout, segments, calls);
        let return_address = return_address(calls)?;
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
            cutoff: Cutoff::default(),
            depths: Vec::new(),
        })
    }

    /// Whether [`Machine::new`] takes these; makes no machine.
    ///
    /// # Errors
    ///
    /// As [`Machine::new`].
    pub fn takes(segments: &[Segment], calls: &[(u64, Hypercall)]) -> Result<(), String> {
        Layout::new(segments)?;
        return_address(calls).map(drop)
    }

    /// Sets when set-up, invariants and final checks are cut off.
    pub fn set_cutoff(&mut self, cutoff: Cutoff) {
        self.cutoff = cutoff;
    }

    /// What was switched.
    pub fn config(&self) -> Config {
        self.config
    }

    /// What the set-up registered.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The map of memory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many words there are: every [`Word`] has a lower number.
    pub fn words(&self) -> u32 {
        Word::memory(self.layout.size()).0
    }

    /// Instructions executed since the machine was made.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// The disassembly of the instruction at `rip`.
    pub fn disassembly(&self, rip: u64) -> Option<String> {
        self.code.text(&self.layout, rip)
    }

    /// The set of instructions, by name, to which the one at `rip` belongs, if the modelled processor lacks it.
    pub fn lacking(&self, rip: u64) -> Option<String> {
        self.code.lacking(&self.layout, rip)
    }

    /// The value of `size` (1 to 8) bytes of kernel memory.
    pub fn peek(&self, state: &State, va: u64, size: u8) -> Option<u64> {
        self.layout.kernel(va, size, Want::Read).map(|location| state.memory.load(location, size))
    }

    /// Need this choice never be taken? Nobody owes a CPU an NMI that was not sent.
    pub fn is_optional(agent: Agent, pick: u16) -> bool {
        agent.is_nmi() && matches!(pick, NMI_UNSENT | NMI_UNSENT_TOO_DEEP)
    }

    /// Calls `choice(agent, pick)` for everything that can happen next.
    pub fn choices(&self, state: &State, mut choice: impl FnMut(Agent, u16)) {
        for (number, cpu) in (0u8..).zip(&state.cpus) {
            // First, so that of two runs as simple the one without delay is found.
            if !cpu.system.buffer.is_empty() {
                choice(Agent::hardware(number), 0);
            }
            let level = cpu.level_number();
            let runs = level > 0 || cpu.activity == Activity::Running;
            let next = cpu.next[level];
            if runs && next.is_none_or(|next| next.wait.is_over(&cpu.system.buffer)) {
                let (agent, ways) = (cpu.level(number), self.ways(state, cpu));
                (0..ways).for_each(|pick| choice(agent, pick));
            }
            for rank in cpu.deliverable(&self.registered.handlers) {
                for stay in 0..=u16::from(cpu.pending.others(rank)) {
                    choice(Agent::interrupt(number), rank + stay * ANOTHER);
                }
            }
            if !cpu.nmis.is_empty() && cpu.takes_nmi() {
                let (agent, pick) = nmi_choice(number, cpu, NMI_SENT);
                choice(agent, pick);
                let others = if pick == NMI_TOO_DEEP { 0 } else { cpu.nmis.others(0) };
                for stay in 1..=u16::from(others) {
                    choice(agent, pick + stay * ANOTHER);
                }
            }
        }
        if state.nmi_budget == 0 {
            return;
        }
        for (number, cpu) in (0u8..).zip(&state.cpus) {
            // Where one is pending already, another is one that comes after it.
            if cpu.nmis.is_empty() && cpu.takes_nmi() {
                let (agent, pick) = nmi_choice(number, cpu, NMI_UNSENT);
                choice(agent, pick);
            }
        }
    }

    /// How many ways there are to go on from where `cpu` stands.
    fn ways(&self, state: &State, cpu: &Cpu) -> u16 {
        match &cpu.choosing {
            None => 1,
            Some(Choosing::Among(of)) => *of,
            Some(Choosing::Translation(access)) => {
                let ram = Ram { layout: &self.layout, memory: &state.memory };
                let ways = cpu.system.count_ways(&ram, self.config.fill, access);
                u16::try_from(ways).expect("few")
            }
        }
    }

    /// What `agent` does next; `None` if it has ended or not started.
    pub fn next(&self, state: &State, agent: Agent) -> Option<NextOperation> {
        let cpu = state.cpus.get(usize::from(agent.cpu()))?;
        match agent.role() {
            Role::Observer => None,
            Role::Hardware(number) => {
                let word = Word::of_store(cpu.system.buffer.oldest()?);
                let buffer = Word::part(number, Part::Buffer);
                let store = [(word, true), (buffer, true), (Word::TABLES, true)];
                let entry = self.registered.page_tables;
                Some(NextOperation::new(0, &store[..2 + usize::from(entry)]))
            }
            _ => cpu.next[agent.level()],
        }
    }

    /// Puts the return address under the first frame of `agent`.
    pub(crate) fn push_return(&self, memory: &mut Memory, agent: Agent) {
        let top = layout::stack(agent).1 - 8;
        let location = self.layout.kernel(top, 8, Want::Write).expect("stacks are mapped");
        memory.store(location, 8, self.return_address);
    }
}

/// The choice of an NMI that comes from there.
fn nmi_choice(number: u8, cpu: &Cpu, pick: u16) -> (Agent, u16) {
    let level = cpu.level(number);
    match level.role() {
        Role::NestedNmi(_) if pick == NMI_UNSENT => (level, NMI_UNSENT_TOO_DEEP),
        Role::NestedNmi(_) => (level, NMI_TOO_DEEP),
        Role::Nmi(_) => (Agent::nested_nmi(number), pick),
        _ => (Agent::nmi(number), pick),
    }
}

fn return_address(calls: &[(u64, Hypercall)]) -> Result<u64, String> {
    let found = calls.iter().find(|(_, call)| *call == Hypercall::Return);
    found.map(|(va, _)| *va).ok_or_else(|| {
        "the image has no symbol `lamprey_return`: it is not built with the guest library, or its symbols \
         have been stripped"
            .into()
    })
}
