//! Interrupts: delivery and return.
//!
//! A handler is a function of the guest that runs on a stack of its own (as through the IST), with
//! interrupts off, and returns like a function: the machine keeps what it interrupted. One bit per CPU
//! and vector is pending (the IRR), so equal vectors merge (SDM vol. 3 §10.8.4). Handlers do not nest:
//! one that enables interrupts is not modelled.

use x86::flags;

use crate::agent::Agent;
use crate::cpu::{Activity, Cpu, Interrupted, blank_regs};
use crate::layout;
use crate::registered::Entry;

/// Starts the handler `entry` of `vector`, whose pending bit is `bit`.
pub(crate) fn deliver(cpu: &mut Cpu, number: u8, vector: u8, bit: u16, entry: Entry) {
    cpu.pending &= !(1 << bit);
    let mut regs = blank_regs();
    // What the hardware does not change stays: the segment bases are the interrupted code's. XMM
    // registers are the entry code's to save and restore; a handler finds zeroes in them.
    regs.fs_base = cpu.regs.fs_base;
    regs.gs_base = cpu.regs.gs_base;
    regs.kernel_gs_base = cpu.regs.kernel_gs_base;
    regs.rflags = flags::FIXED;
    regs.rip = entry.function;
    regs.gpr[x86::RDI] = entry.data;
    regs.gpr[x86::RSP] = layout::stack(Agent::interrupt(number)).1 - 8;
    let regs = std::mem::replace(&mut cpu.regs, regs);
    cpu.interrupted = Some(Box::new(Interrupted { regs, vector }));
    if cpu.activity == Activity::Halted {
        cpu.activity = Activity::Running;
    }
}

/// Returns from the handler to what it interrupted; the vector it served.
pub(crate) fn leave(cpu: &mut Cpu) -> Option<u8> {
    let interrupted = cpu.interrupted.take()?;
    cpu.regs = interrupted.regs;
    Some(interrupted.vector)
}
