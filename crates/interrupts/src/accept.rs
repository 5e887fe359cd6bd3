//! Which event a CPU takes before its next instruction (SDM vol. 3 §6.7 to §6.9).

use crate::nmi::NmiBlocking;
use crate::shadow::Shadow;

/// Events that wait for the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// An NMI.
    pub nmi: bool,
    /// The interrupt that the local APIC would deliver: requested, and of a class above the processor
    /// priority.
    pub interrupt: Option<u8>,
}

/// State of the CPU that lets events pass or holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// RFLAGS.IF.
    pub interrupts: bool,
    /// Blocking of NMIs by an NMI.
    pub nmis: NmiBlocking,
    /// The shadow of the last instruction.
    pub shadow: Shadow,
}

impl Gate {
    /// Tells whether a maskable interrupt passes (SDM vol. 3 §6.8.1 and §6.8.3).
    #[inline]
    #[must_use]
    pub fn takes_interrupts(self) -> bool {
        self.interrupts && !self.shadow.holds_interrupts()
    }

    /// Tells whether an NMI passes; RFLAGS.IF does not matter (SDM vol. 3 §6.7).
    #[inline]
    #[must_use]
    pub fn takes_nmis(self) -> bool {
        !self.nmis.is_blocked() && !self.shadow.holds_nmis()
    }
}

/// An event that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// An NMI.
    Nmi,
    /// A maskable interrupt with this vector.
    Interrupt(u8),
}

/// Returns the event that is taken now: an NMI goes before maskable interrupts (SDM vol. 3 table 6-2).
#[must_use]
pub fn accept(pending: Pending, gate: Gate) -> Option<Accepted> {
    if pending.nmi && gate.takes_nmis() {
        return Some(Accepted::Nmi);
    }
    pending.interrupt.filter(|_| gate.takes_interrupts()).map(Accepted::Interrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Gate = Gate { interrupts: false, nmis: NmiBlocking::Open, shadow: Shadow::None };
    const OPEN: Gate = Gate { interrupts: true, ..CLOSED };

    #[test]
    fn each_gate_lets_pass_what_the_manual_says() {
        use NmiBlocking::{Blocked, Open};
        use Shadow::{MovSs, Sti};
        // IF, blocking of NMIs, shadow; passes of interrupts and of NMIs.
        let table = [
            (false, Open, Shadow::None, false, true),
            (false, Blocked, Shadow::None, false, false),
            (true, Open, Shadow::None, true, true),
            (true, Blocked, Shadow::None, true, false),
            (true, Open, Sti, false, true),
            (true, Blocked, Sti, false, false),
            (true, Open, MovSs, false, false),
            (true, Blocked, MovSs, false, false),
            (false, Open, MovSs, false, false),
        ];
        for (interrupts, nmis, shadow, takes_interrupts, takes_nmis) in table {
            let gate = Gate { interrupts, nmis, shadow };
            assert_eq!(gate.takes_interrupts(), takes_interrupts, "{gate:?}");
            assert_eq!(gate.takes_nmis(), takes_nmis, "{gate:?}");
        }
    }

    #[test]
    fn an_nmi_goes_first() {
        let both = Pending { nmi: true, interrupt: Some(0x41) };
        let blocked = Gate { nmis: NmiBlocking::Blocked, ..OPEN };
        let table = [
            (both, OPEN, Some(Accepted::Nmi)),
            (both, CLOSED, Some(Accepted::Nmi)),
            (both, blocked, Some(Accepted::Interrupt(0x41))),
            (Pending { nmi: false, ..both }, OPEN, Some(Accepted::Interrupt(0x41))),
            (Pending { nmi: false, ..both }, CLOSED, None),
            (Pending::default(), OPEN, None),
        ];
        for (pending, gate, accepted) in table {
            assert_eq!(accept(pending, gate), accepted, "{pending:?} {gate:?}");
        }
    }
}
