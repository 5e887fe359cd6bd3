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
    pub(crate) fn straight(self, possible: Possible) -> Agents {
        let own = if self.last == NOBODY { 0 } else { 1 << self.last };
        let goes_on = possible.required & (own | self.served_by) != 0;
        if goes_on { possible.enabled & (own | self.silent) } else { possible.enabled }
    }

    /// The last agents with which nothing is to be gained any more once a state was reached with
    /// this one: all of them if every step was straight. But who came last is handed on by silent
    /// steps, and may matter after them.
    ///
    /// Where one agent's step stands for all, it hands on the last agent as well. But who cannot go on before
    /// such a step cannot after it: what that depends on is among the words that the step does not touch, and
    /// a handler that suspends the last agent has stepped itself, later. So this only spares arrivals.
    pub(crate) fn lasts(self, possible: Possible) -> Agents {
        let hands_on = possible.enabled & self.silent != 0;
        if !hands_on && self.straight(possible) == possible.enabled {
            Agents::MAX
        } else {
            bit(self.last)
        }
    }
}

/// The agents that have a step to take.
#[derive(Clone, Copy, Default)]
pub(crate) struct Possible {
    pub(crate) enabled: Agents,
    /// Those with one that is not [optional](Model::optional).
    pub(crate) required: Agents,
}

impl Possible {
    pub(crate) fn new<M: Model>(model: &M, state: &M::State, choices: &[Choice]) -> Possible {
        let mut possible = Possible::default();
        for &choice in choices {
            possible.enabled |= 1 << choice.agent;
            if !model.optional(state, choice) {
                possible.required |= 1 << choice.agent;
            }
        }
        possible
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
    /// Counts `choice`, taken in `state`, where these are possible.
    pub fn step<M: Model>(
        &mut self,
        model: &M,
        state: &M::State,
        possible: &[Choice],
        choice: Choice,
    ) {
        let possible = Possible::new(model, state, possible);
        if Turn::new(model, self.last).straight(possible) & 1 << choice.agent == 0 {
            self.count += 1;
        }
        if model.silent() & 1 << choice.agent == 0 {
            self.last = choice.agent;
        }
    }

    /// Returns the number of context switches so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}
