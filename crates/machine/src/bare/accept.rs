//! Which event a CPU takes before its next instruction (SDM vol. 3 §6.7 to §6.9).

use crate::shadow::Shadow;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// An NMI.
    pub(super) nmi: bool,
    /// The interrupt that the local APIC would deliver: requested, and of a class above the processor
    /// priority.
    pub(super) interrupt: Option<u8>,
}

/// What the CPU lets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gate {
    /// RFLAGS.IF.
    pub(super) interrupts: bool,
    /// No IRET has been executed since the last NMI.
    pub(super) nmi_blocked: bool,
    pub(super) shadow: Shadow,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// An NMI.
    Nmi,
    /// A maskable interrupt with this vector.
    Interrupt(u8),
}

/// What is taken now: an NMI goes before maskable interrupts (SDM vol. 3 table 6-2).
pub(super) fn accept(pending: Pending, gate: Gate) -> Option<Accepted> {
    if pending.nmi && !gate.nmi_blocked && !gate.shadow.holds_nmis() {
        return Some(Accepted::Nmi);
    }
    let open = gate.interrupts && !gate.shadow.holds_interrupts();
    pending.interrupt.filter(|_| open).map(Accepted::Interrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Pending = Pending { nmi: true, interrupt: Some(0x41) };
    const OPEN: Gate = Gate { interrupts: true, nmi_blocked: false, shadow: Shadow::None };

    #[test]
    fn an_nmi_goes_first_and_only_its_blocking_holds_it() {
        assert_eq!(accept(BOTH, OPEN), Some(Accepted::Nmi));
        assert_eq!(accept(BOTH, Gate { interrupts: false, ..OPEN }), Some(Accepted::Nmi));
        assert_eq!(accept(BOTH, Gate { shadow: Shadow::Sti, ..OPEN }), Some(Accepted::Nmi));
        let blocked = Gate { nmi_blocked: true, ..OPEN };
        assert_eq!(accept(BOTH, blocked), Some(Accepted::Interrupt(0x41)));
    }

    #[test]
    fn maskable_interrupts_wait_for_the_flag_and_for_both_shadows() {
        let one = Pending { nmi: false, interrupt: Some(0x41) };
        assert_eq!(accept(one, OPEN), Some(Accepted::Interrupt(0x41)));
        assert_eq!(accept(one, Gate { interrupts: false, ..OPEN }), None);
        for shadow in [Shadow::Sti, Shadow::MovSs] {
            assert_eq!(accept(one, Gate { shadow, ..OPEN }), None);
        }
        assert_eq!(accept(BOTH, Gate { shadow: Shadow::MovSs, ..OPEN }), None);
        assert_eq!(accept(Pending::default(), OPEN), None);
    }
}
