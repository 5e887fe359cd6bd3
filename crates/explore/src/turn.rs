//! How context switches are counted.

use crate::store::NOBODY;
use crate::{Agent, Agents, Choice, Model};

/// Whose turn it is after an agent's step.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    last: Agent,
    served_by: Agents,
    silent: Agents,
}

impl Turn {
    pub(crate) fn new<M: Model>(model: &M, last: Agent) -> Turn {
        let served_by = if last == NOBODY { 0 } else { model.served_by(last) };
        Turn { last, served_by, silent: model.silent() }
    }

    /// The steps that are no context switch.
    pub(crate) fn straight(self, enabled: Agents) -> Agents {
        let own = if self.last == NOBODY { 0 } else { 1 << self.last };
        let goes_on = enabled & (own | self.served_by) != 0;
        if goes_on { enabled & (own | self.silent) } else { enabled }
    }

    /// The last agents with which nothing is to be gained any more once a state
    /// was reached with this one.
    pub(crate) fn lasts(self, enabled: Agents) -> Agents {
        if self.straight(enabled) == enabled { Agents::MAX } else { bit(self.last) }
    }
}

/// The bit of an agent; where nobody stepped, any agent may go on.
pub(crate) fn bit(last: Agent) -> Agents {
    if last == NOBODY { Agents::MAX } else { 1 << last }
}

/// Counts the context switches of a run.
#[derive(Clone, Copy, Debug)]
pub struct Switches {
    last: Agent,
    count: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Switches { last: NOBODY, count: 0 }
    }
}

impl Switches {
    /// `choice` is taken where these are possible.
    pub fn step<M: Model>(&mut self, model: &M, possible: &[Choice], choice: Choice) {
        let enabled = possible.iter().fold(0, |mask, choice| mask | 1 << choice.agent);
        if Turn::new(model, self.last).straight(enabled) & 1 << choice.agent == 0 {
            self.count += 1;
        }
        if model.silent() & 1 << choice.agent == 0 {
            self.last = choice.agent;
        }
    }

    /// So many so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}
