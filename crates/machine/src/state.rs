//! The machine's state lists its parts.

use std::sync::Arc;

use memory::buffer::Store;
use memory::{Memory, mix};

use crate::agent::CPUS;
use crate::cpu::Cpu;
use crate::word::{PARTS, Word};

/// All that changes while the machine runs.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) memory: Memory,
    /// Shared between snapshots; a step copies the CPUs it changes.
    pub(crate) cpus: Vec<Arc<Cpu>>,
    /// Physical addresses of frames that were freed, in ascending order.
    pub(crate) freed: Arc<Vec<u64>>,
    /// How many NMIs may still come without being sent.
    pub(crate) nmi_budget: u64,
}

impl State {
    /// CPU 0 alone.
    pub(crate) fn new(memory: Memory) -> State {
        let cpus = vec![Arc::new(Cpu::new(0))];
        State { memory, cpus, freed: Arc::default(), nmi_budget: 0 }
    }

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
        for (place, frame) in (0..).zip(self.freed.iter()) {
            sum = sum.wrapping_add(mix(u64::MAX - 64 - place, *frame));
        }
        // Adds nothing where there are none.
        sum.wrapping_add(mix(u64::MAX - 2 * u64::from(CPUS), self.nmi_budget))
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

    /// The value of a word as an observer sees it, with every store that was made: what its verdict
    /// depends on. `None` if it is more than a number: page tables, a TLB, what is pending.
    pub fn word(&self, word: Word) -> Option<u64> {
        if let Some(location) = word.location() {
            let value = self.memory.word(location / 8);
            let buffers = self.cpus.iter().map(|cpu| &cpu.system.buffer);
            return Some(buffers.fold(value, |value, buffer| buffer.overlay(location, 8, value)));
        }
        if word == Word::NMI_BUDGET {
            return Some(self.nmi_budget);
        }
        let cpu = self.cpus.get(usize::try_from(word.0 / PARTS).ok()?)?;
        match word.0 % PARTS {
            0 => Some(cpu.system.cr0),
            1 => Some(cpu.system.cr2),
            2 => Some(cpu.system.cr3),
            3 => Some(cpu.system.cr4),
            4 => Some(u64::from(cpu.interrupt_flag())),
            6 => Some(u64::from(!cpu.system.buffer.is_empty())),
            _ => None,
        }
    }

    /// Makes every store visible; the words they went to, with what these held. Of two to one word the
    /// higher CPU's wins: in one of the ways on from here it does.
    pub(crate) fn drain_all(&mut self) -> Vec<(u64, u64)> {
        let mut stores = Vec::new();
        for number in 0..self.cpu_count() {
            if self.cpu(number).system.buffer.is_empty() {
                continue;
            }
            for store in std::mem::take(&mut self.cpu_mut(number).system.buffer).stores() {
                let word = store.location / 8;
                stores.push((word, self.memory.word(word)));
                self.memory.store(store.location, store.size, store.value);
            }
        }
        stores
    }

    /// Have all CPUs returned from what they were given, with no interrupt left?
    pub fn ended(&self) -> bool {
        self.cpus.iter().all(|cpu| cpu.is_ended())
    }

    /// Bytes this snapshot holds that its neighbour in the search does not, estimated: one CPU and
    /// two leaves of memory with the nodes above them.
    pub fn bytes(&self) -> usize {
        const LEAF_AND_NODES: usize = 288 + 2 * 16 * 8 + 3 * 16;
        let buffered = self.cpus.iter().map(|cpu| cpu.system.buffer.stores().len()).max();
        let buffered = buffered.unwrap_or(0) * size_of::<Store>();
        size_of::<State>() + self.cpus.len() * 8 + size_of::<Cpu>() + buffered + 2 * LEAF_AND_NODES
    }
}
