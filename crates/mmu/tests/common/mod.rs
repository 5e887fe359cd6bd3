//! Physical memory for tests.

// Each test uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use mmu::Paging;
use mmu::Physical;
use mmu::bits::{
    CR0_PG, CR0_WP, CR4_PAE, CR4_PCIDE, CR4_PGE, ENTRY_A, ENTRY_D, ENTRY_P, ENTRY_RW, ENTRY_US,
};

/// P, R/W, U/S, A, D.
pub(crate) const OPEN: u64 = ENTRY_P | ENTRY_RW | ENTRY_US | ENTRY_A | ENTRY_D;

/// Memory below 1 MiB, zero where nothing was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Memory {
    words: BTreeMap<u64, u64>,
}

impl Memory {
    /// Stores an entry.
    pub(crate) fn store(&mut self, pa: u64, value: u64) {
        self.words.insert(pa, value);
    }
}

impl Physical for Memory {
    fn entry(&self, pa: u64) -> Option<u64> {
        assert_eq!(pa % 8, 0, "an entry is aligned");
        (pa < 1 << 20).then(|| self.words.get(&pa).copied().unwrap_or(0))
    }
}

/// IA-32e mode with PCIDs and global pages.
pub(crate) fn paging(root: u64, pcid: u64) -> Paging {
    Paging { cr0: CR0_PG | CR0_WP, cr3: root | pcid, cr4: CR4_PAE | CR4_PGE | CR4_PCIDE, nxe: true }
}
