//! The inputs of a walk: memory, control registers, and the meaning of one table's entry.

use crate::bits::{
    CR0_WP, CR3_PCID, CR4_LA57, CR4_PCIDE, CR4_PGE, CR4_SMAP, CR4_SMEP, ENTRY_D, ENTRY_G, ENTRY_P,
    ENTRY_PS, ENTRY_RW, ENTRY_US, ENTRY_XD, PHYSICAL_BITS,
};

/// Physical memory as the page walker reads it: coherent, without store buffers.
pub trait Physical {
    /// Returns the 8 bytes at `pa`, which is a multiple of 8; `None` where there is no memory.
    fn entry(&self, pa: u64) -> Option<u64>;
}

/// The control registers of one CPU that paging depends on. Paging is on, in IA-32e mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Paging {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.NXE.
    pub nxe: bool,
}

impl Paging {
    /// Returns the current PCID: 0 unless CR4.PCIDE is set (SDM vol. 3 §4.10.1).
    pub fn pcid(&self) -> u16 {
        if self.pcide() { low_bits(self.cr3) } else { 0 }
    }

    /// Returns the physical address of the topmost table.
    pub fn root(&self) -> u64 {
        self.cr3 & FRAME
    }

    /// Returns the number of levels: 4, or 5 with CR4.LA57.
    pub fn levels(&self) -> u8 {
        if self.la57() { 5 } else { 4 }
    }

    /// Returns CR4.LA57.
    pub fn la57(&self) -> bool {
        self.cr4 & CR4_LA57 != 0
    }

    /// Returns CR4.PCIDE.
    pub fn pcide(&self) -> bool {
        self.cr4 & CR4_PCIDE != 0
    }

    /// Returns CR4.PGE.
    pub fn pge(&self) -> bool {
        self.cr4 & CR4_PGE != 0
    }

    /// Returns CR0.WP.
    pub fn wp(&self) -> bool {
        self.cr0 & CR0_WP != 0
    }

    /// Returns CR4.SMEP.
    pub fn smep(&self) -> bool {
        self.cr4 & CR4_SMEP != 0
    }

    /// Returns CR4.SMAP.
    pub fn smap(&self) -> bool {
        self.cr4 & CR4_SMAP != 0
    }
}

/// Size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    /// 4 KiB, mapped by a PTE.
    K4,
    /// 2 MiB, mapped by a PDE.
    M2,
    /// 1 GiB, mapped by a PDPTE.
    G1,
}

impl Size {
    /// All sizes, the smallest first.
    pub const ALL: [Self; 3] = [Self::K4, Self::M2, Self::G1];

    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        1 << shift(self.level())
    }

    /// Returns the level of the entry that maps such a page: 1 PTE, 2 PDE, 3 PDPTE.
    pub fn level(self) -> u8 {
        match self {
            Self::K4 => 1,
            Self::M2 => 2,
            Self::G1 => 3,
        }
    }
}

/// The rights that the entries on a path give together (SDM vol. 3 §4.6): R/W and U/S of all, XD of
/// any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rights {
    /// R/W is set at every level.
    pub writable: bool,
    /// U/S is set at every level.
    pub user: bool,
    /// XD is set at some level.
    pub xd: bool,
}

impl Rights {
    /// The rights before the first entry.
    pub const ALL: Self = Self { writable: true, user: true, xd: false };

    /// Returns the rights with one more entry on the path.
    #[must_use]
    pub fn and(self, entry: u64) -> Self {
        Self {
            writable: self.writable && entry & ENTRY_RW != 0,
            user: self.user && entry & ENTRY_US != 0,
            xd: self.xd || entry & ENTRY_XD != 0,
        }
    }

    /// Returns the rights as bits, for fingerprints.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.writable) | u64::from(self.user) << 1 | u64::from(self.xd) << 2
    }
}

/// A mapping from a linear page to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Translation {
    /// Size of the page.
    pub size: Size,
    /// Linear address of the page's first byte.
    pub va: u64,
    /// Physical address of the page's first byte.
    pub frame: u64,
    /// Rights of the path.
    pub rights: Rights,
    /// G of the entry that maps the page; it has an effect only with CR4.PGE.
    pub global: bool,
    /// D of the entry that maps the page.
    pub dirty: bool,
}

impl Translation {
    /// Returns whether the page contains `va`.
    pub fn covers(&self, va: u64) -> bool {
        va & !(self.size.bytes() - 1) == self.va
    }

    /// Returns the physical address of `va`, an address in this page.
    pub fn physical(&self, va: u64) -> u64 {
        self.frame | va & (self.size.bytes() - 1)
    }

    pub(crate) fn new(va: u64, size: Size, frame: u64, entry: u64, rights: Rights) -> Self {
        let global = entry & ENTRY_G != 0;
        let dirty = entry & ENTRY_D != 0;
        Self { size, va: va & !(size.bytes() - 1), frame, rights, global, dirty }
    }
}

/// The meaning of one paging-structure entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    NotPresent,
    Reserved,
    /// The next table is at this physical address.
    Table(u64),
    /// The entry maps a page at this physical address.
    Page(Size, u64),
}

/// Bits 45:12: the frame that an entry or CR3 names.
const FRAME: u64 = ((1 << PHYSICAL_BITS) - 1) & !0xfff;
/// Bits 51:46, reserved in every present entry.
const ABOVE: u64 = ((1 << 52) - 1) & !((1 << PHYSICAL_BITS) - 1);
/// Bit 12 of an entry that maps a large page is PAT, no part of the address.
const LARGE_PAT: u64 = 1 << 12;

/// Decodes `entry`, of a table at `level` (SDM vol. 3 §4.5, tables 4-14 to 4-19).
pub(crate) fn meaning(entry: u64, level: u8, nxe: bool) -> Meaning {
    if entry & ENTRY_P == 0 {
        return Meaning::NotPresent;
    }
    if entry & ABOVE != 0 || (entry & ENTRY_XD != 0 && !nxe) {
        return Meaning::Reserved;
    }
    let frame = entry & FRAME;
    let size = match level {
        1 => return Meaning::Page(Size::K4, frame),
        _ if entry & ENTRY_PS == 0 => return Meaning::Table(frame),
        2 => Size::M2,
        3 => Size::G1,
        _ => return Meaning::Reserved,
    };
    let frame = frame & !LARGE_PAT;
    if frame & (size.bytes() - 1) == 0 { Meaning::Page(size, frame) } else { Meaning::Reserved }
}

/// Returns the lowest bit of a linear address that selects an entry at `level`.
pub(crate) fn shift(level: u8) -> u32 {
    12 + 9 * (u32::from(level) - 1)
}

/// Returns `va` without the bits below those that select an entry at `level`.
pub(crate) fn prefix(va: u64, level: u8) -> u64 {
    va >> shift(level) << shift(level)
}

/// Returns the physical address of the entry that `va` selects in the table at `table`, of `level`.
pub(crate) fn entry_address(table: u64, level: u8, va: u64) -> u64 {
    table + (va >> shift(level) & 0x1ff) * 8
}

/// Returns the PCID field of a CR3 value or a descriptor.
pub(crate) fn low_bits(value: u64) -> u16 {
    u16::try_from(value & CR3_PCID).expect("12 bits")
}
