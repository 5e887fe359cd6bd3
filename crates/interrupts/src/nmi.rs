//! Blocking of NMIs.

/// From the delivery of an NMI to the next execution of IRET no further one is delivered; IRET ends that
/// even if it faults (SDM vol. 3 §6.7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NmiBlocking {
    /// An NMI can be delivered.
    #[default]
    Open,
    /// NMIs wait for the next IRET.
    Blocked,
}

impl NmiBlocking {
    /// An NMI is delivered.
    #[inline]
    pub fn deliver(&mut self) {
        *self = NmiBlocking::Blocked;
    }

    /// IRET is executed.
    #[inline]
    pub fn iret(&mut self) {
        *self = NmiBlocking::Open;
    }

    /// Tells whether NMIs wait.
    #[inline]
    #[must_use]
    pub fn is_blocked(self) -> bool {
        self == NmiBlocking::Blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iret_opens_what_a_delivery_blocks() {
        let mut nmis = NmiBlocking::default();
        assert!(!nmis.is_blocked());
        nmis.deliver();
        assert!(nmis.is_blocked());
        nmis.iret();
        assert_eq!(nmis, NmiBlocking::default());
    }
}
