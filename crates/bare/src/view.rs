//! One CPU at one instruction: translations, accesses, descriptors.

use interrupts::descriptor::{self, Descriptor};
use memory::buffer::{Forward, Store, bytes};
use memory::mask;
use mmu::{Candidate, Fill, Kind, Now, Outcome, Request, Source, lam};
use x86::num::low64;
use x86::{At, Fault, Refusal};

use crate::apic::Apic;
use crate::core::Core;
use crate::ports::Ports;
use crate::ram::Ram;

/// Most stores in a buffer; one more makes the oldest visible. A processor has room for so many at least.
const BUFFERED: usize = 16;

/// The reason why an instruction stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Fault(Fault),
    /// INT n or INT3; `next` is the address after it.
    Software {
        vector: u8,
        next: u64,
    },
    /// The model ends here.
    Unmodelled(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        match refusal {
            Refusal::Fault(fault) => Stop::Fault(fault),
            Refusal::Unmodelled(what) => Stop::Unmodelled(what),
        }
    }
}

/// Whose access it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    /// A user-mode access.
    user: bool,
    /// RFLAGS.AC.
    ac: bool,
}

impl By {
    /// The processor's own, to descriptors, the TSS or an inner stack.
    pub(crate) const SYSTEM: By = By { user: false, ac: false };

    /// The processor's own, to a stack of privilege level `cpl`.
    pub(crate) fn at(cpl: u8) -> By {
        By { user: cpl == 3, ac: false }
    }
}

/// The places of an access: up to a page's end, and what is left on the next page.
#[derive(Clone, Copy, Debug)]
struct Places {
    parts: [(u64, u8); 2],
}

/// One CPU and what it can reach.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) ram: &'a mut Ram,
    pub(crate) apics: &'a mut [Apic],
    pub(crate) ports: &'a mut Ports,
    /// RFLAGS.AC before the instruction.
    pub(crate) ac: bool,
    /// Instructions of all CPUs so far.
    pub(crate) time: u64,
}

impl View<'_> {
    /// An access of the instruction.
    pub(crate) fn by(&self) -> By {
        By { user: self.core.cpl == 3, ac: self.ac }
    }

    /// All buffered stores become visible.
    pub(crate) fn drain(&mut self) {
        while self.drain_one() {}
    }

    /// The oldest buffered store becomes visible. False if there is none.
    pub(crate) fn drain_one(&mut self) -> bool {
        let Some(Store { location, size, value, .. }) = self.core.buffer.pop() else {
            return false;
        };
        self.ram.store(location, size, value);
        true
    }

    /// The linear address of a data access; all its bytes must be canonical.
    pub(crate) fn linear(&self, at: At) -> Result<u64, Fault> {
        let check = |pointer| lam::data_address(pointer, self.core.cr3, self.core.cr4);
        let last = at.va.wrapping_add(u64::from(at.size) - 1);
        let first = check(last).and(check(at.va));
        first.ok_or(if at.stack { Fault { vector: 12, code: 0, va: 0 } } else { Fault::GP })
    }

    /// The physical address for `request`, which is of one page and canonical.
    pub(crate) fn translate(&mut self, request: &Request) -> Result<u64, Stop> {
        let paging = self.core.paging();
        let cached = self.core.tlb.usable_entries(&paging, request.va).find_map(|entry| {
            let source = Source::Cached(entry.tag);
            let candidate = Candidate { source, result: Ok(entry.translation), walk: None };
            match candidate.outcome(&paging, request) {
                Outcome::Access { pa } => Some(pa),
                _ => None,
            }
        });
        if let Some(pa) = cached {
            return self.memory_at(pa);
        }
        let walk = mmu::walk(self.ram, &paging, request.va);
        let candidate = Candidate { source: Source::Fresh, result: walk.result, walk: Some(walk) };
        let outcome = candidate.outcome(&paging, request);
        let updates: Vec<(u64, u64)> = match outcome {
            Outcome::Access { .. } => mmu::updates(&walk, request.kind).collect(),
            _ => Vec::new(),
        };
        let settled = matches!(outcome, Outcome::Access { .. }) && updates.is_empty();
        if !settled && !self.core.buffer.is_empty() {
            self.drain();
            return self.translate(request);
        }
        let now = Now { memory: &*self.ram, paging, fill: Fill::Retain };
        match outcome {
            Outcome::Access { pa } => {
                self.core.tlb.used(&now, &candidate, request.kind);
                updates.iter().for_each(|(entry, value)| self.ram.store(*entry, 8, *value));
                self.memory_at(pa)
            }
            Outcome::Fault { code } => {
                self.core.tlb.page_fault(&now, request);
                self.core.cr2 = request.va;
                Err(Fault { vector: 14, code, va: request.va }.into())
            }
            Outcome::NoMemory { pa } => Err(no_memory(pa)),
            // Only of a translation from the TLB.
            Outcome::Rewalk => Err(Stop::Unmodelled("a walk that asks for a walk".into())),
        }
    }

    fn memory_at(&self, pa: u64) -> Result<u64, Stop> {
        if self.ram.holds(pa, 1) { Ok(pa) } else { Err(no_memory(pa)) }
    }

    /// Translates `size` bytes at the linear address `va`: both pages, if there are two, before anything
    /// is accessed.
    fn places(&mut self, va: u64, size: u8, kind: Kind, by: By) -> Result<Places, Stop> {
        let request = |va| Request { va, kind, user: by.user, ac: by.ac };
        let left = 0x1000 - va % 0x1000;
        if left >= u64::from(size) {
            return Ok(Places { parts: [(self.translate(&request(va))?, size), (0, 0)] });
        }
        let first_size = u8::try_from(left).expect("less than the size of an access");
        let first = self.translate(&request(va))?;
        let second = self.translate(&request(va.wrapping_add(left)))?;
        Ok(Places { parts: [(first, first_size), (second, size - first_size)] })
    }

    /// Loads at most 16 bytes at the linear address `va`. `kind` is Write for the load of a
    /// read-modify-write.
    pub(crate) fn read(&mut self, va: u64, size: u8, kind: Kind, by: By) -> Result<u128, Stop> {
        let mut value = 0;
        let mut done = 0;
        for (mut pa, mut left) in self.places(va, size, kind, by)?.parts {
            while left > 0 {
                let length = piece(pa, left);
                value |= u128::from(self.read_piece(pa, length)) << (8 * done);
                (pa, left, done) =
                    (pa + u64::from(length), left - length, done + u32::from(length));
            }
        }
        Ok(value)
    }

    /// Bytes of one word, as this CPU sees them.
    fn read_piece(&mut self, pa: u64, size: u8) -> u64 {
        if !self.core.buffer.is_empty() {
            match self.core.buffer.forward(pa / 8, bytes(pa % 8, size)) {
                Forward::Memory => {}
                Forward::Value(value) => return value >> (8 * (pa % 8)) & mask(size),
                Forward::Overlap => self.drain(),
            }
        }
        self.ram.load(pa, size)
    }

    /// Stores at most 16 bytes at the linear address `va`, into the buffer.
    pub(crate) fn write(&mut self, va: u64, size: u8, value: u128, by: By) -> Result<(), Stop> {
        let mut done = 0;
        for (mut pa, mut left) in self.places(va, size, Kind::Write, by)?.parts {
            while left > 0 {
                let length = piece(pa, left);
                if self.core.buffer.stores().len() >= BUFFERED {
                    self.drain_one();
                }
                let part = low64(value >> (8 * done)) & mask(length);
                self.core.buffer.push(Store {
                    location: pa,
                    size: length,
                    value: part,
                    paged: false,
                });
                (pa, left, done) =
                    (pa + u64::from(length), left - length, done + u32::from(length));
            }
        }
        Ok(())
    }

    /// 8 bytes that the processor reads on its own, at a linear address that no LAM applies to.
    /// `beyond` is the fault if it is not canonical.
    pub(crate) fn system_read(&mut self, va: u64, beyond: Fault) -> Result<u64, Stop> {
        let last = va.wrapping_add(7);
        if !lam::canonical(va, false) || !lam::canonical(last, false) {
            return Err(beyond.into());
        }
        Ok(low64(self.read(va, 8, Kind::Read, By::SYSTEM)?))
    }

    /// Address of the descriptor that `selector`, not null, names, if `size` bytes of it are within the
    /// table.
    pub(crate) fn descriptor_at(&self, selector: u16, size: u32) -> Result<u64, Fault> {
        let offset = u32::from(selector & !7);
        if descriptor::is_local(selector) || offset + size - 1 > self.core.gdt.limit {
            return Err(descriptor::beyond(selector));
        }
        Ok(self.core.gdt.base.wrapping_add(offset.into()))
    }

    /// The descriptor that `selector`, not null, names.
    pub(crate) fn descriptor(&mut self, selector: u16) -> Result<Descriptor, Stop> {
        let at = self.descriptor_at(selector, 8)?;
        Ok(Descriptor(self.system_read(at, Fault::GP)?))
    }

    /// Sets `flags` in the descriptor that `selector` names, unless it has them. A locked access.
    pub(crate) fn mark(
        &mut self,
        selector: u16,
        found: Descriptor,
        flags: u64,
    ) -> Result<(), Stop> {
        if found.0 & flags == flags {
            return Ok(());
        }
        let at = self.descriptor_at(selector, 8)?;
        self.drain();
        self.write(at, 8, u128::from(found.0 | flags), By::SYSTEM)?;
        self.drain();
        Ok(())
    }
}

/// Of `left` bytes from `pa` on those in the same word.
fn piece(pa: u64, left: u8) -> u8 {
    let room = 8 - u8::try_from(pa % 8).expect("below 8");
    left.min(room)
}

fn no_memory(pa: u64) -> Stop {
    Stop::Unmodelled(format!("an access to physical address {pa:#x}, where no memory is"))
}
