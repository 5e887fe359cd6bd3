//! Exceptions and interrupts through the IDT in memory (SDM vol. 3 §6.12 to §6.15; vol. 2 INT n,
//! IA-32E-MODE).
//!
//! Of the CPU's registers only CR2 changes before all of the frame is on the stack; what was pushed before
//! a fault stays in memory. RF is set in the image that a fault pushes; for an interrupt between iterations
//! of a string instruction it is not.

use mmu::lam;
use x86::{Fault, RSP, Regs, Segment, flags};

use super::core::Loaded;
use super::segment::{self, GateDescriptor};
use super::view::{By, Stop, View};

const DOUBLE_FAULT: u8 = 8;
const TS: u8 = 10;
const NP: u8 = 11;
const SS: u8 = 12;
const GP: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// An exception; RIP is at the instruction.
    Exception(Fault),
    /// INT n or INT3; `next` is the address after it.
    Software {
        vector: u8,
        next: u64,
    },
    Nmi,
    Interrupt(u8),
}

impl Delivered {
    pub(super) fn vector(self) -> u8 {
        match self {
            Delivered::Exception(fault) => fault.vector,
            Delivered::Software { vector, .. } | Delivered::Interrupt(vector) => vector,
            Delivered::Nmi => 2,
        }
    }

    /// EXT of error codes: not the program's own doing (SDM vol. 3 §6.13).
    fn ext(self) -> u32 {
        u32::from(!matches!(self, Delivered::Software { .. }))
    }

    fn return_address(self, rip: u64) -> u64 {
        if let Delivered::Software { next, .. } = self { next } else { rip }
    }

    fn code(self) -> Option<u32> {
        let Delivered::Exception(fault) = self else { return None };
        matches!(fault.vector, 8 | 10..=14 | 17 | 21).then_some(fault.code)
    }
}

/// Why a delivery ends the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// A fault while a double fault was delivered: the processor shuts down. What led to it, in order.
    TripleFault(Vec<Delivered>),
    Unmodelled(String),
}

/// What becomes of `second`, a fault while `first` was delivered; `None` is shutdown (SDM vol. 3 §6.15,
/// table 6-5).
fn combined(first: Delivered, second: Fault) -> Option<Delivered> {
    let contributory = |vector: u8| matches!(vector, 0 | 10..=13 | 21);
    let serious = contributory(second.vector) || second.vector == PAGE_FAULT;
    let double = Fault { vector: DOUBLE_FAULT, code: 0, va: 0 };
    let Delivered::Exception(first) = first else { return Some(Delivered::Exception(second)) };
    match first.vector {
        DOUBLE_FAULT if serious => None,
        PAGE_FAULT if serious => Some(Delivered::Exception(double)),
        vector if contributory(vector) && contributory(second.vector) => {
            Some(Delivered::Exception(double))
        }
        _ => Some(Delivered::Exception(second)),
    }
}

/// Delivers `event`, and what comes of failures to do so.
pub(super) fn deliver(
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
    if segment::is_null(selector) {
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
    segment::gate_target(selector, code, cpl).map_err(|fault| with_ext(fault.into()))?;
    let inner = !code.is_conforming() && code.dpl() < cpl;
    let new_cpl = if inner { code.dpl() } else { cpl };
    let top = match gate.ist() {
        0 if !inner => regs.gpr[RSP],
        0 => stack_of_task(view, 4 + 8 * u32::from(new_cpl), ext)?,
        ist => stack_of_task(view, 28 + 8 * u32::from(ist), ext)?,
    };
    if !lam::canonical(gate.offset(), false) {
        return Err(Fault { vector: GP, code: ext, va: 0 }.into());
    }
    let rsp = push_frame(view, regs, event, top & !0xf, new_cpl)?;
    // SDM vol. 3 §11.10.
    view.drain();
    regs.gpr[RSP] = rsp;
    regs.rip = gate.offset();
    let cleared = flags::TF | flags::VM | flags::RF | flags::NT;
    let closed = if gate.is_trap() { 0 } else { flags::IF };
    regs.rflags &= !(cleared | closed);
    view.core.cpl = new_cpl;
    let cs = selector & !3 | u16::from(new_cpl);
    *view.core.segment_mut(Segment::Cs) = Loaded { selector: cs, level: None };
    if inner {
        let ss = Loaded { selector: new_cpl.into(), level: None };
        *view.core.segment_mut(Segment::Ss) = ss;
    }
    if event == Delivered::Nmi {
        view.core.nmi_blocked = true;
    }
    Ok(())
}

/// The gate for `event`, which lets it pass.
fn gate(view: &mut View<'_>, event: Delivered) -> Result<GateDescriptor, Stop> {
    let offset = 16 * u32::from(event.vector());
    // The index is that of the vector; bit 1 is IDT (SDM vol. 3 §6.13).
    let code = (8 * u32::from(event.vector())) | 2 | event.ext();
    let fault = |vector| Stop::Fault(Fault { vector, code, va: 0 });
    if offset + 15 > view.core.idt.limit {
        return Err(fault(GP));
    }
    let at = view.core.idt.base.wrapping_add(offset.into());
    let beyond = Fault { vector: GP, code: event.ext(), va: 0 };
    let low = view.system_read(at, beyond)?;
    let high = view.system_read(at.wrapping_add(8), beyond)?;
    let gate = GateDescriptor(u128::from(high) << 64 | u128::from(low));
    let software = matches!(event, Delivered::Software { .. });
    if !gate.is_gate() || software && gate.dpl() < view.core.cpl {
        return Err(fault(GP));
    }
    if gate.present() { Ok(gate) } else { Err(fault(NP)) }
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
    let resume = if matches!(event, Delivered::Exception(_)) { flags::RF } else { 0 };
    let frame = [
        u64::from(view.core.segment(Segment::Ss).selector),
        regs.gpr[RSP],
        regs.rflags | resume,
        u64::from(view.core.segment(Segment::Cs).selector),
        event.return_address(regs.rip),
    ];
    let words = frame.into_iter().chain(event.code().map(u64::from));
    let by = By::at(new_cpl);
    let mut rsp = top;
    for word in words {
        rsp = rsp.wrapping_sub(8);
        if !lam::canonical(rsp, false) {
            return Err(Fault { vector: SS, code: event.ext(), va: 0 }.into());
        }
        view.write(rsp, 8, word.into(), by)?;
    }
    Ok(rsp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(vector: u8) -> Fault {
        Fault { vector, code: 0, va: 0 }
    }

    #[test]
    fn double_faults_are_those_of_the_table() {
        let becomes = |first: u8, second: u8| {
            combined(Delivered::Exception(exception(first)), exception(second))
                .map(Delivered::vector)
        };
        let (benign, contributory, page) = (6, 13, 14);
        assert_eq!(becomes(benign, contributory), Some(13));
        assert_eq!(becomes(benign, page), Some(14));
        assert_eq!(becomes(contributory, benign), Some(6));
        assert_eq!(becomes(contributory, contributory), Some(8));
        assert_eq!(becomes(contributory, page), Some(14));
        assert_eq!(becomes(page, benign), Some(6));
        assert_eq!(becomes(page, contributory), Some(8));
        assert_eq!(becomes(page, page), Some(8));
        assert_eq!(becomes(8, benign), Some(6));
        assert_eq!(becomes(8, contributory), None);
        assert_eq!(becomes(8, page), None);
    }

    #[test]
    fn events_from_outside_are_benign() {
        for first in [Delivered::Nmi, Delivered::Interrupt(0x40)] {
            let next = combined(first, exception(13));
            assert_eq!(next, Some(Delivered::Exception(exception(13))));
        }
    }
}
