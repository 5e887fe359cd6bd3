//! What an agent stands before.

use memory::buffer::{Buffer, Forward};

use crate::word::Word;

/// What the store buffer has to come to before an agent can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing.
    No,
    /// It is empty.
    Empty,
    /// None of its stores to the word of memory with this number is in the way of a load of these bytes.
    Forwarded(u64, u8),
    /// It holds no store that an MFENCE has followed.
    Fenced,
}

impl Wait {
    pub(crate) fn is_over(self, buffer: &Buffer) -> bool {
        match self {
            Wait::No => true,
            Wait::Empty => buffer.is_empty(),
            Wait::Fenced => buffer.fenced() == 0,
            Wait::Forwarded(word, bytes) => buffer.forward(word, bytes) != Forward::Overlap,
        }
    }

    /// For the fingerprint.
    pub(crate) fn code(self) -> u64 {
        match self {
            Wait::No => 0,
            Wait::Empty => 1,
            Wait::Fenced => 2,
            Wait::Forwarded(word, bytes) => 3 + (word << 8 | u64::from(bytes)),
        }
    }
}

/// What an agent does next: the visible operation it stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextOperation {
    /// Program point: instruction, and how far into it.
    pub point: u64,
    /// Depends on nothing but what it touches.
    pub reducible: bool,
    /// Enabled only when this is over.
    pub(crate) wait: Wait,
    touches: [(Word, bool); TOUCHES],
    count: u8,
}

/// Most words an operation announces: those of a translation that may fault or set flags at each of 5
/// levels, and what it waits for.
const TOUCHES: usize = 12;

impl NextOperation {
    /// Of one that touches more than can be announced the rest is not told, so it is irreducible.
    pub(crate) fn new(point: u64, touches: &[(Word, bool)]) -> NextOperation {
        let told = touches.len().min(TOUCHES - 1);
        let mut next = NextOperation {
            point,
            reducible: told == touches.len(),
            wait: Wait::No,
            touches: [(Word(0), false); TOUCHES],
            count: u8::try_from(told).expect("at most 11"),
        };
        next.touches[..told].copy_from_slice(&touches[..told]);
        next
    }

    pub(crate) fn irreducible(point: u64, touches: &[(Word, bool)]) -> NextOperation {
        NextOperation { reducible: false, ..NextOperation::new(point, touches) }
    }

    /// The same, and it reads `word` to see whether `wait` is over.
    pub(crate) fn waiting(mut self, wait: Wait, word: Word) -> NextOperation {
        self.wait = wait;
        self.touches[usize::from(self.count)] = (word, false);
        self.count += 1;
        self
    }

    /// The words it touches, and whether it writes them.
    pub fn touches(&self) -> &[(Word, bool)] {
        &self.touches[..usize::from(self.count)]
    }
}
