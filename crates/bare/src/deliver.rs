//! Exceptions and interrupts through the IDT in memory (SDM vol. 3 §6.12 to §6.15; vol. 2 INT n,
//! IA-32E-MODE).
//!
//! Of the CPU's registers only CR2 changes before all of the frame is on the stack; what was pushed before
//! a fault stays in memory.

use interrupts::descriptor::{self, GateDescriptor};
use interrupts::{Delivered, Entry, Frame, Stack, combined, frame};
use mmu::lam;
use x86::{Fault, RSP, Regs, Segment};

use crate::core::Loaded;
use crate::view::{By, Stop, View};

const TS: u8 = 10;
const SS: u8 = 12;
const GP: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// Why a delivery ends the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A fault while a double fault was delivered: the processor shuts down. What led to it, in order.
    TripleFault(Vec<Delivered>),
    Unmodelled(String),
}

/// Delivers `event`, and what comes of failures to do so.
pub(crate) fn deliver(
    view: &mut View<'_>,
    regs: &mut Regs,
    event: Delivered,
) -> Result<(), Failed> {
    let mut chain = vec![event];
    let mut current = event;
    loop {
        match once(view, regs, current) {
            Ok(()) => return Ok(()),
            Err(Stop::Unmodelled(what)) => return Err(Failed::Unmodelled(what)),
            // Nothing here executes INT n.
            Err(Stop::Software { vector, .. }) => {
                return Err(Failed::Unmodelled(format!("INT {vector} in a delivery")));
            }
            Err(Stop::Fault(fault)) => {
                let Some(next) = combined(current, fault) else {
                    chain.push(Delivered::Exception(fault));
                    return Err(Failed::TripleFault(chain));
                };
                chain.push(next);
                current = next;
            }
        }
    }
}

/// One attempt. After an error no register but CR2 has changed.
fn once(view: &mut View<'_>, regs: &mut Regs, event: Delivered) -> Result<(), Stop> {
    let ext = event.ext();
    let gate = gate(view, event)?;
    let selector = gate.selector();
    if descriptor::is_null(selector) {
        return Err(Fault { vector: GP, code: ext, va: 0 }.into());
    }
    let cpl = view.core.cpl;
    let with_ext = |stop: Stop| match stop {
        Stop::Fault(fault) if fault.vector != PAGE_FAULT => {
            Stop::Fault(Fault { code: fault.code | ext, ..fault })
        }
        other => other,
    };
    let code = view.descriptor(selector).map_err(with_ext)?;
    descriptor::gate_target(selector, code, cpl).map_err(|fault| with_ext(fault.into()))?;
    let Entry { cpl: new_cpl, inner, stack } = Entry::new(gate, code, cpl);
    let top = match stack {
        Stack::Current => regs.gpr[RSP],
        Stack::Task(offset) => stack_of_task(view, offset, ext)?,
    };
    if !lam::canonical(gate.offset(), false) {
        return Err(Fault { vector: GP, code: ext, va: 0 }.into());
    }
    let rsp = push_frame(view, regs, event, frame::aligned(top), new_cpl)?;
    // SDM vol. 3 §11.10.
    view.drain();
    regs.gpr[RSP] = rsp;
    regs.rip = gate.offset();
    regs.rflags = frame::handler_flags(regs.rflags, gate.is_trap());
    view.core.cpl = new_cpl;
    let cs = selector & !3 | u16::from(new_cpl);
    *view.core.segment_mut(Segment::Cs) = Loaded { selector: cs, level: None };
    if inner {
        let ss = Loaded { selector: new_cpl.into(), level: None };
        *view.core.segment_mut(Segment::Ss) = ss;
    }
    if event == Delivered::Nmi {
        view.core.nmis.deliver();
    }
    Ok(())
}

/// The gate for `event`, which lets it pass.
fn gate(view: &mut View<'_>, event: Delivered) -> Result<GateDescriptor, Stop> {
    let offset = event.gate_offset(view.core.idt.limit)?;
    let at = view.core.idt.base.wrapping_add(offset.into());
    let beyond = Fault { vector: GP, code: event.ext(), va: 0 };
    let low = view.system_read(at, beyond)?;
    let high = view.system_read(at.wrapping_add(8), beyond)?;
    let gate = GateDescriptor(u128::from(high) << 64 | u128::from(low));
    event.check_gate(gate, view.core.cpl)?;
    Ok(gate)
}

/// The stack pointer at `offset` in the TSS (SDM vol. 3 figure 7-11).
fn stack_of_task(view: &mut View<'_>, offset: u32, ext: u32) -> Result<u64, Stop> {
    let (selector, task) = view.core.task;
    if offset + 7 > task.limit {
        let code = u32::from(selector & !3) | ext;
        return Err(Fault { vector: TS, code, va: 0 }.into());
    }
    let beyond = Fault { vector: SS, code: ext, va: 0 };
    view.system_read(task.base.wrapping_add(offset.into()), beyond)
}

/// Pushes the frame below `top`; where RSP is then.
fn push_frame(
    view: &mut View<'_>,
    regs: &Regs,
    event: Delivered,
    top: u64,
    new_cpl: u8,
) -> Result<u64, Stop> {
    let frame = Frame {
        rip: event.return_address(regs.rip),
        cs: view.core.segment(Segment::Cs).selector,
        rflags: event.saved_flags(regs.rflags),
        rsp: regs.gpr[RSP],
        ss: view.core.segment(Segment::Ss).selector,
    };
    let by = By::at(new_cpl);
    let mut rsp = top;
    for word in frame.pushes(event.code()) {
        rsp = rsp.wrapping_sub(8);
        if !lam::canonical(rsp, false) {
            return Err(Fault { vector: SS, code: event.ext(), va: 0 }.into());
        }
        view.write(rsp, 8, word.into(), by)?;
    }
    Ok(rsp)
}
