//! Interrupts that were sent to a CPU and are not delivered yet.
//!
//! A message is on its way to the target's APIC for a time that nothing bounds: no store of its sender, and
//! no other message, waits for its arrival (SDM vol. 3 §10.6 and §10.12 order nothing here). There it sets
//! the vector's bit in the IRR (§10.8.4), and merges with one that has set it before. One by SELF IPI has
//! arrived when the instruction that sends it completes (§10.12.11), of no other is that said.
//!
//! When a message arrives is not a step of its own. Whether one has arrived can only be told
//! by two things, and each leaves both answers open:
//!
//! - *priority*: the highest vector that has arrived comes first, so any may that is not below one which
//!   certainly has;
//! - *merging*: of two equal ones that were sent, the first may be delivered before the second arrives, or
//!   both at once.
//!
//! A bound: more than two equal ones at a time count as two.

/// By the rank of their vectors among those with a handler, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// One was sent.
    sent: u64,
    /// One has certainly arrived.
    arrived: u64,
    /// One more was sent.
    again: u64,
}

impl Requests {
    pub(crate) fn is_empty(self) -> bool {
        self.sent == 0
    }

    /// One is sent, and may arrive `at_once`.
    pub(crate) fn send(&mut self, rank: u16, at_once: bool) {
        let bit = 1 << rank;
        if at_once && self.arrived & bit != 0 {
            return;
        }
        self.again |= self.sent & bit;
        self.sent |= bit;
        if at_once {
            self.arrived |= bit;
        }
    }

    /// The ranks of which any may be the next, the highest first.
    pub(crate) fn next(self) -> impl Iterator<Item = u16> {
        let lowest = self.arrived.checked_ilog2().unwrap_or(0);
        let ranks = (0..64u16).rev().take_while(move |rank| u32::from(*rank) >= lowest);
        ranks.filter(move |rank| self.sent >> rank & 1 != 0)
    }

    /// Is there another one of this rank, which may still be on its way when the first is delivered?
    pub(crate) fn has_another(self, rank: u16) -> bool {
        self.again >> rank & 1 != 0
    }

    /// One is delivered; another `stays` on its way, or has merged with it.
    pub(crate) fn take(&mut self, rank: u16, stays: bool) {
        let bit = 1 << rank;
        self.arrived &= !bit;
        self.again &= !bit;
        if !stays {
            self.sent &= !bit;
        }
    }

    /// For the fingerprint.
    pub(crate) fn words(self) -> [u64; 3] {
        [self.sent, self.arrived, self.again]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(requests: Requests) -> Vec<u16> {
        requests.next().collect()
    }

    #[test]
    fn of_those_on_their_way_any_may_be_first() {
        let mut requests = Requests::default();
        assert!(requests.is_empty() && next(requests).is_empty());
        requests.send(3, false);
        requests.send(63, false);
        assert_eq!(next(requests), [63, 3]);
        requests.send(5, true);
        assert_eq!(next(requests), [63, 5], "the lower one has to wait");
        requests.take(5, false);
        assert_eq!(next(requests), [63, 3]);
    }

    #[test]
    fn equal_ones_merge_or_not() {
        let mut requests = Requests::default();
        requests.send(0, false);
        assert!(!requests.has_another(0));
        requests.send(0, false);
        assert!(requests.has_another(0));
        let mut merged = requests;
        merged.take(0, false);
        assert!(merged.is_empty());
        requests.take(0, true);
        assert!(!requests.is_empty() && !requests.has_another(0));
    }

    #[test]
    fn what_has_arrived_merges_with_one_of_its_own() {
        let mut requests = Requests::default();
        requests.send(7, true);
        requests.send(7, true);
        assert!(!requests.has_another(7));
        requests.send(7, false);
        assert!(requests.has_another(7), "from another CPU");
        requests.take(7, true);
        assert_eq!(requests.words(), [1 << 7, 0, 0]);
    }
}
