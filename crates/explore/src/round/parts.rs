//! A round under way: its parts, which outlive it or not.

use std::ops::ControlFlow;

use hashbrown::HashSet;

use crate::knowledge::Knowledge;
use crate::queue::{At, Queue};
use crate::reduce::Reducer;
use crate::store::{Full, Store};
use crate::turn::Possible;
use crate::{
    Agent, Agents, Choice, Model, Options, Progress, Stats, Stop, Touch, What, Why, Words,
};

/// How a round ended.
pub(crate) enum Ending<B, G> {
    /// Every run was searched (up to the bound, if there is one).
    Exhausted,
    /// A bad run.
    Violated(What<B>, Vec<Choice>),
    /// The first state, when all was searched, from which no end can be reached.
    Trapped(Vec<Choice>),
    /// A budget is used up.
    Spent(Why<G>),
    /// More was observed than is known: another round is due.
    Excess,
}

/// What a round searches.
pub(crate) struct Scope {
    /// Whether to leave out orders of independent steps.
    pub(crate) reduction: bool,
    /// The furthest place to go to.
    pub(crate) bound: Option<At>,
    /// The most states to visit.
    pub(crate) states: u64,
}

/// The parts of a search that outlive a round.
pub(crate) struct Session<'a, M> {
    pub(crate) model: &'a mut M,
    pub(crate) words: Words,
    pub(crate) knowledge: Knowledge,
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
    pub(crate) told: Progress,
    pub(crate) peak_bytes: u64,
}

/// A state with steps still to take.
pub(super) struct Open<S> {
    pub(super) state: S,
    pub(super) possible: Possible,
    pub(super) done: Agents,
    /// The agent whose steps may stand for all.
    pub(super) forced: Option<Agent>,
    pub(super) bytes: usize,
}

/// One round under way.
pub(crate) struct Round<'a, 's, M: Model> {
    pub(super) session: &'a mut Session<'s, M>,
    pub(super) scope: Scope,
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) open: Vec<Option<Open<M::State>>>,
    pub(super) vacant: Vec<u32>,
    pub(super) open_bytes: usize,
    pub(super) at: At,
    pub(super) reducer: Reducer,
    /// The transition at which knowledge was first exceeded.
    pub(super) excess_at: Option<u64>,
    /// Whether all that the last step touched was among its pending touches.
    pub(super) foretold: bool,
    /// Whether the step under way is [optional](Model::optional).
    pub(super) optional: bool,
    pub(super) outside: Outside,
    pub(super) choices: Vec<Choice>,
    pub(super) pending: Vec<Touch>,
    pub(super) foreseen: Vec<Touch>,
    /// The first bad run that is not of a [wanted](Model::is_wanted) kind.
    pub(super) unwanted: Option<(What<M::Bad>, Vec<Choice>, At)>,
    /// The first gap, with its trail and switches.
    pub(crate) gap: Option<(M::Gap, Vec<Choice>, u32)>,
    pub(crate) stats: Stats,
}

pub(super) type End<M> = Ending<<M as Model>::Bad, <M as Model>::Gap>;
pub(super) type Stopped<M> = Stop<<M as Model>::Bad, <M as Model>::Gap>;

impl<B, G> From<Full> for Ending<B, G> {
    fn from(_: Full) -> Self {
        Ending::Spent(Why::States)
    }
}

/// The most states to remember.
const REMEMBERED_STATES: usize = 1 << 22;

/// States, by their keys, that are known to be in no [circle](super::circle).
#[derive(Default)]
pub(super) struct Outside(pub(super) HashSet<u128>);

impl Outside {
    pub(super) fn add(&mut self, key: u128) {
        if self.0.len() < REMEMBERED_STATES {
            self.0.insert(key);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}
