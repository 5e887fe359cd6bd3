//! The trait of systems that can be searched.

use crate::{Agent, Agents, Choice, Touch, What, Words};

/// Why a run does not go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop<B, G> {
    /// Something that must not happen did.
    Violation(B),
    /// Something that the model does not cover.
    Unmodelled(G),
    /// The run is of no interest: `assume(false)`.
    Discarded,
}

/// What an agent would do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    /// The program point of the pending operation. Two states in which an agent
    /// is at the same point need not agree in anything else.
    pub point: u64,
    /// Whether the pending operation may be run ahead of the other agents when
    /// its touches conflict with none of theirs. False for an operation whose
    /// effect on others is not told by its touches.
    pub reducible: bool,
}

/// A system to search.
///
/// # Contract
///
/// A verdict holds for models that keep these promises. Debug builds check some.
///
/// - **True where all is known.** A run is one of the system if every word that two
///   agents touch in it, and one of them writes, [is shared](Words::is_shared). Where
///   one is not, the model may take the access for a private one, as if nobody could
///   tell in which order it comes.
/// - **Deterministic.** A step is a function of the state, the choice and the
///   set of shared words.
/// - **Visible and private.** A step does one *visible* operation of its agent
///   and then runs on, privately, up to the next visible one. An access to a
///   word that [`Words::is_shared`] knows is visible; what else is visible is
///   the model's to say, but not dependent on other agents' state.
///   A private part must end: going round a loop is visible. So is whatever may
///   discard the run, or else it would take with it what others could still do.
/// - **Recorded.** Every access is told to [`Words::touch`], whether shared or
///   not, and whatever one agent does to another is an access to some word.
/// - **Local.** What an agent's pending operation is, and its
///   [`next`](Model::next), change by its own steps only. Whether it is enabled
///   may depend on words, which then are reads among its pending touches; apart
///   from that it may be suspended while a handler above it runs.
///   An agent that others can start, stop or bring back is [recurrent](Model::recurrent),
///   and the words on which its start depends are touched on its behalf from the
///   [first state](Model::initial) on: the start may never be seen to be possible
///   while those words are not known to be shared.
/// - **Keyed.** States with the same [`key`](Model::key) behave the same.
pub trait Model {
    /// A state; cloned once per step, so cheap to clone.
    type State: Clone;
    /// What a violation is described by.
    type Bad: Clone + PartialEq;
    /// What something unmodelled is described by.
    type Gap: Clone;

    /// Whether a bad run of this kind is what the search is for. One of another kind is the verdict only if
    /// no run with as few switches is bad in a wanted way.
    ///
    /// Which of two bad runs has fewer steps depends on the words that are known to be shared, so on the way
    /// of searching; which has fewer switches does not, nor does a verdict that tells the kinds apart.
    fn is_wanted(&self, _what: &What<Self::Bad>) -> bool {
        true
    }

    /// A round of the search begins. What a model has gathered of runs is to be
    /// gathered anew: those of an earlier round need not be the system's.
    fn round_begins(&mut self) {}

    /// The first state: set-up ran alone, and every agent has advanced to its
    /// first scheduling point.
    ///
    /// # Errors
    ///
    /// Why the run ended before it began.
    fn initial(&mut self, words: &mut Words) -> Result<Self::State, Stop<Self::Bad, Self::Gap>>;

    /// Appends the ways to go on from `state`, in a fixed order.
    fn choices(&self, state: &Self::State, out: &mut Vec<Choice>);

    /// One step of `choice.agent`: its pending visible operation, then
    /// everything private up to the next one.
    ///
    /// # Errors
    ///
    /// Why the run ended within the step.
    fn step(
        &mut self,
        state: &mut Self::State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<Self::Bad, Self::Gap>>;

    /// Invariants; called once on every new state and on the first. What it
    /// reads is recorded for the observer agent of the model. It also judges
    /// final states (those that have [ended](Model::ended)), for which nothing need be
    /// recorded.
    ///
    /// # Errors
    ///
    /// What is wrong with the state.
    fn inspect(
        &mut self,
        state: &Self::State,
        words: &mut Words,
    ) -> Result<(), Stop<Self::Bad, Self::Gap>>;

    /// The fingerprint of the state, well mixed: bits of it are used as a hash.
    fn key(&self, state: &Self::State) -> u128;

    /// Asked where there is no choice but [optional](Model::optional) ones: whether
    /// that is a proper end rather than a deadlock.
    fn ended(&self, state: &Self::State) -> bool;

    /// Whether a step may be left out for ever: something from outside that may come
    /// or not. A run that goes on by such steps alone counts as one that waits for ever,
    /// so an end behind one is none when deadlocks and livelocks are judged. It must be a
    /// step by which an agent starts that has no operation pending.
    fn optional(&self, state: &Self::State, choice: Choice) -> bool {
        let _ = (state, choice);
        false
    }

    /// The program point of the agent's pending operation, whose words are
    /// appended to `touches` (also those on which it depends whether the agent
    /// is enabled); none if it has no operation pending: ended, not started. One
    /// that is blocked, or suspended by a handler, has its operation pending.
    fn next(&self, state: &Self::State, agent: Agent, touches: &mut Vec<Touch>) -> Option<Next>;

    /// The number of agents; they are numbered from 0.
    fn agents(&self) -> u8;

    /// The agents (a bit each) that may start anew at any time, such as
    /// interrupt handlers, and observers: all that was ever recorded of them
    /// counts as what they may still do.
    fn recurrent(&self) -> Agents;

    /// The agents whose steps are no context switch, ever: hardware that works
    /// beside the others. The last agent stays what it was.
    fn silent(&self) -> Agents {
        0
    }

    /// The silent agents that `agent` may wait for and that serve nobody else:
    /// while one of them can go on, so can `agent`, as far as switches are
    /// counted.
    fn served_by(&self, agent: Agent) -> Agents {
        let _ = agent;
        0
    }

    /// The memory that `state` holds on to beside its own size, for the budget.
    fn state_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }
}
