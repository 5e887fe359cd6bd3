//! Interrupts: what starts a handler, and what returns from it.
//!
//! One bit per CPU and vector is pending (the IRR), so equal vectors merge (SDM vol. 3 §10.8.4). A handler
//! runs with interrupts off on the stack of its level, as through the IST. It interrupts what is below its
//! level: an interrupt the thread, an NMI both. There are two forms.
//!
//! - A *called* one is a function of the guest and returns like a function; the machine keeps what it
//!   interrupted. All but the segment bases is its own.
//! - A *raw* one finds a [`Frame`] on its stack, and the registers as they were. It ends with the IRETQ that
//!   loads the stack pointer that was interrupted; any other IRETQ is part of it. It must leave all other
//!   registers as it found them: what it interrupts stands before an operation that is known already.

use interrupts::Shadow;
use interrupts::frame::{Frame, handler_flags};
use x86::{RSP, Regs, flags};

use crate::agent::Agent;
use crate::cpu::{Activity, Cpu, Interrupted, blank_regs};
use crate::gdt::{KERNEL_CS, KERNEL_SS};
use crate::layout;
use crate::registered::Handler;

/// Starts `handler` as `agent`. A raw handler's frame is to be stored at its RSP.
pub(crate) fn enter(cpu: &mut Cpu, agent: Agent, handler: Handler) -> Option<Frame> {
    let top = layout::stack(agent).1;
    let (regs, frame) = if handler.raw {
        with_frame(&cpu.regs, top, handler)
    } else {
        called(&cpu.regs, top, handler)
    };
    let regs = std::mem::replace(&mut cpu.regs, regs);
    cpu.interrupted.push(Interrupted { regs, by: handler, level: agent.level() });
    // IRET has no shadow: an NMI between STI and HLT opens the gap.
    cpu.system.shadow = Shadow::None;
    // A translation it stands before is looked at again when it goes on.
    cpu.choosing = None;
    if cpu.activity == Activity::Halted {
        cpu.activity = Activity::Running;
    }
    frame
}

fn called(interrupted: &Regs, top: u64, handler: Handler) -> (Regs, Option<Frame>) {
    let mut regs = blank_regs();
    // What the hardware does not change stays: the segment bases are the interrupted code's. XMM
    // registers are the entry code's to save and restore; a handler finds zeroes in them.
    regs.fs_base = interrupted.fs_base;
    regs.gs_base = interrupted.gs_base;
    regs.kernel_gs_base = interrupted.kernel_gs_base;
    regs.rflags = flags::FIXED;
    regs.rip = handler.entry.function;
    regs.gpr[x86::RDI] = handler.entry.data;
    regs.gpr[RSP] = top - 8;
    (regs, None)
}

fn with_frame(interrupted: &Regs, top: u64, handler: Handler) -> (Regs, Option<Frame>) {
    let frame = Frame {
        rip: interrupted.rip,
        cs: KERNEL_CS,
        rflags: interrupted.rflags,
        rsp: interrupted.gpr[RSP],
        ss: KERNEL_SS,
    };
    let mut regs = interrupted.clone();
    regs.rip = handler.entry.function;
    // Through an interrupt gate.
    regs.rflags = handler_flags(regs.rflags, false);
    regs.gpr[RSP] = Frame::pushed_at(top);
    (regs, Some(frame))
}

/// Returns from a handler to what it interrupted; the vector it served.
///
/// # Errors
///
/// A raw handler has changed a register of what it interrupted: its name.
pub(crate) fn leave(cpu: &mut Cpu) -> Result<Option<u8>, &'static str> {
    let Some(Interrupted { regs, by, level }) = cpu.interrupted.pop() else { return Ok(None) };
    if by.raw
        && let Some(changed) = difference(&cpu.regs, &regs)
    {
        return Err(changed);
    }
    cpu.regs = regs;
    if level >= Agent::nmi(0).level() {
        // The return is an IRET.
        cpu.system.nmis.iret();
    }
    Ok(Some(by.vector))
}

/// The first register that differs.
fn difference(left: &Regs, right: &Regs) -> Option<&'static str> {
    const NAMES: [&str; 16] = [
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12",
        "R13", "R14", "R15",
    ];
    let general = NAMES.iter().zip(left.gpr.iter().zip(&right.gpr));
    let general = general.filter(|(_, (left, right))| left != right).map(|(name, _)| *name).next();
    let rest = [
        ("RIP", left.rip != right.rip),
        ("RFLAGS", left.rflags != right.rflags),
        ("an XMM register", left.xmm != right.xmm),
        ("a segment base", left != right),
    ];
    general.or_else(|| rest.iter().find(|(_, differs)| *differs).map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registered::Entry;

    fn handler(raw: bool) -> Handler {
        Handler { vector: 40, entry: Entry { function: 0x1000, data: 7 }, raw }
    }

    #[test]
    fn a_frame_holds_what_was_interrupted() {
        let mut cpu = Cpu::new(0);
        cpu.regs.rip = 5;
        cpu.regs.gpr[RSP] = 0x2008;
        let frame = enter(&mut cpu, Agent::interrupt(0), handler(true)).expect("a raw handler");
        assert_eq!((frame.rip, frame.rsp, frame.rflags), (5, 0x2008, flags::FIXED | flags::IF));
        assert_eq!(cpu.regs.gpr[RSP], layout::stack(Agent::interrupt(0)).1 - 40);
        assert!(!cpu.interrupt_flag());
    }

    #[test]
    fn a_raw_handler_must_restore_what_it_uses() {
        let mut cpu = Cpu::new(0);
        enter(&mut cpu, Agent::nmi(0), handler(true));
        cpu.regs = cpu.interrupted[0].regs.clone();
        cpu.regs.gpr[3] = 1;
        assert_eq!(leave(&mut cpu), Err("RBX"));
    }

    #[test]
    fn a_called_handler_cannot_change_what_it_interrupts() {
        let mut cpu = Cpu::new(0);
        let before = cpu.regs.clone();
        assert_eq!(enter(&mut cpu, Agent::nmi(0), handler(false)), None);
        cpu.system.nmis.deliver();
        assert_eq!(cpu.level(0), Agent::nmi(0));
        assert_eq!(leave(&mut cpu), Ok(Some(40)));
        assert_eq!((cpu.regs, cpu.system.nmis.is_blocked()), (before, false));
    }
}
