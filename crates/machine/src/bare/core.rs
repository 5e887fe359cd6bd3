//! The registers of a CPU that are not an instruction's everyday business, and what is inside it.

use interrupts::{NmiBlocking, Shadow};
use mmu::{Paging, Tlb};
use x86::Segment;

use super::control::{CR0_START, CR4_START, EFER_NXE, EFER_START};
use crate::buffer::Buffer;

/// Base and limit in bytes, less one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) base: u64,
    pub(super) limit: u32,
}

/// A segment register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) selector: u16,
    /// DPL, where a return to an outer level looks at it: data, and code that is not conforming.
    pub(super) level: Option<u8>,
}

/// One CPU but for its `x86::Regs`.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) number: u8,
    pub(super) cr0: u64,
    pub(super) cr2: u64,
    pub(super) cr3: u64,
    pub(super) cr4: u64,
    pub(super) efer: u64,
    pub(super) tsc_aux: u64,
    pub(super) cpl: u8,
    /// ES, CS, SS, DS, FS, GS.
    segments: [Loaded; 6],
    pub(super) gdt: Extent,
    pub(super) idt: Extent,
    /// TR: selector and segment.
    pub(super) task: (u16, Extent),
    pub(super) shadow: Shadow,
    /// The shadow that the instruction now executed is in.
    pub(super) shadow_before: Shadow,
    pub(super) nmis: NmiBlocking,
    pub(super) halted: bool,
    /// Stores that nobody else can see yet.
    pub(super) buffer: Buffer,
    pub(super) tlb: Tlb,
}

impl Core {
    /// In 64-bit mode at CPL 0, with empty descriptor tables and the page tables at `cr3`.
    pub(super) fn new(number: u8, cr3: u64) -> Core {
        let mut core = Core {
            number,
            cr0: CR0_START,
            cr2: 0,
            cr3,
            cr4: CR4_START,
            efer: EFER_START,
            tsc_aux: 0,
            cpl: 0,
            segments: [Loaded::default(); 6],
            gdt: Extent::default(),
            idt: Extent::default(),
            task: (0, Extent::default()),
            shadow: Shadow::None,
            shadow_before: Shadow::None,
            nmis: NmiBlocking::Open,
            halted: false,
            buffer: Buffer::default(),
            tlb: Tlb::new(),
        };
        core.segment_mut(Segment::Cs).selector = 0x08;
        core.segment_mut(Segment::Ss).selector = 0x10;
        core
    }

    pub(super) fn paging(&self) -> Paging {
        let nxe = self.efer & EFER_NXE != 0;
        Paging { cr0: self.cr0, cr3: self.cr3, cr4: self.cr4, nxe }
    }

    pub(super) fn segment(&self, segment: Segment) -> Loaded {
        self.segments[place(segment)]
    }

    pub(super) fn segment_mut(&mut self, segment: Segment) -> &mut Loaded {
        &mut self.segments[place(segment)]
    }
}

fn place(segment: Segment) -> usize {
    match segment {
        Segment::Es => 0,
        Segment::Cs => 1,
        Segment::Ss => 2,
        Segment::Ds => 3,
        Segment::Fs => 4,
        Segment::Gs => 5,
    }
}
