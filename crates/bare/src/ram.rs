//! Physical memory from address 0 on, and the instructions decoded out of it.

use std::collections::HashMap;

use memory::Memory;
use memory::index;
use mmu::Physical;
use x86::Op;

/// Memory, as everybody but a CPU with a store in its buffer sees it.
#[derive(Debug)]
pub(crate) struct Ram {
    words: Memory,
    size: u64,
    /// By frame, then by the address they are executed at.
    code: Vec<Option<HashMap<u64, Op>>>,
}

impl Physical for Ram {
    fn entry(&self, pa: u64) -> Option<u64> {
        self.holds(pa, 8).then(|| self.words.word(pa / 8))
    }
}

impl Ram {
    /// `size` bytes of zeroes; a multiple of 4096.
    pub(crate) fn new(size: u64) -> Ram {
        Ram { words: Memory::new(size), size, code: vec![None; index(size / 4096)] }
    }

    /// Tells whether there are `size` bytes from `pa` on.
    pub(crate) fn holds(&self, pa: u64, size: u64) -> bool {
        pa.checked_add(size).is_some_and(|end| end <= self.size)
    }

    /// `size` (1 to 8) bytes at `pa`, where memory is.
    pub(crate) fn load(&self, pa: u64, size: u8) -> u64 {
        self.words.load(pa, size)
    }

    /// Stores the low `size` (1 to 8) bytes of `value` at `pa`, where memory is; within one word.
    pub(crate) fn store(&mut self, pa: u64, size: u8, value: u64) {
        self.words.store(pa, size, value);
        self.code[index(pa / 4096)] = None;
    }

    /// The instruction at `pa`, if it was decoded for `rip` and not stored to since.
    pub(crate) fn decoded(&self, pa: u64, rip: u64) -> Option<&Op> {
        self.code.get(index(pa / 4096))?.as_ref()?.get(&rip)
    }

    /// Keeps an instruction that lies within one page.
    pub(crate) fn keep(&mut self, pa: u64, rip: u64, op: &Op) {
        if let Some(frame) = self.code.get_mut(index(pa / 4096)) {
            frame.get_or_insert_default().insert(rip, op.clone());
        }
    }
}
