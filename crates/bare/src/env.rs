//! The answers to what an instruction asks for.

use interrupts::descriptor::{self, Descriptor};
use interrupts::{Shadow, frame, x2apic};
use mmu::{Fill, Invpcid, Kind, Now, lam};
use registers::control::{fsgsbase, new_cr3};
use registers::msr::{self, Direction};
use x86::num::{low16, low64};
use x86::{At, Env, FarReturn, Fault, Fence, IfChange, Regs, Segment, Table, flags};

use crate::core::{Extent, Loaded};
use crate::view::{Stop, View};
use crate::{apic, control};

const SEGMENTS_OF_DATA: [Segment; 4] = [Segment::Es, Segment::Ds, Segment::Fs, Segment::Gs];

impl Env for View<'_> {
    type Stop = Stop;

    fn unmodelled(&mut self, what: String) -> Stop {
        Stop::Unmodelled(what)
    }

    fn load(&mut self, at: At) -> Result<u64, Stop> {
        self.load128(at).map(low64)
    }

    fn store(&mut self, at: At, value: u64) -> Result<(), Stop> {
        self.store128(at, value.into())
    }

    fn load128(&mut self, at: At) -> Result<u128, Stop> {
        if at.locked {
            self.drain();
        }
        let va = self.linear(at)?;
        let kind = if at.for_write || at.locked { Kind::Write } else { Kind::Read };
        self.read(va, at.size, kind, self.by())
    }

    fn store128(&mut self, at: At, value: u128) -> Result<(), Stop> {
        let va = self.linear(at)?;
        self.write(va, at.size, value, self.by())?;
        if at.locked {
            self.drain();
        }
        Ok(())
    }

    fn fence(&mut self, fence: Fence) -> Result<(), Stop> {
        match fence {
            Fence::Mfence => self.drain(),
            Fence::Sfence | Fence::Lfence => {}
        }
        Ok(())
    }

    fn cpl(&self) -> u8 {
        self.core.cpl
    }

    fn interrupt_flag(&mut self, regs: &Regs, change: IfChange) -> Result<(), Stop> {
        if change == IfChange::Sti {
            self.core.shadow = Shadow::of_sti(regs.rflags & flags::IF != 0);
        }
        Ok(())
    }

    fn hlt(&mut self, _: &Regs) -> Result<(), Stop> {
        self.core.halted = true;
        Ok(())
    }

    fn read_cr(&mut self, cr: u8) -> Result<u64, Stop> {
        Ok(match cr {
            0 => self.core.cr0,
            2 => self.core.cr2,
            3 => self.core.cr3,
            4 => self.core.cr4,
            _ => self.apics[usize::from(self.core.number)].cr8(),
        })
    }

    fn write_cr(&mut self, cr: u8, value: u64) -> Result<(), Stop> {
        let (cr0, cr3, cr4) = (self.core.cr0, self.core.cr3, self.core.cr4);
        // CR8 alone does not serialise (SDM vol. 3 §8.3).
        if cr == 8 {
            return Ok(self.apics[usize::from(self.core.number)].set_cr8(value)?);
        }
        self.drain();
        let now = Now { memory: &*self.ram, paging: self.core.paging(), fill: Fill::Retain };
        match cr {
            0 => {
                let new = control::new_cr0(value, cr0, cr4)?;
                self.core.tlb.mov_cr0(&now, new);
                self.core.cr0 = new;
            }
            2 => self.core.cr2 = value,
            3 => {
                let new = new_cr3(value, cr4)?;
                self.core.tlb.mov_cr3(&now, value);
                self.core.cr3 = new;
            }
            _ => {
                let new = control::new_cr4(value, cr3, cr4)?;
                self.core.tlb.mov_cr4(&now, new);
                self.core.cr4 = new;
            }
        }
        Ok(())
    }

    fn invlpg(&mut self, va: u64) -> Result<(), Stop> {
        self.drain();
        let now = Now { memory: &*self.ram, paging: self.core.paging(), fill: Fill::Retain };
        self.core.tlb.invlpg(&now, va);
        Ok(())
    }

    fn invpcid(&mut self, kind: u64, descriptor: [u64; 2]) -> Result<(), Stop> {
        let paging = self.core.paging();
        let operation = Invpcid::new(kind, descriptor, &paging).ok_or(Fault::GP)?;
        self.drain();
        let now = Now { memory: &*self.ram, paging, fill: Fill::Retain };
        self.core.tlb.invpcid(&now, operation);
        Ok(())
    }

    fn rdmsr(&mut self, regs: &Regs, number: u32) -> Result<u64, Stop> {
        let apic = &self.apics[usize::from(self.core.number)];
        Ok(match number {
            msr::APIC_BASE => apic.base(),
            _ if x2apic::REGISTERS.contains(&number) => apic.read(number)?,
            _ => msr::find(number, Direction::Read)?.value(regs, &self.core.msrs),
        })
    }

    fn wrmsr(&mut self, regs: &mut Regs, number: u32, value: u64) -> Result<(), Stop> {
        if x2apic::REGISTERS.contains(&number) {
            // It passes stores (SDM vol. 3 §8.3, §10.12.3).
            return Ok(apic::write(self.apics, self.core.number, number, value)?);
        }
        self.drain();
        if number == msr::APIC_BASE {
            return Ok(self.apics[usize::from(self.core.number)].set_base(value)?);
        }
        let msr = msr::find(number, Direction::Write)?;
        let old = msr.value(regs, &self.core.msrs);
        *msr.value_mut(regs, &mut self.core.msrs) = msr.written(value, old, false)?;
        Ok(())
    }

    fn fsgsbase(&mut self) -> Result<bool, Stop> {
        Ok(fsgsbase(self.core.cr4))
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Stop> {
        self.drain();
        control::cpuid(leaf, subleaf, self.core.number)
            .ok_or_else(|| Stop::Unmodelled(format!("CPUID leaf {leaf:#x}, sub-leaf {subleaf:#x}")))
    }

    fn rdtsc(&mut self) -> Result<u64, Stop> {
        Ok(self.time)
    }

    fn selector(&mut self, segment: Segment) -> Result<u16, Stop> {
        Ok(self.core.segment(segment).selector)
    }

    fn load_segment(
        &mut self,
        regs: &mut Regs,
        segment: Segment,
        selector: u16,
    ) -> Result<(), Stop> {
        if segment == Segment::Ss {
            let cpl = self.core.cpl;
            let found = frame::stack_segment(selector, cpl, |selector| self.descriptor(selector))?;
            *self.core.segment_mut(Segment::Ss) = self.loaded_stack(selector, found)?;
            self.core.shadow = Shadow::of_mov_ss(self.core.shadow_before);
            return Ok(());
        }
        let (loaded, base) = self.data_segment(selector)?;
        *self.core.segment_mut(segment) = loaded;
        match segment {
            Segment::Fs => regs.fs_base = base,
            Segment::Gs => regs.gs_base = base,
            _ => {}
        }
        Ok(())
    }

    fn table(&mut self, table: Table) -> Result<(u64, u16), Stop> {
        let Extent { base, limit } = match table {
            Table::Gdt => self.core.gdt,
            Table::Idt => self.core.idt,
        };
        Ok((base, low16(limit.into())))
    }

    fn load_table(&mut self, table: Table, base: u64, limit: u16) -> Result<(), Stop> {
        if !lam::canonical(base, false) {
            return Err(Fault::GP.into());
        }
        self.drain();
        let loaded = Extent { base, limit: limit.into() };
        match table {
            Table::Gdt => self.core.gdt = loaded,
            Table::Idt => self.core.idt = loaded,
        }
        Ok(())
    }

    fn load_task_register(&mut self, selector: u16) -> Result<(), Stop> {
        if descriptor::is_null(selector) {
            return Err(Fault::GP.into());
        }
        let at = self.descriptor_at(selector, 16)?;
        let found = Descriptor(self.system_read(at, Fault::GP)?);
        let upper = self.system_read(at.wrapping_add(8), Fault::GP)?;
        descriptor::task(selector, found, upper)?;
        let base = found.base() | (upper & 0xffff_ffff) << 32;
        if !lam::canonical(base, false) {
            return Err(descriptor::beyond(selector).into());
        }
        self.mark(selector, found, Descriptor::BUSY)?;
        self.drain();
        self.core.task = (selector, Extent { base, limit: found.limit() });
        Ok(())
    }

    fn far_return(&mut self, _: &mut Regs, to: &FarReturn) -> Result<(), Stop> {
        let cpl = self.core.cpl;
        let found = frame::check_return(to, cpl, |selector| self.descriptor(selector))?;
        let stack = match found.stack {
            Some((selector, descriptor)) => Some(self.loaded_stack(selector, descriptor)?),
            None => None,
        };
        self.mark(to.cs, found.code, Descriptor::ACCESSED)?;
        // IRET serialises; for RET it is one of the ways it may go.
        self.drain();
        *self.core.segment_mut(Segment::Cs) = Loaded { selector: to.cs, level: None };
        if let Some(stack) = stack {
            *self.core.segment_mut(Segment::Ss) = stack;
        }
        self.core.cpl = found.cpl;
        if found.cpl > cpl {
            self.close_inner_segments(found.cpl);
        }
        Ok(())
    }

    fn software_interrupt(&mut self, vector: u8, next: u64) -> Stop {
        Stop::Software { vector, next }
    }

    fn port_in(&mut self, port: u16, size: u8) -> Result<u32, Stop> {
        self.drain();
        Ok(self.ports.read(port, size)?)
    }

    fn port_out(&mut self, port: u16, size: u8, value: u32) -> Result<(), Stop> {
        self.drain();
        Ok(self.ports.write(port, size, value)?)
    }

    fn smap(&mut self) -> Result<bool, Stop> {
        Ok(true)
    }
}

impl View<'_> {
    /// Returns what SS becomes; `found` is its descriptor unless `selector` is null.
    fn loaded_stack(&mut self, selector: u16, found: Option<Descriptor>) -> Result<Loaded, Stop> {
        if let Some(found) = found {
            self.mark(selector, found, Descriptor::ACCESSED)?;
        }
        Ok(Loaded { selector, level: None })
    }

    /// Returns what DS, ES, FS or GS becomes, and its base. A null selector makes the base 0, as on Intel's
    /// processors.
    fn data_segment(&mut self, selector: u16) -> Result<(Loaded, u64), Stop> {
        if descriptor::is_null(selector) {
            return Ok((Loaded { selector, level: None }, 0));
        }
        let found = self.descriptor(selector)?;
        descriptor::data(selector, found, self.core.cpl)?;
        self.mark(selector, found, Descriptor::ACCESSED)?;
        let level = (!found.is_conforming()).then(|| found.dpl());
        Ok((Loaded { selector, level }, found.base()))
    }

    /// A return to an outer level makes segment registers of inner levels null; their bases stay.
    fn close_inner_segments(&mut self, cpl: u8) {
        for segment in SEGMENTS_OF_DATA {
            let loaded = self.core.segment_mut(segment);
            if loaded.level.is_some_and(|level| level < cpl) {
                *loaded = Loaded::default();
            }
        }
    }
}
