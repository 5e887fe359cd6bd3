//! Words: what is acted on.

/// What agents can conflict on: an 8-byte word of memory, or a part of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(pub u32);

pub(crate) const PARTS: u32 = 8;
const PART_NAMES: [&str; 7] =
    ["CR0", "CR2", "CR3", "CR4", "IF", "pending interrupts", "the store buffer"];
const FIRST_MEMORY: u32 = 64;
/// Far beyond the words of any memory.
const MADE: u32 = 1 << 20;

/// A part of a CPU that counts as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    InterruptFlag,
    Pending,
    /// Whether anything is in it: what an instruction that drains waits for.
    Buffer,
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
            Part::Buffer => 6,
        };
        Word(u32::from(cpu) * PARTS + part)
    }

    #[inline]
    pub(crate) fn memory(location: u64) -> Word {
        Word(FIRST_MEMORY + u32::try_from(location / 8).expect("memory of less than 8 MiB"))
    }

    /// The location of its first byte, for a word of memory.
    pub fn location(self) -> Option<u64> {
        self.0.checked_sub(FIRST_MEMORY).filter(|_| self.0 < MADE).map(|n| u64::from(n) * 8)
    }

    /// For a word of memory: the stores that were made to it, whether they are visible yet or not. It
    /// changes when a store enters a store buffer; invariants see it, and no CPU does.
    #[must_use]
    pub fn made(self) -> Option<Word> {
        self.location().map(|_| Word(self.0 + MADE))
    }

    /// CPU and name, for a part of a CPU.
    pub fn cpu_part(self) -> Option<(u8, &'static str)> {
        let name = PART_NAMES.get(usize::try_from(self.0 % PARTS).ok()?)?;
        (self.0 < FIRST_MEMORY).then(|| (u8::try_from(self.0 / PARTS).expect("at most 7"), *name))
    }
}

#[cfg(test)]
mod tests {
    use abi::layout::MAX_CPUS;

    use super::*;
    use crate::agent::{Agent, CPUS, Role};

    #[test]
    fn numbers_of_agents_and_words_do_not_overlap() {
        assert_eq!(usize::from(CPUS), MAX_CPUS);
        assert_eq!(FIRST_MEMORY, PARTS * u32::from(CPUS));
        let agents = (0..Agent::COUNT).map(|agent| Agent(agent).role());
        let interrupts = agents.filter(|role| matches!(role, Role::Interrupt(_))).count();
        assert_eq!(interrupts, usize::from(CPUS));
        let last = Word::part(CPUS - 1, Part::Pending);
        assert_eq!(last.cpu_part(), Some((CPUS - 1, "pending interrupts")));
        assert_eq!(Word::memory(0).location(), Some(0));
        assert_eq!(last.location(), None);
    }
}
