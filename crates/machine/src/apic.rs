//! The x2APIC's registers as MSRs: what a write asks for (SDM vol. 3 §10.12). Pure.
//!
//! Sending: the interrupt command register with fixed and NMI delivery to a CPU by its number or by
//! shorthand, and SELF IPI. Accepting: what is pending is delivered if its priority class is above that of
//! all that is in service (§10.8.3). A vector with a raw handler is in service until EOI. The interrupt of a
//! called one is acknowledged by its entry code, with interrupts off, so nobody can tell that it was in
//! service.

use abi::layout::MAX_CPUS;
use x86::Fault;

use crate::control::Refusal;
use crate::registered::Handler;

/// The vector that stands for an NMI, in reports and events.
pub(crate) const NMI_VECTOR: u8 = 2;

/// MSRs of the x2APIC (SDM vol. 3 table 10-6).
pub(crate) mod msr {
    pub(crate) const FIRST: u32 = 0x800;
    pub(crate) const LAST: u32 = 0x83f;
    pub(crate) const ID: u32 = 0x802;
    pub(crate) const EOI: u32 = 0x80b;
    pub(crate) const ICR: u32 = 0x830;
    pub(crate) const SELF_IPI: u32 = 0x83f;
}

/// Which way a register is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// The answer to an access to a register of the x2APIC that has no model, `None` for another MSR. Reserved
/// ones fault, and those that cannot be accessed that way (SDM vol. 3 table 10-6).
pub(crate) fn refusal(number: u32, direction: Direction) -> Option<Refusal> {
    let (read, written) = match number {
        ..msr::FIRST | 0x900.. => return None,
        // Number, version, PPR, LDR, ISR, TMR, IRR, current count.
        msr::ID | 0x803 | 0x80a | 0x80d | 0x810..=0x827 | 0x839 => (true, false),
        msr::EOI | msr::SELF_IPI => (false, true),
        // TPR, SVR, ESR, the local vector table, ICR, initial count, divide configuration.
        0x808 | 0x80f | 0x828 | 0x82f | msr::ICR | 0x832..=0x838 | 0x83e => (true, true),
        _ => (false, false),
    };
    let (exists, instruction) = match direction {
        Direction::Read => (read, "rdmsr"),
        Direction::Write => (written, "wrmsr"),
    };
    Some(if exists {
        Refusal::Unmodelled(format!("{instruction} of {number:#x}, a register of the x2APIC"))
    } else {
        Refusal::Fault(Fault::GP)
    })
}

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
            Message::Nmi => NMI_VECTOR,
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
    vectors: [u64; 4],
    /// Must some handler write to EOI?
    acknowledges: bool,
    nmi: bool,
    /// A bit for each CPU.
    cpus: u8,
}

impl Apic {
    pub(crate) fn new(handlers: &[Handler], nmi: bool, cpus: usize) -> Apic {
        let mut vectors = [0; 4];
        for handler in handlers {
            vectors[usize::from(handler.vector / 64)] |= 1u64 << (handler.vector % 64);
        }
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
        let (group, place) = (usize::from(vector / 64), vector % 64);
        if self.vectors[group] >> place & 1 == 0 {
            return None;
        }
        let below = self.vectors[..group].iter().map(|bits| bits.count_ones()).sum::<u32>();
        let rank = below + (self.vectors[group] & ((1 << place) - 1)).count_ones();
        u16::try_from(rank).ok()
    }

    /// What CPU number `own` sends by writing `value` to the interrupt command register.
    ///
    /// The level bit is not looked at: with edge triggering it has no effect on fixed interrupts and
    /// NMIs, and kernels write both values (§10.6.1).
    pub(crate) fn icr(&self, value: u64, own: u8) -> Result<Sending, Refusal> {
        const RESERVED: u64 = 0xfff3_3000;
        if value & RESERVED != 0 {
            return Err(Refusal::Fault(Fault::GP));
        }
        let unmodelled = |what: &str| Refusal::Unmodelled(format!("an IPI {what}: ICR {value:#x}"));
        let message = match value >> 8 & 7 {
            0 => Message::Fixed(low8(value)),
            4 => Message::Nmi,
            _ => return Err(unmodelled("that is neither fixed nor an NMI")),
        };
        if value >> 15 & 1 != 0 {
            return Err(unmodelled("with level triggering"));
        }
        let own = 1 << own;
        let shorthand = value >> 18 & 3;
        if message == Message::Nmi && matches!(shorthand, 1 | 2) {
            // Table 10-4 allows only fixed interrupts there.
            return Err(unmodelled("of an NMI to the sender by shorthand"));
        }
        let to = match (shorthand, value >> 32) {
            (1, _) => own,
            (2, _) => self.cpus,
            (3, _) => self.cpus & !own,
            (_, 0xffff_ffff) => self.cpus,
            _ if value >> 11 & 1 != 0 => return Err(unmodelled("to a logical destination")),
            (_, cpu) => self.cpu(cpu).ok_or_else(|| unmodelled("to a CPU that is not there"))?,
        };
        self.checked(Sending { message, to, at_once: false })
    }

    /// What CPU number `own` sends by writing `value` to SELF IPI (§10.12.11).
    pub(crate) fn self_ipi(&self, value: u64, own: u8) -> Result<Sending, Refusal> {
        if value >> 8 != 0 {
            return Err(Refusal::Fault(Fault::GP));
        }
        let message = Message::Fixed(low8(value));
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

fn low8(value: u64) -> u8 {
    u8::try_from(value & 0xff).expect("masked")
}

#[cfg(test)]
mod tests {
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
    fn ranks_go_by_vector() {
        let ranks: Vec<_> = [40, 63, 64, 250, 41].iter().map(|v| apic().rank(*v)).collect();
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn registers_that_fault() {
        let faults = |direction: Direction| {
            let is_fault =
                |number: &u32| refusal(*number, direction) == Some(Refusal::Fault(Fault::GP));
            (0x800..0x900).filter(is_fault).count()
        };
        // 42 can be read, 15 written.
        assert_eq!((faults(Direction::Read), faults(Direction::Write)), (256 - 42, 256 - 15));
        assert_eq!(refusal(0x7ff, Direction::Read), None);
        assert_eq!(refusal(0x900, Direction::Write), None);
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
