//! Where things are, and what an address means.
//!
//! The kernel half is translated by arithmetic: the image at its linked place, and a direct map that
//! holds the set-up's heap, then an arena and a stack for every agent, each stack behind an unmapped
//! guard page. The user half is what page tables in the heap say, or, for a scenario without, one flat
//! range of bytes that every address space maps.

use std::ops::Range;

use abi::layout::{HEAP_BASE, HEAP_PHYS, IMAGE_BASE, USER_BASE, USER_SIZE};
use memory::index;
use mmu::bits::PHYSICAL_BITS;

use crate::agent::{Agent, RUNNING_AGENTS, Role};
use crate::word::Word;

pub(crate) const PAGE: u64 = 4096;
const SETUP_BYTES: u64 = 1 << 20;
const ARENA_BYTES: u64 = 16 << 10;
const STACK_BYTES: u64 = 60 << 10;
const SLOT_BYTES: u64 = ARENA_BYTES + PAGE + STACK_BYTES;

const READ: u8 = 1;
const WRITE: u8 = 2;
const EXECUTE: u8 = 4;

const _: () = assert!(HEAP_PHYS & 0xfff == 0 && HEAP_PHYS < 1 << PHYSICAL_BITS);

/// A loadable piece of the guest's image.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Address of the first byte.
    pub va: u64,
    /// Initialised bytes; the rest up to `size` is zero.
    pub bytes: Vec<u8>,
    /// Size in memory, in bytes.
    pub size: u64,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
}

/// The map of the guest's memory. A *location* is the number of a byte in all modelled memory.
#[derive(Debug)]
pub struct Layout {
    image_pages: u64,
    heap_pages: u64,
    permissions: Vec<u8>,
}

/// What an access wants of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Read,
    Write,
}

/// A region of kernel memory outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The heap of set-up.
    SetUpHeap,
    /// The memory that an agent allocates from while it runs.
    Arena(Agent),
    /// The page below the stack of an agent, which is not mapped.
    Guard(Agent),
    /// The stack of an agent.
    Stack(Agent),
}

impl Layout {
    /// The map for an image of these segments.
    ///
    /// # Errors
    ///
    /// A segment outside the kernel's topmost 2 GiB, or two of different rights on one page.
    pub fn new(segments: &[Segment]) -> Result<Layout, String> {
        let end = segments.iter().map(|s| s.va.saturating_add(s.size)).max().unwrap_or(IMAGE_BASE);
        for segment in segments {
            if segment.va < IMAGE_BASE || segment.va.checked_add(segment.size).is_none() {
                return Err(format!(
                    "a segment is at {:#x}; guests are linked at {IMAGE_BASE:#x} (build them with `lamprey check`, or use its linker script)",
                    segment.va
                ));
            }
        }
        if end - IMAGE_BASE > 1 << 30 {
            return Err(format!(
                "the image ends at {end:#x}, more than 1 GiB after {IMAGE_BASE:#x}"
            ));
        }
        let image_pages = (end - IMAGE_BASE).div_ceil(PAGE);
        let heap_pages = (SETUP_BYTES + u64::from(RUNNING_AGENTS) * SLOT_BYTES) / PAGE;
        let user_pages = USER_SIZE / PAGE;
        let mut permissions = vec![0; index(image_pages + heap_pages + user_pages)];
        for segment in segments.iter().filter(|s| s.size > 0) {
            let rights = READ
                | if segment.writable { WRITE } else { 0 }
                | if segment.executable { EXECUTE } else { 0 };
            let first = (segment.va - IMAGE_BASE) / PAGE;
            let last = (segment.va + segment.size - 1 - IMAGE_BASE) / PAGE;
            for page in first..=last {
                let slot = &mut permissions[index(page)];
                if *slot != 0 && *slot != rights {
                    return Err(format!(
                        "two segments with different rights share the page at {:#x}; align them to 4096 bytes",
                        IMAGE_BASE + page * PAGE
                    ));
                }
                *slot = rights;
            }
        }
        permissions[index(image_pages)..].fill(READ | WRITE);
        let layout = Layout { image_pages, heap_pages, permissions };
        let mut layout = layout;
        for agent in 0..RUNNING_AGENTS {
            let guard = layout.image_pages + (slot_base(agent) + ARENA_BYTES - HEAP_BASE) / PAGE;
            layout.permissions[index(guard)] = 0;
        }
        Ok(layout)
    }

    /// The words of the stacks of all agents but the observer, who starts in every state as set-up left it.
    pub(crate) fn stacks(&self) -> Vec<Range<u64>> {
        let word = |va: u64| (va - HEAP_BASE + self.image_pages * PAGE) / 8;
        let agents = (0..RUNNING_AGENTS).map(Agent).filter(|agent| *agent != Agent::OBSERVER);
        agents.map(stack).map(|(low, top)| word(low)..word(top)).collect()
    }

    /// The agent whose stack a location is in, and its address there.
    #[inline]
    pub(crate) fn stack_at(&self, location: u64) -> Option<(Agent, u64)> {
        let offset = location.checked_sub(self.image_pages * PAGE + SETUP_BYTES)?;
        let agent = u8::try_from(offset / SLOT_BYTES).ok().filter(|n| *n < RUNNING_AGENTS)?;
        let is_stack = offset % SLOT_BYTES >= ARENA_BYTES + PAGE;
        is_stack.then_some((Agent(agent), HEAP_BASE + SETUP_BYTES + offset))
    }

    /// Bytes of modelled memory.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.permissions.len()).unwrap_or(0) * PAGE
    }

    /// The location of kernel address `va`, if all `size` bytes are mapped with the right wanted.
    #[inline]
    pub(crate) fn kernel(&self, va: u64, size: u8, want: Want) -> Option<u64> {
        let need = if want == Want::Write { WRITE } else { READ };
        let (offset, first, pages) = if va >= IMAGE_BASE {
            (va - IMAGE_BASE, 0, self.image_pages)
        } else {
            (va.wrapping_sub(HEAP_BASE), self.image_pages, self.heap_pages)
        };
        let last = offset.checked_add(u64::from(size) - 1)? / PAGE;
        if last >= pages {
            return None;
        }
        let page = first + offset / PAGE;
        if self.permissions[index(page)] & need == 0
            || self.permissions[index(first + last)] & need == 0
        {
            return None;
        }
        Some(first * PAGE + offset)
    }

    /// The location of physical address `pa`, if all `size` bytes are in the heap.
    #[inline]
    pub(crate) fn physical(&self, pa: u64, size: u8) -> Option<u64> {
        let offset = pa.checked_sub(HEAP_PHYS)?;
        (offset.checked_add(u64::from(size))? <= self.heap_pages * PAGE)
            .then(|| self.image_pages * PAGE + offset)
    }

    /// The physical address of a location in the heap; the image and flat user memory have none.
    pub(crate) fn physical_address(&self, location: u64) -> Option<u64> {
        let offset = location.checked_sub(self.image_pages * PAGE)?;
        (offset < self.heap_pages * PAGE).then_some(HEAP_PHYS + offset)
    }

    /// The linear address, in the direct map, of a word of memory at physical address `pa`.
    pub fn direct_map(&self, pa: u64) -> Option<u64> {
        self.physical(pa, 8).map(|location| self.address(location))
    }

    /// The word that says whether the frame of a location holds a table; none outside the heap.
    #[inline]
    pub(crate) fn table_word(&self, location: u64) -> Option<Word> {
        let offset = location.checked_sub(self.image_pages * PAGE)?;
        (offset < self.heap_pages * PAGE).then(|| Word::table(offset))
    }

    /// The location of user address `va` (after LAM) in flat user memory, if mapped.
    pub(crate) fn user(&self, va: u64, size: u8) -> Option<u64> {
        let offset = va.checked_sub(USER_BASE)?;
        (offset + u64::from(size) <= USER_SIZE)
            .then(|| (self.image_pages + self.heap_pages) * PAGE + offset)
    }

    /// Offset into the image of an executable address.
    #[inline]
    pub(crate) fn executable(&self, va: u64) -> Option<u64> {
        let offset = va.checked_sub(IMAGE_BASE)?;
        let page = offset / PAGE;
        (page < self.image_pages && self.permissions[index(page)] & EXECUTE != 0).then_some(offset)
    }

    /// Finds the region of a kernel address outside the image.
    pub fn region(&self, va: u64) -> Option<Region> {
        let offset = va.checked_sub(HEAP_BASE).filter(|offset| *offset < self.heap_pages * PAGE)?;
        let Some(offset) = offset.checked_sub(SETUP_BYTES) else { return Some(Region::SetUpHeap) };
        let owner = Agent(u8::try_from(offset / SLOT_BYTES).ok()?);
        Some(match offset % SLOT_BYTES {
            at if at < ARENA_BYTES => Region::Arena(owner),
            at if at < ARENA_BYTES + PAGE => Region::Guard(owner),
            _ => Region::Stack(owner),
        })
    }

    /// The address a location stands for: the inverse of the translations.
    pub fn address(&self, location: u64) -> u64 {
        let page = location / PAGE;
        if page < self.image_pages {
            IMAGE_BASE + location
        } else if page < self.image_pages + self.heap_pages {
            HEAP_BASE + location - self.image_pages * PAGE
        } else {
            USER_BASE + location - (self.image_pages + self.heap_pages) * PAGE
        }
    }
}

/// Start and end of the set-up's heap.
pub(crate) const SETUP_ARENA: (u64, u64) = (HEAP_BASE, HEAP_BASE + SETUP_BYTES);

/// Start and end of what an agent may allocate while it runs: an arena of its own, so that addresses
/// do not depend on the interleaving.
pub(crate) fn arena(agent: Agent) -> (u64, u64) {
    let base = slot_base(owner(agent).0);
    (base, base + ARENA_BYTES)
}

/// Lowest address of an agent's stack and the address after its last byte.
pub(crate) fn stack(agent: Agent) -> (u64, u64) {
    let low = slot_base(owner(agent).0) + ARENA_BYTES + PAGE;
    (low, low + STACK_BYTES)
}

/// Whose arena and stack an agent has: an NMI within an NMI starts on the same stack, as through the IST.
pub(crate) fn owner(agent: Agent) -> Agent {
    match agent.role() {
        Role::NestedNmi(cpu) => Agent::nmi(cpu),
        _ => agent,
    }
}

/// Is `va` in the arena of some agent?
pub(crate) fn in_an_arena(va: u64) -> bool {
    let offset = va.checked_sub(slot_base(0));
    offset.is_some_and(|offset| {
        offset / SLOT_BYTES < u64::from(RUNNING_AGENTS) && offset % SLOT_BYTES < ARENA_BYTES
    })
}

fn slot_base(agent: u8) -> u64 {
    HEAP_BASE + SETUP_BYTES + u64::from(agent) * SLOT_BYTES
}
