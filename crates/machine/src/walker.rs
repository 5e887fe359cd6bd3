//! What a page walk is for, and where it reads.

use memory::Memory;
use mmu::{Kind, Physical, Request};

use crate::layout::Layout;

/// An access to the user half, before LAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserAccess {
    pub(crate) pointer: u64,
    /// In bytes; 0 for an instruction fetch, whose length does not matter.
    pub(crate) size: u8,
    pub(crate) kind: Kind,
    /// At CPL 3.
    pub(crate) user: bool,
    /// RFLAGS.AC.
    pub(crate) ac: bool,
}

/// Modelled memory by physical address.
pub(crate) struct Ram<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) memory: &'a Memory,
}

impl Physical for Ram<'_> {
    fn entry(&self, pa: u64) -> Option<u64> {
        self.layout.physical(pa, 8).map(|location| self.memory.word(location / 8))
    }
}

impl UserAccess {
    /// What the walker is asked, with the address that LAM leaves.
    pub(crate) fn request(&self, va: u64) -> Request {
        Request { va, kind: self.kind, user: self.user, ac: self.ac }
    }
}
