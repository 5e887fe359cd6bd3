//! A CPU's PCID slots: the spaces that it remembers, and the generation of its TLB for each.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::cr3::Pcid;

/// Spaces that a CPU keeps translations of. Few, as in Linux: a TLB holds no more working sets.
pub const SLOTS: usize = 6;

/// The slots of a CPU. Only the owning CPU accesses them, with interrupts off, and not even its
/// NMIs do. Hence Relaxed throughout: the atomics only give interior mutability.
#[derive(Debug)]
pub(crate) struct Slots {
    slot: [Slot; SLOTS],
    /// The slot evicted next, round-robin.
    next: AtomicU8,
}

/// Nothing in the TLB under this slot's PCID is older than `tlb_gen` of the space `ctx_id`.
#[derive(Debug)]
struct Slot {
    /// Id of the space, 0 if free. Never reused: no slot can be mistaken for another space's.
    ctx_id: AtomicU64,
    tlb_gen: AtomicU64,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            slot: [const { Slot { ctx_id: AtomicU64::new(0), tlb_gen: AtomicU64::new(0) } }; SLOTS],
            next: AtomicU8::new(0),
        }
    }

    /// Forgets every space.
    pub(crate) fn clear(&self) {
        for slot in &self.slot {
            slot.ctx_id.store(0, Relaxed);
        }
    }

    /// Chooses the PCID for a space at generation `tlb_gen`; also returns whether its TLB entries
    /// are that fresh. If not, the caller flushes; the slot is recorded as if it had.
    #[inline]
    pub(crate) fn choose(&self, ctx_id: u64, tlb_gen: u64) -> (Pcid, bool) {
        for (index, slot) in self.slot.iter().enumerate() {
            if slot.ctx_id.load(Relaxed) == ctx_id {
                let fresh = slot.tlb_gen.load(Relaxed) == tlb_gen;
                slot.tlb_gen.store(tlb_gen, Relaxed);
                return (Pcid::of_slot(index), fresh);
            }
        }
        let index = usize::from(self.next.load(Relaxed)) % SLOTS;
        self.next.store(((index + 1) % SLOTS) as u8, Relaxed);
        self.slot[index].ctx_id.store(ctx_id, Relaxed);
        self.slot[index].tlb_gen.store(tlb_gen, Relaxed);
        (Pcid::of_slot(index), false)
    }

    /// Records a flush of `pcid`. The kernel's PCID has no slot: nothing is recorded.
    #[inline]
    pub(crate) fn record(&self, pcid: Pcid, tlb_gen: u64) {
        if let Some(slot) = self.slot.get(pcid.slot()) {
            slot.tlb_gen.store(tlb_gen, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_slot_again_and_evicts_round_robin() {
        let slots = Slots::new();
        for id in 1..=6 {
            assert_eq!(slots.choose(id, 0), (Pcid::of_slot(id as usize - 1), false));
        }
        assert_eq!(slots.choose(2, 0), (Pcid::of_slot(1), true));
        assert_eq!(slots.choose(2, 1), (Pcid::of_slot(1), false));
        assert_eq!(slots.choose(7, 0), (Pcid::of_slot(0), false));
        assert_eq!(slots.choose(1, 0), (Pcid::of_slot(1), false));
    }

    #[test]
    fn record_updates_only_the_given_slot() {
        let slots = Slots::new();
        slots.choose(1, 0);
        slots.choose(2, 0);
        slots.record(Pcid::of_slot(0), 3);
        slots.record(Pcid::KERNEL, 9);
        assert_eq!(slots.choose(1, 3), (Pcid::of_slot(0), true));
        assert_eq!(slots.choose(2, 0), (Pcid::of_slot(1), true));
        slots.clear();
        assert!(!slots.choose(2, 0).1);
    }
}
