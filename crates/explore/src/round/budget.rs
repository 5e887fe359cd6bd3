//! What a round spends.

use std::ops::ControlFlow;
use std::time::Instant;

use super::parts::{End, Ending, Open, Round, Session};
use crate::{Model, Options, Why};

impl<M: Model> Round<'_, '_, M> {
    /// Counts a transition, and looks after the budgets now and then.
    pub(super) fn tick(&mut self) -> Result<(), End<M>> {
        let count = self.stats.transitions;
        self.stats.transitions += 1;
        self.session.told.transitions_all += 1;
        // Having gone on for as long again, the round has shown enough that is new.
        if self.excess_at.is_some_and(|at| count > 2 * at + self.session.options.patience) {
            return Err(Ending::Excess);
        }
        if count % 256 == 255 {
            let bytes = self.bytes();
            self.session.peak_bytes = self.session.peak_bytes.max(bytes);
            let Options { bytes: budget, deadline, .. } = *self.session.options;
            if bytes > budget {
                return Err(Ending::Spent(Why::Bytes));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Ending::Spent(Why::Time));
            }
        }
        if self.stats.transitions.is_multiple_of(self.session.options.progress_every.max(1)) {
            return self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<(), End<M>> {
        let bytes = self.bytes();
        let told = &mut self.session.told;
        told.states = self.store.nodes.len() as u64;
        told.transitions = self.stats.transitions;
        told.switches = self.at.switches;
        told.depth = self.at.depth;
        told.frontier = (self.open.len() - self.vacant.len()) as u64;
        told.bytes = bytes;
        match (self.session.progress)(told) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Ending::Spent(Why::Interrupted)),
        }
    }

    /// The memory in use.
    pub(super) fn bytes(&self) -> u64 {
        let Session { words, knowledge, .. } = &*self.session;
        let slots = self.open.capacity() * size_of::<Option<Open<M::State>>>();
        let open = slots + self.open_bytes + self.vacant.capacity() * 4 + self.outside.bytes();
        (self.store.bytes() + self.queue.bytes() + open + words.bytes() + knowledge.bytes()) as u64
    }
}
