//! The machine's state lists its parts; agents and words name what they do and touch.

use std::sync::Arc;

use crate::cpu::Cpu;
use crate::memory::{Memory, mix};

const CPUS: u8 = 8;

/// How many agents there can be.
pub(crate) const AGENTS: u8 = 2 * CPUS + 1;

/// One CPU at one level: what has a stack and registers of its own, and what the search schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Agent(pub u8);

/// What an [`Agent`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The code that a CPU runs.
    Thread(u8),
    /// The interrupt handlers of a CPU.
    Interrupt(u8),
    /// Set-up, invariants and the final check; never interleaved.
    Observer,
}

impl Agent {
    /// Set-up, invariants and the final check.
    pub const OBSERVER: Agent = Agent(2 * CPUS);

    /// The thread of CPU `cpu`.
    pub const fn thread(cpu: u8) -> Agent {
        Agent(cpu)
    }

    /// The interrupt level of CPU `cpu`.
    pub const fn interrupt(cpu: u8) -> Agent {
        Agent(CPUS + cpu)
    }

    /// What it is.
    pub const fn role(self) -> Role {
        if self.0 < CPUS {
            Role::Thread(self.0)
        } else if self.0 < 2 * CPUS {
            Role::Interrupt(self.0 - CPUS)
        } else {
            Role::Observer
        }
    }

    /// Its CPU; the observer runs as CPU 0.
    pub const fn cpu(self) -> u8 {
        match self.role() {
            Role::Thread(cpu) | Role::Interrupt(cpu) => cpu,
            Role::Observer => 0,
        }
    }
}

/// What agents can conflict on: an 8-byte word of memory, or a part of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(pub u32);

const PARTS: u32 = 8;
const PART_NAMES: [&str; 6] = ["CR0", "CR2", "CR3", "CR4", "IF", "pending interrupts"];
const FIRST_MEMORY: u32 = 64;

/// A part of a CPU that counts as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    InterruptFlag,
    Pending,
}

impl Word {
    pub(crate) fn part(cpu: u8, part: Part) -> Word {
        let part = match part {
            Part::Cr0 => 0,
            Part::Cr2 => 1,
            Part::Cr3 => 2,
            Part::Cr4 => 3,
            Part::InterruptFlag => 4,
            Part::Pending => 5,
        };
        Word(u32::from(cpu) * PARTS + part)
    }

    #[inline]
    pub(crate) fn memory(location: u64) -> Word {
        Word(FIRST_MEMORY + u32::try_from(location / 8).expect("memory of less than 32 GiB"))
    }

    /// The location of its first byte, for a word of memory.
    pub fn location(self) -> Option<u64> {
        self.0.checked_sub(FIRST_MEMORY).map(|word| u64::from(word) * 8)
    }

    /// CPU and name, for a part of a CPU.
    pub fn cpu_part(self) -> Option<(u8, &'static str)> {
        let name = PART_NAMES.get(usize::try_from(self.0 % PARTS).ok()?)?;
        (self.0 < FIRST_MEMORY).then(|| (u8::try_from(self.0 / PARTS).expect("at most 7"), *name))
    }
}

/// All that changes while the machine runs.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) memory: Memory,
    /// Shared between snapshots; a step copies the CPUs it changes.
    pub(crate) cpus: Vec<Arc<Cpu>>,
}

impl State {
    /// 128-bit fingerprint; equal for equal states.
    pub fn fingerprint(&self) -> u128 {
        let mut sum = self.memory.fingerprint();
        for (number, cpu) in (0u64..).zip(&self.cpus) {
            let print = cpu.fingerprint();
            let low = u64::try_from(print & u128::from(u64::MAX)).unwrap_or(0);
            let high = u64::try_from(print >> 64).unwrap_or(0);
            // Far from any memory word's number, and different for each CPU.
            let place = u64::MAX - 2 * number;
            sum = sum.wrapping_add(mix(place, low)).wrapping_add(mix(place - 1, high));
        }
        sum
    }

    /// Number of CPUs.
    pub fn cpu_count(&self) -> u8 {
        u8::try_from(self.cpus.len()).expect("at most 8")
    }

    /// CPU number `cpu`.
    ///
    /// # Panics
    ///
    /// If there is no such CPU.
    pub fn cpu(&self, cpu: u8) -> &Cpu {
        &self.cpus[usize::from(cpu)]
    }

    pub(crate) fn cpu_mut(&mut self, cpu: u8) -> &mut Cpu {
        Arc::make_mut(&mut self.cpus[usize::from(cpu)])
    }

    /// The value of a word: what an observer's verdict depends on.
    pub fn word(&self, word: Word) -> u64 {
        let Some(location) = word.location() else {
            let number = usize::try_from(word.0 / PARTS).expect("at most 7");
            let Some(cpu) = self.cpus.get(number) else { return 0 };
            return match word.0 % PARTS {
                0 => cpu.system.cr0,
                1 => cpu.system.cr2,
                2 => cpu.system.cr3,
                3 => cpu.system.cr4,
                4 => u64::from(cpu.interrupt_flag()),
                _ => cpu.pending,
            };
        };
        self.memory.word(location / 8)
    }

    /// Have all CPUs returned from what they were given, with no interrupt left?
    pub fn ended(&self) -> bool {
        self.cpus.iter().all(|cpu| cpu.is_ended())
    }

    /// Bytes this snapshot holds that its neighbour in the search does not, estimated: one CPU and
    /// two leaves of memory with the nodes above them.
    pub fn bytes(&self) -> usize {
        const LEAF_AND_NODES: usize = 256 + 2 * 16 * 8 + 3 * 16;
        size_of::<State>() + self.cpus.len() * 8 + size_of::<Cpu>() + 2 * LEAF_AND_NODES
    }
}

#[cfg(test)]
mod tests {
    use abi::layout::MAX_CPUS;

    use super::*;

    #[test]
    fn numbers_of_agents_and_words_do_not_overlap() {
        assert_eq!(usize::from(CPUS), MAX_CPUS);
        assert_eq!(FIRST_MEMORY, PARTS * u32::from(CPUS));
        let agents = (0..AGENTS).map(|agent| Agent(agent).role());
        let interrupts = agents.filter(|role| matches!(role, Role::Interrupt(_))).count();
        assert_eq!(interrupts, usize::from(CPUS));
        let last = Word::part(CPUS - 1, Part::Pending);
        assert_eq!(last.cpu_part(), Some((CPUS - 1, "pending interrupts")));
        assert_eq!(Word::memory(0).location(), Some(0));
        assert_eq!(last.location(), None);
    }
}
