//! Interrupt shadows: instructions that hold interrupts back for one more instruction.
//!
//! By the manual's present text:
//!
//! - STI that finds IF clear inhibits maskable interrupts on the next instruction boundary; one that finds it
//!   set does not, so of several in a row only the first delays (SDM vol. 2 STI).
//! - MOV to SS inhibits interrupts, NMIs too, on the next boundary; of consecutive instructions that load SS
//!   only the first is guaranteed to (SDM vol. 2 MOV, vol. 3 §6.8.3).
//!
//! These are two rules: neither instruction takes the delay of the other away, in either order. Older
//! editions had one for both, and said of STI; MOV SS; MOV ESP that interrupts may come before the last; the
//! present one has taken that back.

/// The shadow that an instruction leaves (SDM vol. 3 §6.8.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shadow {
    /// Nothing.
    #[default]
    None,
    /// STI, which found IF clear.
    Sti,
    /// MOV to SS.
    MovSs,
}

impl Shadow {
    /// Returns the shadow of an STI that found IF as `interrupts` (SDM vol. 2 STI).
    #[inline]
    #[must_use]
    pub fn of_sti(interrupts: bool) -> Shadow {
        if interrupts { Shadow::None } else { Shadow::Sti }
    }

    /// Returns the shadow of MOV to SS, itself under `before` (SDM vol. 2 MOV, vol. 3 §6.8.3).
    #[inline]
    #[must_use]
    pub fn of_mov_ss(before: Shadow) -> Shadow {
        if before == Shadow::MovSs { Shadow::None } else { Shadow::MovSs }
    }

    /// Tells whether maskable interrupts wait (SDM vol. 3 §6.8.3).
    #[inline]
    #[must_use]
    pub fn holds_interrupts(self) -> bool {
        self != Shadow::None
    }

    /// Tells whether NMIs wait. STI leaves that to the processor (SDM vol. 2 STI); here they come.
    #[inline]
    #[must_use]
    pub fn holds_nmis(self) -> bool {
        self == Shadow::MovSs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_ones_in_a_row_only_the_first_delays() {
        assert_eq!(Shadow::of_sti(false), Shadow::Sti);
        assert_eq!(Shadow::of_sti(true), Shadow::None);
        assert_eq!(Shadow::of_mov_ss(Shadow::None), Shadow::MovSs);
        assert_eq!(Shadow::of_mov_ss(Shadow::MovSs), Shadow::None);
    }

    #[test]
    fn mov_to_ss_delays_behind_sti() {
        assert_eq!(Shadow::of_mov_ss(Shadow::Sti), Shadow::MovSs);
    }

    #[test]
    fn only_mov_to_ss_holds_nmis() {
        assert!(Shadow::Sti.holds_interrupts() && !Shadow::Sti.holds_nmis());
        assert!(Shadow::MovSs.holds_interrupts() && Shadow::MovSs.holds_nmis());
        assert!(!Shadow::None.holds_interrupts());
    }
}
