//! Which stack frames of an agent are gone: a rule of numbers, without accesses.
//!
//! RSP moves down when a frame is made and up when it is left. A word that was in a frame and is below RSP now is
//! *gone*: nobody but the owner of the stack has any business there. Where the stack ends for others is the
//! *floor*. It follows RSP, but past a word that others touch only in an operation of its own (see
//! [`gone`](crate::gone)).
//!
//! A stack is judged from when it is given to an agent (a thread or a handler starts) until the agent
//! moves RSP in another way than calls and frames do, as code does that switches stacks or carves them.

/// What is known of one agent's stack. What is gone depends on shared words alone, so that states are not told
/// apart by how deep a stack has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    /// What is gone is below it; 0 where the stack is not judged.
    floor: u64,
    /// The lowest shared word that was in a frame.
    low: u64,
    /// RSP has moved as frames come and go.
    orderly: bool,
    /// The lowest word of the red zone that the owner has stored to since RSP moved; the highest if none.
    red_zone: u64,
}

impl Default for Frames {
    /// Of an agent that has not started.
    fn default() -> Frames {
        Frames { floor: 0, low: u64::MAX, orderly: false, red_zone: u64::MAX }
    }
}

impl Frames {
    /// Is all of the word at `va` of this stack in a frame that is gone?
    pub(crate) fn is_gone(self, va: u64) -> bool {
        let word = va & !7;
        self.low <= word && word + 8 <= self.floor
    }

    pub(crate) fn floor(self) -> u64 {
        self.floor
    }

    /// The addresses among which those that are gone lie.
    pub(crate) fn gone(self) -> (u64, u64) {
        (self.low, self.floor)
    }

    pub(crate) fn is_orderly(self) -> bool {
        self.orderly
    }

    /// The stack is given to its agent with this RSP. The frames of an earlier handler stay gone.
    pub(crate) fn give(&mut self, rsp: u64, lowest_shared: Option<u64>) {
        let low = self.low.min(lowest_shared.unwrap_or(u64::MAX));
        *self = Frames { floor: rsp, low, orderly: true, red_zone: u64::MAX };
    }

    /// The agent has returned. Where nothing is gone, that is as if it had never started.
    pub(crate) fn rest(&mut self) {
        if self.low >= self.floor {
            *self = Frames::default();
        }
    }

    /// RSP moves in a way that says nothing of frames: from now on the stack is not judged.
    pub(crate) fn disturb(&mut self) {
        self.orderly = false;
    }

    /// The owner stores at `va` in the red zone.
    pub(crate) fn use_red_zone(&mut self, va: u64) {
        self.red_zone = self.red_zone.min(va & !7);
    }

    /// RSP moves: what was in the red zone is no more.
    pub(crate) fn leave_red_zone(&mut self) {
        self.red_zone = u64::MAX;
    }

    /// Where the frames end with this RSP.
    pub(crate) fn end(self, rsp: u64) -> u64 {
        rsp.min(self.red_zone)
    }

    /// Is the floor behind RSP?
    pub(crate) fn lags(self, rsp: u64) -> bool {
        self.floor != if self.orderly { self.end(rsp) } else { 0 }
    }

    /// The addresses of which it changes whether they are gone when the floor follows RSP.
    pub(crate) fn changing(self, rsp: u64) -> (u64, u64) {
        if self.orderly {
            let end = self.end(rsp);
            (self.floor.min(end), self.floor.max(end))
        } else {
            (self.low.min(self.floor), self.floor)
        }
    }

    /// The floor follows RSP, past shared words of which `lowest_shared` is the lowest.
    pub(crate) fn follow(&mut self, rsp: u64, lowest_shared: Option<u64>) {
        if self.orderly {
            self.low = self.low.min(lowest_shared.unwrap_or(u64::MAX));
            self.floor = self.end(rsp);
        } else {
            *self = Frames::default();
        }
    }

    /// For the fingerprint.
    pub(crate) fn digest(self) -> [u64; 3] {
        [self.floor << 1 | u64::from(self.orderly), self.low, self.red_zone]
    }
}

/// How much of an agent's stack is known to its owner in a round of the search, whose shared words do not
/// change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    /// Everything above it was in a frame in some run.
    pub(crate) low: u64,
    /// The lowest shared word above, and the address after the highest.
    pub(crate) shared: (u64, u64),
}

impl Depth {
    pub(crate) fn new(top: u64) -> Depth {
        Depth { low: top, shared: (u64::MAX, 0) }
    }

    /// The part of a range of addresses in which shared words are.
    pub(crate) fn among_shared(self, (from, to): (u64, u64)) -> (u64, u64) {
        (from.max(self.shared.0), to.min(self.shared.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u64 = 0x1000;

    #[test]
    fn what_was_in_a_frame_is_gone_below_the_floor() {
        let mut frames = Frames::default();
        assert!(!frames.lags(0x123) && !frames.is_gone(0xf00));
        frames.give(TOP - 8, None);
        assert!(!frames.is_gone(0xf00), "it was never in a frame");
        assert!(frames.lags(0xe00));
        assert_eq!(frames.changing(0xe00), (0xe00, TOP - 8));
        frames.follow(0xe00, Some(0xf00));
        assert!(!frames.is_gone(0xf00) && !frames.lags(0xe00));
        frames.follow(TOP - 8, Some(0xf00));
        assert!(frames.is_gone(0xf00) && frames.is_gone(0xf07) && !frames.is_gone(0xe00));
        assert!(!frames.is_gone(TOP - 8), "the return address");
        frames.rest();
        frames.give(TOP - 40, None);
        assert!(frames.is_gone(0xf00), "an earlier handler's frame stays gone");
    }

    #[test]
    fn a_handler_that_leaves_nothing_leaves_no_trace() {
        let mut frames = Frames::default();
        frames.give(TOP - 8, None);
        frames.follow(0xe00, None);
        frames.follow(TOP, None);
        assert_ne!(frames, Frames::default());
        frames.rest();
        assert_eq!(frames, Frames::default());
    }

    #[test]
    fn the_red_zone_that_is_used_is_a_frame_until_rsp_moves() {
        let mut frames = Frames::default();
        frames.give(TOP, Some(0xf00));
        frames.use_red_zone(0xf05);
        assert!(frames.lags(TOP) && frames.is_gone(0xf00));
        frames.follow(TOP, Some(0xf00));
        assert!(!frames.lags(TOP) && !frames.is_gone(0xf00));
        frames.leave_red_zone();
        frames.follow(TOP - 8, None);
        assert!(frames.is_gone(0xf00));
    }

    #[test]
    fn a_stack_that_is_switched_is_not_judged() {
        let mut frames = Frames::default();
        frames.give(TOP, Some(0xf00));
        assert!(frames.is_gone(0xf00));
        frames.disturb();
        assert!(frames.is_gone(0xf00) && frames.lags(TOP));
        assert_eq!(frames.changing(0x800), (0xf00, TOP));
        frames.follow(0x800, None);
        assert!(!frames.is_gone(0xf00) && !frames.lags(0x700));
    }
}
