//! What an agent stands before.

use crate::word::Word;

/// What an agent does next: the visible operation it stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextOperation {
    /// Program point: instruction, and how far into it.
    pub point: u64,
    /// Depends on nothing but what it touches.
    pub reducible: bool,
    touches: [(Word, bool); 2],
    count: u8,
}

impl NextOperation {
    pub(crate) fn new(point: u64, touches: &[(Word, bool)]) -> NextOperation {
        let mut next = NextOperation {
            point,
            reducible: true,
            touches: [(Word(0), false); 2],
            count: u8::try_from(touches.len()).expect("at most 2"),
        };
        next.touches[..touches.len()].copy_from_slice(touches);
        next
    }

    pub(crate) fn irreducible(point: u64, touches: &[(Word, bool)]) -> NextOperation {
        NextOperation { reducible: false, ..NextOperation::new(point, touches) }
    }

    /// The words it touches, and whether it writes them.
    pub fn touches(&self) -> &[(Word, bool)] {
        &self.touches[..usize::from(self.count)]
    }
}
