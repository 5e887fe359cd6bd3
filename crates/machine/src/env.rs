//! What the interpreter asks of the machine, answered by one agent at work.

use interrupts::{Shadow, x2apic};
use mmu::Invpcid;
use registers::control;
use registers::msr::{self, Direction};
use x86::{At, Env, FarReturn, Fault, Fence, IfChange, Regs, Segment, flags};

use crate::exec::{Accesses, Exec, Stop};
use crate::gdt::{KERNEL_CS, KERNEL_SS};
use crate::layout::Want;
use crate::msr::{Notice, notice};
use crate::watch::{Access, Warning, Watch};
use crate::word::{Part, Word};

impl<A: Accesses, W: Watch> Env for Exec<'_, A, W> {
    type Stop = Stop;

    fn unmodelled(&mut self, what: String) -> Stop {
        Stop::Unmodelled(what)
    }

    #[inline]
    fn load(&mut self, at: At) -> Result<u64, Stop> {
        let want = if at.for_write { Want::Write } else { Want::Read };
        let location = self.translate(at, want)?;
        self.load_at(location, at)
    }

    #[inline]
    fn store(&mut self, at: At, value: u64) -> Result<(), Stop> {
        let location = self.translate(at, Want::Write)?;
        self.store_at(location, at, value)
    }

    fn load128(&mut self, at: At) -> Result<u128, Stop> {
        let want = if at.for_write { Want::Write } else { Want::Read };
        let location = self.translate(at, want)?;
        self.insn.several = true;
        self.insn.locks_two |= at.locked;
        let (low, high) = halves(at);
        let low = self.load_at(location, low)?;
        let high = self.load_at(location + 8, high)?;
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    fn store128(&mut self, at: At, value: u128) -> Result<(), Stop> {
        let location = self.translate(at, Want::Write)?;
        self.insn.several = true;
        self.insn.locks_two |= at.locked;
        let (low, high) = halves(at);
        let half = |value: u128| u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
        self.store_at(location, low, half(value))?;
        self.store_at(location + 8, high, half(value >> 64))
    }

    fn fence(&mut self, fence: Fence) -> Result<(), Stop> {
        match fence {
            Fence::Mfence => {
                self.system.buffer.fence();
                Ok(())
            }
            Fence::Sfence => Ok(()),
            Fence::Lfence => self.pass_fence(),
        }
    }

    /// Kernel code only.
    fn cpl(&self) -> u8 {
        0
    }

    fn interrupt_flag(&mut self, regs: &Regs, change: IfChange) -> Result<(), Stop> {
        let before = regs.rflags & flags::IF != 0;
        let on = match change {
            IfChange::Cli => false,
            IfChange::Sti => true,
            IfChange::Popf(on) => on,
        };
        if before == on {
            return Ok(());
        }
        if on && self.agent.level() > 0 {
            return Err(Stop::Unmodelled("interrupts enabled inside an interrupt handler".into()));
        }
        if self.part_of_cpu(Part::InterruptFlag, true)? {
            self.report(Access::InterruptFlag { on });
        }
        if change == IfChange::Sti {
            self.insn.casts = Shadow::of_sti(before);
        }
        Ok(())
    }

    /// Whether it sleeps depends on what is pending, which other agents change.
    fn hlt(&mut self, _: &Regs) -> Result<(), Stop> {
        if self.fixed.alone {
            return Err(Stop::Unmodelled("hlt in code that runs by itself".into()));
        }
        if self.agent.level() > 0 {
            return Err(Stop::Unmodelled("hlt inside an interrupt handler".into()));
        }
        let pending = |part| (Word::part(self.agent.cpu(), part), false);
        let touches = [pending(Part::Pending), pending(Part::Nmi)];
        self.operation(&touches[..1 + usize::from(self.fixed.apic.nmi())])?;
        self.report(Access::Halt);
        self.system.halting = true;
        Ok(())
    }

    fn read_cr(&mut self, cr: u8) -> Result<u64, Stop> {
        let (part, value) = match cr {
            0 => (Part::Cr0, self.system.cr0),
            2 => (Part::Cr2, self.system.cr2),
            3 => (Part::Cr3, self.system.cr3),
            4 => (Part::Cr4, self.system.cr4),
            _ => return Err(self.unmodelled(format!("mov from CR{cr}"))),
        };
        // The value is taken now: MOV from CR has no other access that could suspend it.
        self.part_of_cpu(part, false)?;
        Ok(value)
    }

    fn write_cr(&mut self, cr: u8, value: u64) -> Result<(), Stop> {
        self.drain()?;
        // What is legal in one register depends on another, which a handler may have changed.
        match cr {
            0 | 3 => self.consult(Part::Cr4)?,
            4 => self.consult(Part::Cr3)?,
            _ => {}
        }
        let (part, register, old, new) = match cr {
            0 => (
                Part::Cr0,
                "CR0",
                self.system.cr0,
                control::new_cr0(value, self.system.cr0, self.system.cr4)?,
            ),
            2 => (Part::Cr2, "CR2", self.system.cr2, value),
            3 => (Part::Cr3, "CR3", self.system.cr3, control::new_cr3(value, self.system.cr4)?),
            4 => (
                Part::Cr4,
                "CR4",
                self.system.cr4,
                control::new_cr4(value, self.system.cr3, self.system.cr4)?,
            ),
            _ => return Err(self.unmodelled(format!("mov to CR{cr}"))),
        };
        if !self.invalidates(&[(self.part_word(part), true)])? {
            return Ok(());
        }
        self.report(Access::WriteRegister { register, old, operand: value });
        self.change_tlb(|tlb, now| match part {
            Part::Cr0 => tlb.mov_cr0(now, new),
            Part::Cr3 => tlb.mov_cr3(now, value),
            Part::Cr4 => tlb.mov_cr4(now, new),
            _ => {}
        });
        *match part {
            Part::Cr0 => &mut self.system.cr0,
            Part::Cr2 => &mut self.system.cr2,
            Part::Cr3 => &mut self.system.cr3,
            _ => &mut self.system.cr4,
        } = new;
        if matches!(part, Part::Cr3 | Part::Cr4) {
            self.entered_tables();
        }
        Ok(())
    }

    /// A non-canonical (tagged) operand makes it a no-operation (LAM §7.5): hardly what was meant.
    fn invlpg(&mut self, va: u64) -> Result<(), Stop> {
        self.drain()?;
        self.consult(Part::Cr4)?;
        if !self.invalidates(&[])? {
            return Ok(());
        }
        let nothing = !mmu::lam::canonical(va, self.system.paging().la57());
        self.report(Access::Invlpg { va, nothing });
        if nothing {
            self.report_always(Access::Warning(Warning::Invlpg { va }));
        }
        self.change_tlb(|tlb, now| {
            tlb.invlpg(now, va);
        });
        self.step.changes.any = true;
        Ok(())
    }

    fn invpcid(&mut self, kind: u64, descriptor: [u64; 2]) -> Result<(), Stop> {
        self.drain()?;
        self.consult(Part::Cr4)?;
        let Some(operation) = Invpcid::new(kind, descriptor, &self.system.paging()) else {
            return Err(Fault::GP.into());
        };
        if self.invalidates(&[])? {
            self.report(Access::Invpcid { kind, descriptor });
            self.change_tlb(|tlb, now| tlb.invpcid(now, operation));
            self.step.changes.any = true;
        }
        Ok(())
    }

    fn rdmsr(&mut self, regs: &Regs, number: u32) -> Result<u64, Stop> {
        if x2apic::REGISTERS.contains(&number) {
            return self.read_apic(number);
        }
        let msr = msr::find(number, Direction::Read)?;
        Ok(msr.value(regs, &self.system.msrs))
    }

    fn wrmsr(&mut self, regs: &mut Regs, number: u32, value: u64) -> Result<(), Stop> {
        if x2apic::REGISTERS.contains(&number) {
            return self.write_apic(number, value);
        }
        self.drain()?;
        let msr = msr::find(number, Direction::Write)?;
        let old = msr.value(regs, &self.system.msrs);
        let new = msr.written(value, old, true)?;
        let register = match notice(msr) {
            Notice::Unmodelled if new == old => return Ok(()),
            Notice::Unmodelled => {
                return Err(Stop::Unmodelled(format!("a change of {}", msr.name())));
            }
            Notice::Itself => "a segment base MSR",
        };
        *msr.value_mut(regs, &mut self.system.msrs) = new;
        self.report(Access::WriteRegister { register, old, operand: value });
        Ok(())
    }

    fn fsgsbase(&mut self) -> Result<bool, Stop> {
        self.consult(Part::Cr4)?;
        Ok(control::fsgsbase(self.system.cr4))
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Stop> {
        self.drain()?;
        registers::cpuid(leaf, subleaf, self.agent.cpu())
            .ok_or_else(|| Stop::Unmodelled(format!("cpuid leaf {leaf:#x}, subleaf {subleaf:#x}")))
    }

    fn rdtsc(&mut self) -> Result<u64, Stop> {
        self.fixed.clock.ok_or_else(|| {
            Stop::Unmodelled("time has no model; lamprey::fixed_clock lets it stand still".into())
        })
    }

    fn selector(&mut self, segment: Segment) -> Result<u16, Stop> {
        match segment {
            Segment::Cs => return Ok(KERNEL_CS),
            Segment::Ss => return Ok(KERNEL_SS),
            _ => {}
        }
        Err(Stop::Unmodelled(format!("mov from segment register {segment:?}")))
    }

    fn load_segment(&mut self, _: &mut Regs, segment: Segment, selector: u16) -> Result<(), Stop> {
        self.load_stack_segment(segment, selector)
    }

    fn far_return(&mut self, regs: &mut Regs, to: &FarReturn) -> Result<(), Stop> {
        self.interrupt_return(regs, to)
    }

    /// A breakpoint in kernel code is a fault of it, like any other exception.
    fn software_interrupt(&mut self, vector: u8, _: u64) -> Stop {
        if vector == Fault::BP.vector {
            return Stop::Fault(Fault::BP);
        }
        Stop::Unmodelled(format!("int {vector:#x}"))
    }

    fn smap(&mut self) -> Result<bool, Stop> {
        Ok(true)
    }
}

/// The two quadwords of an access of 16 bytes.
fn halves(at: At) -> (At, At) {
    let low = At { size: 8, ..at };
    (low, At { va: at.va.wrapping_add(8), ..low })
}
