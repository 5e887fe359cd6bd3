//! The store buffer of a CPU: x86-TSO.
//!
//! A FIFO of stores that the CPU has made and nobody else can see (Owens, Sarkar, Sewell, *A Better x86
//! Memory Model: x86-TSO*, TPHOLs 2009). Its own loads are served from the newest store to the bytes
//! they want.
//!
//! # What drains
//!
//! An instruction that drains *waits* until the buffer is empty: draining is the hardware's steps, between
//! which other CPUs may act. SDM vol. 3 §8.2.5, §8.3 and §11.10:
//!
//! | drains | does not |
//! | --- | --- |
//! | LOCKed instructions, XCHG with memory | plain loads and stores |
//! | what comes after MFENCE, but for stores and the x2APIC | SFENCE, LFENCE |
//! | MOV to CR, INVLPG, INVPCID, CPUID, WRMSR | WRMSR to x2APIC MSRs (§8.3 note 4) |
//! | delivery of an interrupt, return from it | STI, CLI, SWAPGS, HLT |
//!
//! SFENCE could be read as draining in §11.10, but does not keep later loads back (§8.2.5); on
//! write-back memory, where stores stay in order anyway, that is no effect at all.
//!
//! MFENCE keeps later *loads* back until earlier stores are visible. A WRMSR to the x2APIC is no load: §10.12.3
//! asks for a serialising instruction or for MFENCE and LFENCE before it (editions from 2021 on; older ones
//! were content with MFENCE or SFENCE), and so does Linux since commit 25a068b8e9a4. So MFENCE leaves a
//! mark behind the newest store, and whatever is visible waits until all stores before the mark have
//! left, LFENCE, too; only stores, which stay behind them anyway, and such a WRMSR do not.
//!
//! # Partial overlap
//!
//! A load is served if the newest store that overlaps it holds all of its bytes. Otherwise it waits until no
//! buffered store overlaps it, as processors do whose forwarding fails. Accesses across an 8-byte boundary
//! are two accesses here as everywhere in this machine.

use std::collections::VecDeque;

/// A store that is not yet visible to others; within one 8-byte word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Location of its first byte.
    pub location: u64,
    /// 1 to 8 bytes.
    pub size: u8,
    /// The bytes, the lowest first; bytes beyond `size` do not matter.
    pub value: u64,
    /// It was made through page tables: its frame must not be freed before it is visible.
    pub paged: bool,
}

impl Store {
    /// Returns the number of its word.
    #[inline]
    pub fn word(self) -> u64 {
        self.location / 8
    }

    /// A bit for each byte of its word that it writes.
    fn bytes(self) -> u8 {
        bytes(self.location % 8, self.size)
    }
}

/// Returns the bits of `size` bytes from byte `offset` of a word on; what lies beyond the word has none.
pub fn bytes(offset: u64, size: u8) -> u8 {
    let mask = ((1u32 << size) - 1) << offset;
    u8::try_from(mask & 0xff).expect("masked")
}

/// The buffer's answer to a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Nothing: memory has the value.
    Memory,
    /// The wanted bytes, each at its place in the word.
    Value(u64),
    /// A part of it: the load has to wait.
    Overlap,
}

/// Stores that are not yet visible to others, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    stores: VecDeque<Store>,
    /// The number of stores, from the oldest on, that are before an MFENCE.
    fenced: usize,
}

impl Buffer {
    /// Tells whether it holds no store.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// Puts a store behind all others.
    pub fn push(&mut self, store: Store) {
        self.stores.push_back(store);
    }

    /// Returns the store that leaves next.
    pub fn oldest(&self) -> Option<Store> {
        self.stores.front().copied()
    }

    /// Takes out the oldest store, which becomes visible.
    pub fn pop(&mut self) -> Option<Store> {
        self.fenced = self.fenced.saturating_sub(1);
        self.stores.pop_front()
    }

    /// Returns all stores, the oldest first.
    pub fn stores(&self) -> &VecDeque<Store> {
        &self.stores
    }

    /// Puts the mark of an MFENCE behind the newest store.
    pub fn fence(&mut self) {
        self.fenced = self.stores.len();
    }

    /// Returns how many stores, from the oldest on, are before an MFENCE.
    pub fn fenced(&self) -> usize {
        self.fenced
    }

    /// Returns `value`, the `size` bytes that memory holds at `location`, as this CPU sees them.
    pub fn overlay(&self, location: u64, size: u8, mut value: u64) -> u64 {
        for store in &self.stores {
            for byte in 0..u64::from(store.size) {
                let place = (store.location + byte).wrapping_sub(location);
                if place < u64::from(size) {
                    value &= !(0xff << (8 * place));
                    value |= (store.value >> (8 * byte) & 0xff) << (8 * place);
                }
            }
        }
        value
    }

    /// Returns what a load of these `bytes` of the word with this number gets.
    pub fn forward(&self, word: u64, bytes: u8) -> Forward {
        let overlaps = |store: &&Store| store.word() == word && store.bytes() & bytes != 0;
        match self.stores.iter().rev().find(overlaps) {
            None => Forward::Memory,
            Some(store) if store.bytes() & bytes == bytes => {
                let value = store.value & crate::mask(store.size);
                Forward::Value(value << (8 * (store.location % 8)))
            }
            // The newest that overlaps is the last of them to leave.
            Some(_) => Forward::Overlap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(stores: &[(u64, u8, u64)]) -> Buffer {
        let stores = stores
            .iter()
            .map(|&(location, size, value)| Store { location, size, value, paged: false })
            .collect();
        Buffer { stores, fenced: 0 }
    }

    #[test]
    fn the_newest_store_that_overlaps_decides() {
        let buffer = buffer(&[(0x40, 8, 1), (0x40, 8, 2), (0x48, 8, 3)]);
        assert_eq!(buffer.forward(0x40 / 8, 0xff), Forward::Value(2));
        assert_eq!(buffer.forward(0x48 / 8, 0x0f), Forward::Value(3));
        assert_eq!(buffer.forward(0x50 / 8, 0xff), Forward::Memory);
    }

    #[test]
    fn a_part_is_not_enough() {
        let buffer = buffer(&[(0x40, 8, 0x1111_1111_1111_1111), (0x42, 2, 0xabcd)]);
        let word = 0x40 / 8;
        assert_eq!(buffer.forward(word, bytes(2, 2)), Forward::Value(0xabcd_0000));
        assert_eq!(buffer.forward(word, bytes(3, 1)), Forward::Value(0xabcd_0000));
        assert_eq!(buffer.forward(word, bytes(0, 8)), Forward::Overlap);
        assert_eq!(buffer.forward(word, bytes(4, 4)), Forward::Value(0x1111_1111_1111_1111));
    }

    #[test]
    fn stores_leave_in_order() {
        let mut buffer = buffer(&[(0x40, 8, 1), (0x48, 8, 2)]);
        assert_eq!(buffer.pop().map(|store| store.value), Some(1));
        assert_eq!(buffer.oldest().map(|store| store.value), Some(2));
        buffer.pop();
        assert!(buffer.is_empty() && buffer.pop().is_none());
    }

    #[test]
    fn a_mark_is_reached_when_the_stores_before_it_have_left() {
        let mut buffer = buffer(&[(0x40, 8, 1), (0x48, 8, 2)]);
        buffer.fence();
        buffer.push(Store { location: 0x50, size: 8, value: 3, paged: false });
        buffer.pop();
        assert_eq!(buffer.fenced(), 1);
        buffer.pop();
        assert_eq!((buffer.fenced(), buffer.stores().len()), (0, 1));
    }

    #[test]
    fn a_cpu_sees_its_own_stores_over_memory() {
        let buffer = buffer(&[(0x44, 4, 0x1111_1111), (0x46, 1, 0x22)]);
        assert_eq!(buffer.overlay(0x40, 8, 0x99), 0x1122_1111_0000_0099);
        assert_eq!(buffer.overlay(0x46, 2, 0), 0x1122);
        assert_eq!(buffer.overlay(0x48, 8, 7), 7);
    }

    #[test]
    fn bytes_beyond_the_word_do_not_count() {
        assert_eq!(bytes(0, 8), 0xff);
        assert_eq!(bytes(6, 4), 0xc0);
    }
}
