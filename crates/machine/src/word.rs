//! Words: what is acted on.

use memory::buffer::Store;

use crate::agent::Agent;

/// What agents can conflict on: an 8-byte word of memory, a part of a CPU, or something of the machine as a
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(pub u32);

pub(crate) const PARTS: u32 = 16;
const FIRST_GLOBAL: u32 = 128;
const FIRST_FRAME: u32 = FIRST_GLOBAL + 8;
/// More than the heap has.
const FRAMES: u32 = 1024;
const FIRST_MADE: u32 = FIRST_FRAME + FRAMES;
/// Stores to different words that share one of these conflict for no reason, which costs time.
const MADES: u32 = 1 << 15;
const FIRST_STACK: u32 = FIRST_MADE + MADES;
const FIRST_KEPT: u32 = FIRST_STACK + 32;
/// Two words that share one of these are kept together, which costs states. Which do depends on their distance
/// alone, so that counts do not depend on the size of an image; in the stacks of 16 agents none do at the
/// same depth.
const KEPTS: u32 = 1 << 15;
const FIRST_MEMORY: u32 = FIRST_KEPT + KEPTS;

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
    /// What the TLB and the paging-structure caches hold.
    Tlb,
    /// Whether an NMI is pending.
    Nmi,
}

impl Word {
    /// How many NMIs may still come without being sent.
    pub(crate) const NMI_BUDGET: Word = Word(FIRST_GLOBAL + 1);

    pub(crate) fn part(cpu: u8, part: Part) -> Word {
        let part = match part {
            Part::Cr0 => 0,
            Part::Cr2 => 1,
            Part::Cr3 => 2,
            Part::Cr4 => 3,
            Part::InterruptFlag => 4,
            Part::Pending => 5,
            Part::Buffer => 6,
            Part::Tlb => 7,
            Part::Nmi => 8,
        };
        Word(u32::from(cpu) * PARTS + part)
    }

    #[inline]
    pub(crate) fn memory(location: u64) -> Word {
        Word(FIRST_MEMORY + u32::try_from(location / 8).expect("memory of less than 32 GiB"))
    }

    /// The word that a buffered store goes to.
    #[inline]
    pub(crate) fn of_store(store: Store) -> Word {
        Word::memory(store.location)
    }

    /// The page tables of all address spaces, and which frames are free: what a change of an entry
    /// writes, and whatever walks or invalidates reads.
    pub(crate) const TABLES: Word = Word(FIRST_GLOBAL);

    /// Whether the frame at this offset into the heap holds a table. Its being shared says so: whoever
    /// finds a table there makes it contended.
    pub(crate) fn table(offset: u64) -> Word {
        let frame = u32::try_from(offset / 4096).ok().filter(|frame| *frame < FRAMES);
        Word(FIRST_FRAME + frame.expect("a heap of less than 4 MiB"))
    }

    /// Whether a word of a stack is kept when it is below the stack pointer. Its being shared says so:
    /// whoever reads a dead byte of the word makes it contended.
    pub(crate) fn kept(self) -> Word {
        Word(FIRST_KEPT + self.0 % KEPTS)
    }

    /// Whether all of an agent's stack is kept.
    pub(crate) fn kept_stack(agent: Agent) -> Word {
        Word(FIRST_STACK + u32::from(agent.0))
    }

    /// Says only what is to be kept of stacks: nobody acts on it.
    #[must_use]
    pub fn is_about_keeping(self) -> bool {
        (FIRST_STACK..FIRST_MEMORY).contains(&self.0)
    }

    /// The location of its first byte, for a word of memory.
    pub fn location(self) -> Option<u64> {
        self.0.checked_sub(FIRST_MEMORY).map(|n| u64::from(n) * 8)
    }

    /// For a word of memory: the stores that were made to it, whether they are visible yet or not. It
    /// changes when a store enters a store buffer; invariants see it, and no CPU does.
    #[must_use]
    pub fn made(self) -> Option<Word> {
        self.location().map(|_| Word(FIRST_MADE + self.0 % MADES))
    }
}

#[cfg(test)]
mod tests {
    use abi::layout::MAX_CPUS;

    use super::*;
    use crate::agent::{CPUS, RUNNING_AGENTS, Role};

    #[test]
    fn numbers_of_agents_and_words_do_not_overlap() {
        assert_eq!(usize::from(CPUS), MAX_CPUS);
        assert_eq!(FIRST_GLOBAL, PARTS * u32::from(CPUS));
        let agents = (0..Agent::COUNT).map(|agent| Agent(agent).role());
        let is_handler =
            |role: &Role| matches!(role, Role::Interrupt(_) | Role::Nmi(_) | Role::NestedNmi(_));
        assert_eq!(agents.filter(is_handler).count(), 3 * usize::from(CPUS));
        const { assert!(Agent::COUNT <= 64, "the search has no more") };
        let last = Word::part(CPUS - 1, Part::Nmi);
        assert!(last < Word::TABLES && Word::TABLES < Word::NMI_BUDGET);
        assert_eq!(Word::NMI_BUDGET.location(), None);
        assert_eq!(Word::memory(0).location(), Some(0));
        assert_eq!(last.location(), None);
        const { assert!(RUNNING_AGENTS <= 32, "each has a word about its stack") };
        let kept = Word::memory(8 * 12345).kept();
        assert!(kept.is_about_keeping() && Word::kept_stack(Agent::OBSERVER).is_about_keeping());
        assert!(!Word::memory(0).is_about_keeping() && kept.location().is_none());
    }
}
