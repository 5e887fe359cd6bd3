//! Decoded instructions, by address.
//!
//! Text is never writable in this model (a store to it faults), so an address is decoded once, when it
//! is first reached, for all CPUs and all states.

use abi::hypercall::Hypercall;
use memory::index;
use x86::{Lowered, Op};

use crate::layout::{Layout, Segment};

/// What stands at an address.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Op(Op),
    Hypercall(Hypercall),
    /// Not modelled.
    Unsupported,
    /// Executable memory ends after so many bytes, before the instruction does.
    CutOff(u8),
}

/// All instructions reached so far.
#[derive(Debug)]
pub(crate) struct Code {
    /// By offset into the image: 0 not decoded, else number of the slot + 1.
    numbers: Vec<u32>,
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

impl Code {
    pub(crate) fn new(layout: &Layout, segments: &[Segment], calls: &[(u64, Hypercall)]) -> Code {
        let base = abi::layout::IMAGE_BASE;
        let end = segments.iter().filter(|s| s.executable).map(|s| s.va + s.size).max();
        let mut bytes = vec![0u8; index(end.unwrap_or(base) - base)];
        for segment in segments.iter().filter(|s| s.executable) {
            let start = index(segment.va - base);
            bytes[start..start + segment.bytes.len()].copy_from_slice(&segment.bytes);
        }
        let mut code = Code { numbers: vec![0; bytes.len()], slots: Vec::new(), bytes };
        for (va, call) in calls {
            if let Some(offset) = layout.executable(*va) {
                code.put(index(offset), Slot::Hypercall(*call));
            }
        }
        code
    }

    fn put(&mut self, offset: usize, slot: Slot) -> usize {
        self.slots.push(slot);
        self.numbers[offset] =
            u32::try_from(self.slots.len()).expect("fewer than 2^32 instructions");
        self.slots.len() - 1
    }

    /// The number of the slot at `rip`; `None` where nothing executable is mapped.
    #[inline]
    pub(crate) fn at(&mut self, layout: &Layout, rip: u64) -> Option<usize> {
        let offset = index(layout.executable(rip)?);
        match *self.numbers.get(offset)? {
            0 => Some(self.decode(layout, offset, rip)),
            number => usize::try_from(number - 1).ok(),
        }
    }

    #[inline]
    pub(crate) fn slot(&self, number: usize) -> &Slot {
        &self.slots[number]
    }

    #[cold]
    fn decode(&mut self, layout: &Layout, offset: usize, rip: u64) -> usize {
        let executable = |va: &u64| layout.executable(*va).is_some();
        let length = (rip..).take(x86::MAX_LEN).take_while(executable).count();
        let end = (offset + length).min(self.bytes.len());
        let slot = match x86::lower(&self.bytes[offset..end], rip) {
            Lowered::Op(op) => Slot::Op(op),
            // At CPL 0 and with IA32_EFER.SCE none of them is known to fault.
            Lowered::Unsupported { .. } => Slot::Unsupported,
            Lowered::Incomplete => Slot::CutOff(u8::try_from(end - offset).expect("at most 15")),
        };
        self.put(offset, slot)
    }

    /// The set of instructions to which the one at `rip` belongs, if the modelled processor lacks it.
    pub(crate) fn lacking(&self, layout: &Layout, rip: u64) -> Option<String> {
        let offset = index(layout.executable(rip)?);
        let end = (offset + x86::MAX_LEN).min(self.bytes.len());
        x86::lacking(self.bytes.get(offset..end)?)
    }

    /// The disassembly of what stands at `rip`.
    pub(crate) fn text(&self, layout: &Layout, rip: u64) -> Option<String> {
        let offset = index(layout.executable(rip)?);
        let end = (offset + x86::MAX_LEN).min(self.bytes.len());
        Some(x86::disassemble(self.bytes.get(offset..end)?, rip))
    }
}

#[cfg(test)]
mod tests {
    use abi::layout::IMAGE_BASE;

    use super::*;

    fn segment(page: u64, bytes: Vec<u8>, executable: bool) -> Segment {
        Segment { va: IMAGE_BASE + 0x1000 * page, bytes, size: 0x1000, writable: false, executable }
    }

    /// What is on the page behind belongs to no instruction.
    #[test]
    fn an_instruction_ends_where_executable_memory_does() {
        // The start of `add %al,(%rax)`, and what would go on with it.
        let mut code = vec![0x90; 0x1000];
        code[0xfff] = 0;
        let segments =
            [segment(0, code, true), segment(1, vec![0; 1], false), segment(2, vec![0x90], true)];
        let layout = Layout::new(&segments).expect("a layout");
        let mut code = Code::new(&layout, &segments, &[]);
        let number = code.at(&layout, IMAGE_BASE + 0xfff).expect("executable");
        assert!(matches!(code.slot(number), Slot::CutOff(1)));
        assert!(code.at(&layout, IMAGE_BASE + 0x1000).is_none());
    }
}
