//! Events that are delivered through the IDT: their gates, their error codes, and what becomes of a fault on
//! the way (SDM vol. 3 §6.12 to §6.15; vol. 2 INT n, IA-32E-MODE).

use x86::{Fault, flags};

use crate::descriptor::{Descriptor, GateDescriptor};
use crate::vectors::NMI;

const DOUBLE_FAULT: u8 = 8;
const NP: u8 = 11;
const GP: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// An event that is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// An exception; RIP is at the instruction.
    Exception(Fault),
    /// INT n or INT3.
    Software {
        /// The operand, or 3.
        vector: u8,
        /// The address after the instruction.
        next: u64,
    },
    /// An NMI.
    Nmi,
    /// A maskable interrupt.
    Interrupt(u8),
}

/// The stack on which a handler starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// The one that is interrupted.
    Current,
    /// The one whose pointer is at this offset in the TSS (SDM vol. 3 figure 7-11).
    Task(u32),
}

/// Level and stack with which a handler starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its privilege level.
    pub cpl: u8,
    /// The privilege level changes, and with it SS.
    pub inner: bool,
    /// Its stack.
    pub stack: Stack,
}

impl Delivered {
    /// Returns the vector.
    #[must_use]
    pub fn vector(self) -> u8 {
        match self {
            Delivered::Exception(fault) => fault.vector,
            Delivered::Software { vector, .. } | Delivered::Interrupt(vector) => vector,
            Delivered::Nmi => NMI,
        }
    }

    /// Returns EXT of error codes: set unless it is the program's own doing (SDM vol. 3 §6.13).
    #[must_use]
    pub fn ext(self) -> u32 {
        u32::from(!matches!(self, Delivered::Software { .. }))
    }

    /// Returns the RIP that the frame holds, where the CPU stands at `rip` (SDM vol. 3 §6.5 and §6.6).
    #[must_use]
    pub fn return_address(self, rip: u64) -> u64 {
        if let Delivered::Software { next, .. } = self { next } else { rip }
    }

    /// Returns the RFLAGS that the frame holds. RF is set in the image that a fault pushes (SDM vol. 3
    /// §17.3.1.1); for an interrupt between iterations of a string instruction it is not.
    #[must_use]
    pub fn saved_flags(self, rflags: u64) -> u64 {
        let resume = if matches!(self, Delivered::Exception(_)) { flags::RF } else { 0 };
        rflags | resume
    }

    /// Returns the error code that is pushed, if the vector has one (SDM vol. 3 table 6-1).
    #[must_use]
    pub fn code(self) -> Option<u32> {
        let Delivered::Exception(fault) = self else { return None };
        matches!(fault.vector, 8 | 10..=14 | 17 | 21).then_some(fault.code)
    }

    /// Returns a fault at the gate: the index of its error code is that of the vector, and bit 1 is IDT (SDM
    /// vol. 3 §6.13).
    fn gate_fault(self, vector: u8) -> Fault {
        let code = (8 * u32::from(self.vector())) | 2 | self.ext();
        Fault { vector, code, va: 0 }
    }

    /// Finds the gate's place in an IDT with this limit, in bytes from its base (SDM vol. 3 §6.14.1).
    ///
    /// # Errors
    ///
    /// #GP of the vector: the IDT ends before it.
    pub fn gate_offset(self, limit: u32) -> Result<u32, Fault> {
        let offset = 16 * u32::from(self.vector());
        if offset + 15 > limit { Err(self.gate_fault(GP)) } else { Ok(offset) }
    }

    /// Checks that `gate` lets it pass at `cpl` (SDM vol. 3 §6.12.1.1 and §6.14.1).
    ///
    /// # Errors
    ///
    /// #GP or #NP of the vector.
    pub fn check_gate(self, gate: GateDescriptor, cpl: u8) -> Result<(), Fault> {
        let software = matches!(self, Delivered::Software { .. });
        if !gate.is_gate() || software && gate.dpl() < cpl {
            return Err(self.gate_fault(GP));
        }
        if gate.present() { Ok(()) } else { Err(self.gate_fault(NP)) }
    }
}

impl Entry {
    /// Finds level and stack of the handler to which `gate` leads with this code segment (SDM vol. 3 §6.14.2 to
    /// §6.14.5).
    #[must_use]
    pub fn new(gate: GateDescriptor, code: Descriptor, cpl: u8) -> Entry {
        let inner = !code.is_conforming() && code.dpl() < cpl;
        let new_cpl = if inner { code.dpl() } else { cpl };
        let stack = match gate.ist() {
            0 if !inner => Stack::Current,
            0 => Stack::Task(4 + 8 * u32::from(new_cpl)),
            ist => Stack::Task(28 + 8 * u32::from(ist)),
        };
        Entry { cpl: new_cpl, inner, stack }
    }
}

/// Returns what is delivered after `second`, a fault while `first` was delivered; `None` is shutdown (SDM vol. 3
/// §6.15, table 6-5).
#[must_use]
pub fn combined(first: Delivered, second: Fault) -> Option<Delivered> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL_CODE: Descriptor = Descriptor(0x00af_9b00_0000_ffff);
    const CONFORMING_CODE: Descriptor = Descriptor(0x00af_9f00_0000_ffff);

    fn exception(vector: u8) -> Fault {
        Fault { vector, code: 0, va: 0 }
    }

    /// A gate with this byte of type, DPL and P, and this IST.
    fn gate(access: u128, ist: u128) -> GateDescriptor {
        GateDescriptor(access << 40 | ist << 32)
    }

    #[test]
    fn double_faults_are_those_of_the_table() {
        let (benign, contributory, page) = (6, 13, 14);
        let table = [
            (benign, contributory, Some(13)),
            (benign, page, Some(14)),
            (contributory, benign, Some(6)),
            (contributory, contributory, Some(8)),
            (contributory, page, Some(14)),
            (page, benign, Some(6)),
            (page, contributory, Some(8)),
            (page, page, Some(8)),
            (8, benign, Some(6)),
            (8, contributory, None),
            (8, page, None),
        ];
        for (first, second, becomes) in table {
            let next = combined(Delivered::Exception(exception(first)), exception(second));
            assert_eq!(next.map(Delivered::vector), becomes, "{first} {second}");
        }
    }

    #[test]
    fn events_from_outside_are_benign() {
        for first in [Delivered::Nmi, Delivered::Interrupt(0x40)] {
            let next = combined(first, exception(13));
            assert_eq!(next, Some(Delivered::Exception(exception(13))));
        }
    }

    #[test]
    fn gates_let_pass_what_they_are_for() {
        let (software, nmi) = (Delivered::Software { vector: 0x41, next: 0 }, Delivered::Nmi);
        // Event, type byte, CPL; vector and error code of the fault.
        let table = [
            (software, 0x8e, 0, None),
            (software, 0x8f, 0, None),
            (software, 0x8e, 3, Some((13, 0x20a))),
            (software, 0xee, 3, None),
            (nmi, 0x8e, 3, None),
            (nmi, 0x0e, 0, Some((11, 0x13))),
            (nmi, 0x8c, 0, Some((13, 0x13))),
        ];
        for (event, access, cpl, fault) in table {
            let found = event.check_gate(gate(access, 0), cpl).err();
            assert_eq!(found.map(|f| (f.vector, f.code)), fault, "{event:?} {access:#x} {cpl}");
        }
        assert_eq!(nmi.gate_offset(47), Ok(32));
        assert_eq!(nmi.gate_offset(46).map_err(|fault| fault.code), Err(0x13));
    }

    #[test]
    fn stacks_are_those_of_level_and_gate() {
        // IST, code segment, CPL; level of the handler, change of level, stack.
        let table = [
            (0, KERNEL_CODE, 0, (0, false, Stack::Current)),
            (0, KERNEL_CODE, 3, (0, true, Stack::Task(4))),
            (0, CONFORMING_CODE, 3, (3, false, Stack::Current)),
            (1, KERNEL_CODE, 0, (0, false, Stack::Task(36))),
            (7, KERNEL_CODE, 3, (0, true, Stack::Task(84))),
        ];
        for (ist, code, cpl, (new, inner, stack)) in table {
            let entry = Entry::new(gate(0x8e, ist), code, cpl);
            assert_eq!(entry, Entry { cpl: new, inner, stack }, "{ist} {cpl}");
        }
    }

    #[test]
    fn frames_hold_what_the_event_is() {
        let software = Delivered::Software { vector: 3, next: 9 };
        let fault = Delivered::Exception(Fault { code: 5, ..exception(14) });
        let debug = Delivered::Exception(exception(1));
        let interrupt = Delivered::Interrupt(0x40);
        // Event; RIP, RF, error code, EXT.
        let table = [
            (software, 9, 0, None, 0),
            (fault, 7, flags::RF, Some(5), 1),
            (debug, 7, flags::RF, None, 1),
            (interrupt, 7, 0, None, 1),
            (Delivered::Nmi, 7, 0, None, 1),
        ];
        for (event, rip, resume, code, ext) in table {
            assert_eq!(event.return_address(7), rip, "{event:?}");
            assert_eq!(event.saved_flags(2), 2 | resume, "{event:?}");
            assert_eq!((event.code(), event.ext()), (code, ext), "{event:?}");
        }
    }
}
