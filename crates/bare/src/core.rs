//! The registers of a CPU that are not an instruction's everyday business, and what is inside it.

use interrupts::{NmiBlocking, Shadow};
use memory::buffer::Buffer;
use mmu::{Paging, Tlb};
use registers::control::EFER_NXE;
use registers::msr::Msrs;
use x86::Segment;

use crate::control::{CR0_START, CR4_START};

/// Base and limit in bytes, less one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) base: u64,
    pub(crate) limit: u32,
}

/// A segment register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) selector: u16,
    /// DPL, where a return to an outer level looks at it: data, and code that is not conforming.
    pub(crate) level: Option<u8>,
}

/// One CPU but for its `x86::Regs`.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) number: u8,
    pub(crate) cr0: u64,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) msrs: Msrs,
    pub(crate) cpl: u8,
    /// ES, CS, SS, DS, FS, GS.
    segments: [Loaded; 6],
    pub(crate) gdt: Extent,
    pub(crate) idt: Extent,
    /// TR: selector and segment.
    pub(crate) task: (u16, Extent),
    pub(crate) shadow: Shadow,
    /// The shadow that the instruction now executed is in.
    pub(crate) shadow_before: Shadow,
    pub(crate) nmis: NmiBlocking,
    pub(crate) halted: bool,
    /// Stores that nobody else can see yet.
    pub(crate) buffer: Buffer,
    pub(crate) tlb: Tlb,
}

impl Core {
    /// In 64-bit mode at CPL 0, with empty descriptor tables and the page tables at `cr3`.
    pub(crate) fn new(number: u8, cr3: u64) -> Core {
        let mut core = Core {
            number,
            cr0: CR0_START,
            cr2: 0,
            cr3,
            cr4: CR4_START,
            // Nothing has set IA32_TSC_AUX yet.
            msrs: Msrs::new(0),
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

    pub(crate) fn paging(&self) -> Paging {
        let nxe = self.msrs.efer & EFER_NXE != 0;
        Paging { cr0: self.cr0, cr3: self.cr3, cr4: self.cr4, nxe }
    }

    pub(crate) fn segment(&self, segment: Segment) -> Loaded {
        self.segments[place(segment)]
    }

    pub(crate) fn segment_mut(&mut self, segment: Segment) -> &mut Loaded {
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
