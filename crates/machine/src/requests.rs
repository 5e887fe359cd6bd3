//! Interrupts that were sent to a CPU and are not delivered yet.
//!
//! A message is on its way to the target's APIC for a time that nothing bounds: no store of its sender, and
//! no other message, waits for its arrival (SDM vol. 3 §10.6 and §10.12 order nothing here). There it sets
//! the vector's bit in the IRR (§10.8.4), and merges with one that has set it before. One by SELF IPI has
//! arrived when the instruction that sends it completes (§10.12.11), of no other is that said.
//!
//! When a message arrives is not a step of its own. Whether one has arrived can only be told
//! by two things, and each leaves all answers open:
//!
//! - *priority*: the highest vector that has arrived comes first, so any may that is not below one which
//!   certainly has;
//! - *merging*: when one of several equal ones is delivered, any number of the others may have arrived
//!   before, and have merged with it; the rest stay on their way.
//!
//! A bound: more than [`MOST`] equal ones at a time count as that many. A run that comes to it is told of.

/// Most equal ones that are told apart.
pub(crate) const MOST: u8 = 4;

/// By the rank of their vectors among those with a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// How many were sent: bit 0, 1 and 2 of each count.
    counts: [u64; 3],
    /// One has certainly arrived.
    arrived: u64,
}

impl Requests {
    pub(crate) fn is_empty(self) -> bool {
        self.sent() == 0
    }

    /// One is sent, and may arrive `at_once`. False if it is one too many to be told apart.
    #[must_use]
    pub(crate) fn send(&mut self, rank: u16, at_once: bool) -> bool {
        let bit = 1 << rank;
        if at_once && self.arrived & bit != 0 {
            return true;
        }
        let count = self.count(rank);
        self.set_count(rank, (count + 1).min(MOST));
        if at_once {
            self.arrived |= bit;
        }
        count < MOST
    }

    /// The ranks of which any may be the next, the highest first.
    pub(crate) fn next(self) -> impl Iterator<Item = u16> {
        let lowest = self.arrived.checked_ilog2().unwrap_or(0);
        let mut left = self.sent() >> lowest << lowest;
        std::iter::from_fn(move || {
            let rank = left.checked_ilog2()?;
            left &= !(1 << rank);
            u16::try_from(rank).ok()
        })
    }

    /// How many others of this rank there are, which may still be on their way when one is delivered.
    pub(crate) fn others(self, rank: u16) -> u8 {
        self.count(rank).saturating_sub(1)
    }

    /// One is delivered; of the others so many `stay` on their way, and the rest have merged with it.
    pub(crate) fn take(&mut self, rank: u16, stay: u8) {
        self.arrived &= !(1 << rank);
        self.set_count(rank, stay);
    }

    /// For the fingerprint.
    pub(crate) fn words(self) -> [u64; 4] {
        let [ones, twos, fours] = self.counts;
        [ones, twos, fours, self.arrived]
    }

    /// Those of which there is one.
    fn sent(self) -> u64 {
        self.counts.iter().fold(0, |all, plane| all | plane)
    }

    fn count(self, rank: u16) -> u8 {
        let bit = |plane: u64| u8::from(plane >> rank & 1 != 0);
        self.counts.iter().rev().fold(0, |sum, plane| sum << 1 | bit(*plane))
    }

    fn set_count(&mut self, rank: u16, count: u8) {
        for (place, plane) in self.counts.iter_mut().enumerate() {
            *plane = *plane & !(1 << rank) | u64::from(count >> place & 1) << rank;
        }
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
        assert!(requests.send(3, false) && requests.send(63, false));
        assert_eq!(next(requests), [63, 3]);
        assert!(requests.send(5, true));
        assert_eq!(next(requests), [63, 5], "the lower one has to wait");
        requests.take(5, 0);
        assert_eq!(next(requests), [63, 3]);
    }

    #[test]
    fn any_number_of_equal_ones_merges() {
        let mut requests = Requests::default();
        assert!(requests.send(0, false));
        assert_eq!(requests.others(0), 0);
        assert!(requests.send(0, false) && requests.send(0, false));
        assert_eq!(requests.others(0), 2);
        let mut merged = requests;
        merged.take(0, 0);
        assert!(merged.is_empty());
        requests.take(0, 1);
        assert_eq!((requests.is_empty(), requests.others(0)), (false, 0));
    }

    #[test]
    fn a_fifth_equal_one_is_one_too_many() {
        let mut requests = Requests::default();
        assert!((0..4).all(|_| requests.send(9, false)));
        assert!(!requests.send(9, false));
        assert_eq!(requests.others(9), 3);
        assert!(requests.send(8, false), "another vector has a count of its own");
    }

    #[test]
    fn what_has_arrived_merges_with_one_of_its_own() {
        let mut requests = Requests::default();
        assert!(requests.send(7, true) && requests.send(7, true));
        assert_eq!(requests.others(7), 0);
        assert!(requests.send(7, false));
        assert_eq!(requests.others(7), 1, "from another CPU");
        requests.take(7, 1);
        assert_eq!(requests.words(), [1 << 7, 0, 0, 0]);
    }
}
