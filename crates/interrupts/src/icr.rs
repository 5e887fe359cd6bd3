//! The interrupt command register in x2APIC mode: what a write to it asks for (SDM vol. 3 §10.6.1 and
//! §10.12.9).

use x86::Fault;
use x86::num::{low8, low32};

/// The bits that are not reserved.
pub(crate) const DEFINED: u64 = !0xfff3_3000;
/// The destination that every local APIC is meant by, physical or logical (SDM vol. 3 §10.12.9).
const BROADCAST: u32 = u32::MAX;

/// The kind of message (SDM vol. 3 §10.6.1, delivery mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// An interrupt of the command's vector.
    Fixed,
    /// The same to the CPU of the lowest priority among those that are meant.
    LowestPriority,
    /// An SMI.
    Smi,
    /// An NMI.
    Nmi,
    /// INIT.
    Init,
    /// A start-up IPI.
    StartUp,
    /// Nothing that has a meaning: 3 or 7.
    Reserved(u8),
}

/// Local APICs that a command is for (SDM vol. 3 §10.6.1, destination shorthand and field).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sender, by shorthand.
    Sender,
    /// All, by shorthand.
    AllIncludingSelf,
    /// All but the sender, by shorthand.
    AllExcludingSelf,
    /// All, by the destination field.
    Broadcast,
    /// The one with this x2APIC number.
    Physical(u32),
    /// Those of a cluster (bits 31:16) whose bit is among bits 15:0.
    Logical(u32),
}

impl Destination {
    /// Tells whether the local APIC with number `id` is meant by what `sender` sends.
    #[must_use]
    pub fn includes(self, sender: u32, id: u32) -> bool {
        match self {
            Destination::Sender => id == sender,
            Destination::AllIncludingSelf | Destination::Broadcast => true,
            Destination::AllExcludingSelf => id != sender,
            Destination::Physical(number) => id == number,
            Destination::Logical(set) => {
                let own = logical_id(id);
                own >> 16 == set >> 16 && own & set & 0xffff != 0
            }
        }
    }
}

/// Returns the logical x2APIC number: cluster and bit (SDM vol. 3 §10.12.10.2).
#[must_use]
pub fn logical_id(id: u32) -> u32 {
    id >> 4 << 16 | 1 << (id & 0xf)
}

/// A command, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The vector; without meaning for most other modes than fixed.
    pub vector: u8,
    /// The kind of message.
    pub mode: DeliveryMode,
    /// The trigger-mode bit. The level bit is not decoded: with edge triggering it has no effect on fixed
    /// interrupts and NMIs, and kernels write both values.
    pub level_triggered: bool,
    /// The local APICs that are meant.
    pub destination: Destination,
}

impl Command {
    /// Tells whether the manual defines the combination of mode and shorthand: only fixed interrupts go to a
    /// set that includes the sender by shorthand (SDM vol. 3 tables 10-3 and 10-4).
    #[must_use]
    pub fn is_defined(self) -> bool {
        let to_sender =
            matches!(self.destination, Destination::Sender | Destination::AllIncludingSelf);
        self.mode == DeliveryMode::Fixed || !to_sender
    }
}

/// Decodes what WRMSR writes to the register (SDM vol. 3 §10.12.9, figure 10-28).
///
/// # Errors
///
/// #GP(0) if a reserved bit is set.
pub fn decode(value: u64) -> Result<Command, Fault> {
    if value & !DEFINED != 0 {
        return Err(Fault::GP);
    }
    let mode = match value >> 8 & 7 {
        0 => DeliveryMode::Fixed,
        1 => DeliveryMode::LowestPriority,
        2 => DeliveryMode::Smi,
        4 => DeliveryMode::Nmi,
        5 => DeliveryMode::Init,
        6 => DeliveryMode::StartUp,
        reserved => DeliveryMode::Reserved(low8(reserved)),
    };
    let destination = match (value >> 18 & 3, low32(value >> 32)) {
        (1, _) => Destination::Sender,
        (2, _) => Destination::AllIncludingSelf,
        (3, _) => Destination::AllExcludingSelf,
        (_, BROADCAST) => Destination::Broadcast,
        (_, set) if value >> 11 & 1 != 0 => Destination::Logical(set),
        (_, number) => Destination::Physical(number),
    };
    let level_triggered = value >> 15 & 1 != 0;
    Ok(Command { vector: low8(value), mode, level_triggered, destination })
}

/// Decodes what WRMSR writes to the SELF IPI register (SDM vol. 3 §10.12.11): the vector.
///
/// # Errors
///
/// #GP(0) if a reserved bit is set.
pub fn self_ipi(value: u64) -> Result<u8, Fault> {
    u8::try_from(value).map_err(|_| Fault::GP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reserved_bit_faults_and_no_other_does() {
        for bit in 0..64 {
            let reserved = matches!(bit, 12 | 13 | 16 | 17 | 20..=31);
            assert_eq!(decode(1 << bit).is_err(), reserved, "bit {bit}");
        }
        assert_eq!(self_ipi(0xff), Ok(0xff));
        assert_eq!(self_ipi(0x100), Err(Fault::GP));
    }

    #[test]
    fn modes_are_those_of_the_figure() {
        use DeliveryMode::{Fixed, Init, LowestPriority, Nmi, Reserved, Smi, StartUp};
        let modes = [Fixed, LowestPriority, Smi, Reserved(3), Nmi, Init, StartUp, Reserved(7)];
        for (number, mode) in (0..).zip(modes) {
            let command = decode(number << 8 | 1 << 14 | 0x41).expect("no reserved bit");
            assert_eq!((command.mode, command.vector), (mode, 0x41));
            assert!(!command.level_triggered && command.is_defined());
            let to_self = decode(number << 8 | 1 << 18).expect("no reserved bit");
            assert_eq!(to_self.is_defined(), mode == Fixed);
        }
        assert!(decode(1 << 15).expect("no reserved bit").level_triggered);
    }

    #[test]
    fn destinations_mean_these_of_four() {
        // The command of CPU 1; a bit for each CPU that is meant.
        let table = [
            (2 << 32, 0b0100),
            (9 << 32, 0),
            (1 << 18, 0b0010),
            (2 << 18, 0b1111),
            (3 << 18, 0b1101),
            (3 << 18 | 1 << 32, 0b1101),
            (0xffff_ffff << 32, 0b1111),
            (0xffff_ffff << 32 | 1 << 11, 0b1111),
            (0b1010 << 32 | 1 << 11, 0b1010),
            (0x1_0001 << 32 | 1 << 11, 0),
            (1 << 18 | 2 << 32 | 1 << 11, 0b0010),
        ];
        for (value, meant) in table {
            let to = decode(value).expect("no reserved bit").destination;
            let set = (0..4).filter(|id| to.includes(1, *id)).map(|id| 1 << id).sum::<u32>();
            assert_eq!(set, meant, "{value:#x}");
        }
    }

    #[test]
    fn logical_numbers_have_a_cluster_and_a_bit() {
        for (id, logical) in [(0, 1), (5, 1 << 5), (0x10, 0x1_0001), (0x2f, 0x2_8000)] {
            assert_eq!(logical_id(id), logical);
        }
    }
}
