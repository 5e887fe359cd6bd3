//! What the local APICs of a scenario send (SDM vol. 3 §10.12). Pure.
//!
//! Sending: the interrupt command register with fixed and NMI delivery to a CPU by its number or by
//! shorthand, and SELF IPI. Accepting: what is pending is delivered if its priority class is above that of
//! all that is in service (§10.8.3). A vector with a raw handler is in service until EOI. The interrupt of a
//! called one is acknowledged by its entry code, with interrupts off, so nobody can tell that it was in
//! service.

use abi::layout::MAX_CPUS;
use interrupts::icr::{self, DeliveryMode, Destination};
use interrupts::{NMI, Vectors};
use x86::Refusal;

use crate::registered::Handler;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A fixed interrupt of this vector.
    Fixed(u8),
    /// An NMI.
    Nmi,
}

impl Message {
    /// As events tell it.
    pub(crate) fn vector(self) -> u8 {
        match self {
            Message::Fixed(vector) => vector,
            Message::Nmi => NMI,
        }
    }
}

/// A message and the CPUs that get it, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) message: Message,
    pub(crate) to: u8,
    /// It has arrived when the instruction completes (SDM vol. 3 §10.12.11); only SELF IPI promises that.
    pub(crate) at_once: bool,
}

impl Sending {
    /// The numbers of the CPUs that get it.
    pub(crate) fn targets(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |cpu| self.to >> cpu & 1 != 0)
    }
}

/// What the APICs of a scenario can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apic {
    /// A bit for each vector that has a handler.
    vectors: Vectors,
    /// Must some handler write to EOI?
    acknowledges: bool,
    nmi: bool,
    /// A bit for each CPU.
    cpus: u8,
}

impl Apic {
    pub(crate) fn new(handlers: &[Handler], nmi: bool, cpus: usize) -> Apic {
        let vectors = handlers.iter().map(|handler| handler.vector).collect();
        let present = |cpu: usize| u8::from(cpu < cpus) << cpu;
        let acknowledges = handlers.iter().any(|handler| handler.raw);
        Apic { vectors, acknowledges, nmi, cpus: (0..MAX_CPUS).map(present).sum() }
    }

    /// Are there NMIs?
    pub(crate) fn nmi(&self) -> bool {
        self.nmi
    }

    /// Does a write to EOI change anything?
    pub(crate) fn acknowledges(&self) -> bool {
        self.acknowledges
    }

    /// The CPUs with this number, as a mask.
    pub(crate) fn cpu(&self, number: u64) -> Option<u8> {
        let number = u32::try_from(number).ok()?;
        1u8.checked_shl(number).filter(|mask| self.cpus & mask != 0)
    }

    /// The rank of a vector among those with a handler.
    pub(crate) fn rank(&self, vector: u8) -> Option<u16> {
        self.vectors.rank(vector)
    }

    /// Returns the message that CPU number `own` sends by writing `value` to the interrupt command register.
    pub(crate) fn icr(&self, value: u64, own: u8) -> Result<Sending, Refusal> {
        let command = icr::decode(value)?;
        let unmodelled = |what: &str| Refusal::Unmodelled(format!("an IPI {what}: ICR {value:#x}"));
        let message = match command.mode {
            DeliveryMode::Fixed => Message::Fixed(command.vector),
            DeliveryMode::Nmi => Message::Nmi,
            DeliveryMode::LowestPriority
            | DeliveryMode::Smi
            | DeliveryMode::Init
            | DeliveryMode::StartUp
            | DeliveryMode::Reserved(_) => {
                return Err(unmodelled("that is neither fixed nor an NMI"));
            }
        };
        if command.level_triggered {
            return Err(unmodelled("with level triggering"));
        }
        if !command.is_defined() {
            return Err(unmodelled("of an NMI to the sender by shorthand"));
        }
        let destination = command.destination;
        if matches!(destination, Destination::Logical(_)) {
            return Err(unmodelled("to a logical destination"));
        }
        // The number of a CPU is that of its local APIC.
        let meant = (0..8u8).filter(|cpu| destination.includes(own.into(), (*cpu).into()));
        let to = meant.map(|cpu| 1 << cpu).sum::<u8>() & self.cpus;
        if matches!(destination, Destination::Physical(_)) && to == 0 {
            return Err(unmodelled("to a CPU that is not there"));
        }
        self.checked(Sending { message, to, at_once: false })
    }

    /// Returns the message that CPU number `own` sends by writing `value` to SELF IPI (SDM vol. 3 §10.12.11).
    pub(crate) fn self_ipi(&self, value: u64, own: u8) -> Result<Sending, Refusal> {
        let message = Message::Fixed(icr::self_ipi(value)?);
        self.checked(Sending { message, to: 1 << own, at_once: true })
    }

    fn checked(&self, sending: Sending) -> Result<Sending, Refusal> {
        match sending.message {
            Message::Fixed(vector) if self.rank(vector).is_none() => {
                Err(Refusal::Unmodelled(format!("an IPI of vector {vector}, which has no handler")))
            }
            Message::Nmi if !self.nmi => {
                Err(Refusal::Unmodelled("an NMI where none is handled; see lamprey::nmi".into()))
            }
            _ => Ok(sending),
        }
    }
}

#[cfg(test)]
mod tests {
    use x86::Fault;

    use super::*;
    use crate::registered::Entry;

    fn apic() -> Apic {
        let handler =
            |vector| Handler { vector, entry: Entry { function: 0, data: 0 }, raw: false };
        Apic::new(&[handler(40), handler(63), handler(64), handler(250)], true, 3)
    }

    fn to(value: u64) -> u8 {
        apic().icr(value, 1).expect("modelled").to
    }

    #[test]
    fn destinations() {
        assert_eq!(to(2 << 32 | 40), 0b100);
        assert_eq!(to(1 << 18 | 40), 0b010);
        assert_eq!(to(2 << 18 | 40), 0b111);
        assert_eq!(to(3 << 18 | 40), 0b101);
        assert_eq!(to(0xffff_ffff << 32 | 40), 0b111);
        assert_eq!(to(1 << 14 | 4 << 8), 0b001);
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        for value in [41, 1 << 15 | 40, 1 << 11 | 40, 5 << 8, 3 << 32 | 40, 1 << 18 | 4 << 8] {
            assert!(matches!(apic().icr(value, 0), Err(Refusal::Unmodelled(_))), "{value:#x}");
        }
    }

    #[test]
    fn reserved_bits_fault() {
        for bit in [12, 13, 16, 17, 20, 31] {
            assert_eq!(apic().icr(1 << bit | 40, 0), Err(Refusal::Fault(Fault::GP)), "bit {bit}");
        }
        assert_eq!(apic().self_ipi(1 << 8 | 40, 0), Err(Refusal::Fault(Fault::GP)));
        let message = Message::Fixed(40);
        assert_eq!(apic().self_ipi(40, 2), Ok(Sending { message, to: 0b100, at_once: true }));
    }
}
