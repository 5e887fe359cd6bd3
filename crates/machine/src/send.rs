//! What an instruction does to interrupts: sends them, returns from them, holds them back.

use interrupts::{Shadow, frame, x2apic};
use registers::msr::{self, Direction};
use x86::{FarReturn, Regs, Segment, flags};

use crate::agent::{Agent, Role};
use crate::apic::{Message, Sending};
use crate::exec::{Accesses, Exec, Stop};
use crate::gdt::{KERNEL_CS, KERNEL_SS, descriptor};
use crate::watch::{Access, Watch};
use crate::word::{Part, Word};

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// Sends a message to all its CPUs in one operation. It is on its way when the step ends.
    pub(crate) fn send(&mut self, sending: Sending) -> Result<(), Stop> {
        let message = sending.message;
        let part = if message == Message::Nmi { Part::Nmi } else { Part::Pending };
        let touches: Vec<(Word, bool)> =
            sending.targets().map(|cpu| (Word::part(cpu, part), true)).collect();
        self.unfenced_operation(&touches)?;
        for to in sending.targets() {
            self.report(Access::SendIpi { to, vector: message.vector() });
        }
        self.step.sent.push(sending);
        Ok(())
    }

    /// WRMSR to the x2APIC: not serialising, and it does not wait for earlier stores (SDM vol. 3 §8.3
    /// note 4), not even for those before an MFENCE, unless an LFENCE comes between (§10.12.3).
    pub(crate) fn write_apic(&mut self, number: u32, value: u64) -> Result<(), Stop> {
        if self.fixed.alone {
            return Err(Stop::Unmodelled("an APIC register in code that runs by itself".into()));
        }
        let own = self.agent.cpu();
        let sending = match number {
            x2apic::EOI => {
                x2apic::check_value(number, value)?;
                return self.end_of_interrupt();
            }
            x2apic::ICR => self.fixed.apic.icr(value, own)?,
            x2apic::SELF_IPI => self.fixed.apic.self_ipi(value, own)?,
            _ => return Err(msr::refusal(number, Direction::Write).into()),
        };
        self.send(sending)
    }

    /// The highest vector in service no longer is; what that holds back may come, so it is visible (SDM vol. 3
    /// §10.8.5).
    fn end_of_interrupt(&mut self) -> Result<(), Stop> {
        if self.fixed.apic.acknowledges() && self.part_of_cpu(Part::Pending, true)? {
            if W::ON {
                self.report(Access::Note("end of interrupt".into()));
            }
            self.system.in_service.end();
        }
        Ok(())
    }

    /// RDMSR of an x2APIC register.
    pub(crate) fn read_apic(&self, number: u32) -> Result<u64, Stop> {
        match number {
            x2apic::ID => Ok(u64::from(self.agent.cpu())),
            _ => Err(msr::refusal(number, Direction::Read).into()),
        }
    }

    /// IRETQ, once the frame is popped. It serialises (SDM vol. 3 §8.3), unblocks NMIs (§6.7.1) and has
    /// no shadow.
    pub(crate) fn interrupt_return(&mut self, regs: &Regs, to: &FarReturn) -> Result<(), Stop> {
        let Some(ss) = to.ss else { return Err(Stop::Unmodelled("a far return".into())) };
        if (to.cs, ss) != (KERNEL_CS, KERNEL_SS) {
            let wanted = format!("wanted {KERNEL_CS:#x} and {KERNEL_SS:#x}");
            let what = format!("an IRETQ to CS {:#x} and SS {ss:#x}; {wanted}", to.cs);
            return Err(Stop::Unmodelled(what));
        }
        frame::check_return(to, 0, |selector| Ok::<_, Stop>(descriptor(selector)))?;
        self.drain()?;
        let ends = self.fixed.returns_to == Some(to.rsp);
        let on = to.rflags & flags::IF != 0;
        let in_handler = self.agent.level() > 0;
        if on && in_handler && !ends {
            return Err(Stop::Unmodelled("interrupts enabled inside an interrupt handler".into()));
        }
        let changes = (regs.rflags & flags::IF != 0) != on;
        if changes || in_handler {
            let mut touches = vec![(Word::part(self.agent.cpu(), Part::InterruptFlag), true)];
            touches.extend(if ends { self.frame_popped() } else { Vec::new() });
            self.operation(&touches)?;
        }
        if changes && !ends {
            self.report(Access::InterruptFlag { on });
        }
        if self.agent.is_nmi() {
            self.system.nmis.iret();
            if !ends {
                may_start(Agent::nested_nmi(self.agent.cpu()), self.accesses);
            }
        }
        self.insn.ends_handler = ends;
        Ok(())
    }

    /// MOV to SS. It holds interrupts and NMIs back for one instruction (SDM vol. 3 §6.8.3 and table
    /// 24-3), if the one before it was none. Before it they come, so it is visible.
    pub(crate) fn load_stack_segment(
        &mut self,
        segment: Segment,
        selector: u16,
    ) -> Result<(), Stop> {
        match (segment, selector) {
            (Segment::Ss, KERNEL_SS) => {}
            (Segment::Ds | Segment::Es, KERNEL_SS | 0) => return Ok(()),
            _ => {
                let what = format!("selector {selector:#x} for segment register {segment:?}");
                return Err(Stop::Unmodelled(what));
            }
        }
        self.operation(&[(Word::part(self.agent.cpu(), Part::InterruptFlag), true)])?;
        self.insn.casts = Shadow::of_mov_ss(self.system.shadow);
        Ok(())
    }
}

/// Touches on behalf of `agent` what its start depends on.
pub(crate) fn may_start<A: Accesses>(agent: Agent, accesses: &mut A) {
    let number = agent.cpu();
    let pending = match agent.role() {
        Role::Interrupt(_) => Part::Pending,
        _ => {
            accesses.touch(agent, Word::NMI_BUDGET, true);
            Part::Nmi
        }
    };
    for part in [Part::InterruptFlag, pending, Part::Buffer] {
        accesses.touch(agent, Word::part(number, part), true);
    }
}
