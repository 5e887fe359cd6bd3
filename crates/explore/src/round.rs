//! One pass through the states with frozen knowledge.
//!
//! # Order
//!
//! A breadth-first search with costs 0 and 1 on context switches: places are
//! ordered by switches, then steps. A step of agent *b* is a switch if and only
//! if the agent whose step came before, *a*, is another and could have gone on;
//! steps of [silent](Model::silent) agents never are, and do not count as coming
//! before anything.
//! What a step costs thus depends on the last agent, but what it leads to does
//! not. States are told apart by their key alone, and every step is taken once,
//! at the least cost it has for any way in which its state was reached:
//!
//! - Reached with *a* as the last agent, *a*'s steps are queued at no switch
//!   and all others at one more.
//! - Reached again with another last agent before all its steps were taken,
//!   that agent's steps are queued at no switch, if they are not taken yet.
//! - A step that leaves the last agent what it was, as silent ones do, is taken
//!   once as well, but a further arrival with another last agent is *passed on*
//!   along it: what comes after such a step may be cheaper for that agent. All other
//!   steps hand on their own agent, whatever the arrival.
//!
//! This is Dijkstra's algorithm over pairs of state and last agent, of which
//! only those are kept that can be the first to take a step. So the first bad
//! run found has the fewest switches and, among those, the fewest steps.
//!
//! # Runs without an end
//!
//! Going round for ever is bad, too. The edges of the graph are kept backwards, and
//! a node is *free* as soon as the steps taken so far lead from it to an end. When all
//! is searched, a node that is not free is a livelock. Most are found long
//! before: see [`circle`].

mod budget;
mod circle;
mod parts;
mod settle;

use crate::queue::{At, Item, Queue, Todo};
use crate::reduce::Reducer;
use crate::store::{NOBODY, Phase, Store};
use crate::turn::{Turn, bit};
use crate::{Agent, Agents, Choice, Model, Stats, Stop, What};
use parts::{End, Outside, Stopped};
pub(crate) use parts::{Ending, Round, Scope, Session};

impl<'a, 's, M: Model> Round<'a, 's, M> {
    pub(crate) fn new(session: &'a mut Session<'s, M>, scope: Scope) -> Self {
        let queue = Queue::new(scope.bound);
        Round {
            session,
            scope,
            store: Store::default(),
            queue,
            open: Vec::new(),
            vacant: Vec::new(),
            open_bytes: 0,
            at: At::default(),
            reducer: Reducer::default(),
            excess_at: None,
            foretold: true,
            optional: false,
            outside: Outside::default(),
            choices: Vec::new(),
            pending: Vec::new(),
            foreseen: Vec::new(),
            unwanted: None,
            gap: None,
            stats: Stats::default(),
        }
    }

    /// Goes through the states.
    pub(crate) fn run(&mut self) -> End<M> {
        let ending = self.walk().err().unwrap_or(Ending::Exhausted);
        let ending = match (ending, self.unwanted.take()) {
            (Ending::Violated(what, trail), _) => Ending::Violated(what, trail),
            // Of the runs with as many switches none is bad in a wanted way, or they are too many.
            (_, Some((what, trail, _))) => Ending::Violated(what, trail),
            (ending, None) => ending,
        };
        let bytes = self.bytes();
        self.session.peak_bytes = self.session.peak_bytes.max(bytes);
        self.stats.states = self.store.nodes.len() as u64;
        self.stats.graph_bytes = self.store.bytes() as u64;
        ending
    }

    /// Whether more was observed than is known.
    pub(crate) fn exceeded(&self) -> bool {
        let Session { words, knowledge, .. } = &*self.session;
        words.has_fresh() || (self.scope.reduction && (words.has_widened() || knowledge.exceeded()))
    }

    /// The switches up to which every run was searched.
    pub(crate) fn complete_switches(&self, exhausted: bool) -> Option<u32> {
        let reached = if exhausted { u32::MAX } else { self.at.switches };
        let gap = self.gap.as_ref().map_or(u32::MAX, |gap| gap.2);
        reached.min(gap).checked_sub(1).filter(|_| !self.exceeded())
    }

    /// The switches, at most `complete`, up to which every run that was searched can still end.
    ///
    /// A state from which no end can be reached has, under reduction too, a representative of that
    /// kind at no more switches (see `reduce`), and that is not free.
    pub(crate) fn complete_livelocks(&self, complete: Option<u32>) -> Option<u32> {
        let trapped = self.store.trapped_switches().unwrap_or(u32::MAX);
        Some(complete?.min(trapped.checked_sub(1)?))
    }

    fn walk(&mut self) -> Result<(), End<M>> {
        self.begin()?;
        while let Some((at, item)) = self.queue.pop() {
            if self.unwanted.as_ref().is_some_and(|(_, _, known)| at.switches > known.switches) {
                return Ok(());
            }
            self.at = at;
            self.stats.switches = self.stats.switches.max(at.switches);
            self.stats.depth = self.stats.depth.max(at.depth);
            self.work(item)?;
        }
        if self.exceeded() {
            return Err(Ending::Excess);
        }
        if self.scope.bound.is_some() {
            // What lies beyond was not searched, so that a state is not free says nothing. A model that keeps
            // its promises does not come here: the run that set the bound has been found again.
            return Ok(());
        }
        match self.store.first_trapped() {
            None => Ok(()),
            Some(node) => {
                let arrival = self.store.nodes[node as usize].arrival;
                Err(Ending::Trapped(self.store.trail(arrival)))
            }
        }
    }

    /// The first state.
    fn begin(&mut self) -> Result<(), End<M>> {
        let session = &mut *self.session;
        session.words.begin_step();
        match session.model.initial(&mut session.words) {
            Ok(state) => {
                for agent in 0..self.session.model.agents() {
                    self.foresee(&state, agent);
                }
                self.settle(state, None, NOBODY, At::default()).map(drop)
            }
            Err(stop) => self.stopped(stop, None, At::default()),
        }
    }

    /// Takes the steps of an item that are not taken yet.
    fn work(&mut self, item: Item) -> Result<(), End<M>> {
        let arrival = self.store.arrivals[item.arrival as usize];
        let slot = match self.store.nodes[arrival.node as usize].phase {
            Phase::Forced => return self.pass_on(item.arrival, Agents::MAX),
            // All else has been taken at no more switches than from here.
            Phase::Closed => {
                let silent = self.session.model.silent();
                return self.pass_on(item.arrival, silent | bit(arrival.last));
            }
            Phase::Open(slot) => slot,
        };
        let open = self.open[slot as usize].as_ref().expect("an open state has a snapshot");
        if let Some(agent) = open.forced {
            return self.force(item.arrival, slot, agent);
        }
        let agents = match item.todo {
            Todo::Straight => self.turn(arrival.last).straight(open.possible),
            Todo::Switch => open.possible.enabled,
        };
        let done = open.done;
        self.pass_on(item.arrival, agents & done)?;
        self.expand(item.arrival, slot, agents & !done)
    }

    /// The agent to go on with at no cost after a step of `agent`, where it was `last` before.
    fn next_last(&self, agent: Agent, last: Agent) -> Agent {
        if self.session.model.silent() & (1 << agent) == 0 { agent } else { last }
    }

    /// Takes all steps of `agents` from the state in `slot`.
    fn expand(&mut self, arrival: u32, slot: u32, agents: Agents) -> Result<(), End<M>> {
        if agents == 0 {
            return Ok(());
        }
        let node = self.store.arrivals[arrival as usize].node;
        let mut choices = self.choices_of(slot, agents);
        let open = self.open[slot as usize].as_mut().expect("an open state has a snapshot");
        // A step taken again would lead to what is known. Without this no state would ever close.
        open.done |= agents;
        let closes = open.possible.enabled & !open.done == 0;
        let last = choices.pop();
        for &choice in &choices {
            let open = self.open[slot as usize].as_ref().expect("an open state has a snapshot");
            let state = open.state.clone();
            self.take(state, arrival, choice)?;
        }
        if let Some(choice) = last {
            let state = if closes {
                self.store.nodes[node as usize].phase = Phase::Closed;
                self.release(slot)
            } else {
                let open = self.open[slot as usize].as_ref();
                open.expect("an open state has a snapshot").state.clone()
            };
            self.take(state, arrival, choice)?;
        }
        self.choices = choices;
        Ok(())
    }

    /// Takes one step in the order of the search.
    fn take(&mut self, state: M::State, arrival: u32, choice: Choice) -> Result<(), End<M>> {
        let from = self.store.arrivals[arrival as usize];
        let last = self.next_last(choice.agent, from.last);
        let (child, _) = self.advance(state, arrival, choice, last)?;
        if let Some(child) = child
            && self.session.model.silent() & (1 << choice.agent) != 0
        {
            self.store.pass_on(from.node, choice, child)?;
        }
        Ok(())
    }

    /// Takes the steps of the agent whose steps may stand for all; if they may
    /// not, after all, takes the others too.
    fn force(&mut self, arrival: u32, slot: u32, agent: Agent) -> Result<(), End<M>> {
        let from = self.store.arrivals[arrival as usize];
        let choices = self.choices_of(slot, 1 << agent);
        let (mut stands, mut foretold) = (false, true);
        for &choice in &choices {
            let open = self.open[slot as usize].as_ref().expect("an open state has a snapshot");
            let state = open.state.clone();
            let (child, new) = self.advance(state, arrival, choice, from.last)?;
            stands |= new;
            foretold &= self.foretold;
            if let Some(child) = child {
                self.store.pass_on(from.node, choice, child)?;
            }
        }
        self.choices = choices;
        if stands && foretold {
            self.store.nodes[from.node as usize].phase = Phase::Forced;
            self.release(slot);
            return Ok(());
        }
        let open = self.open[slot as usize].as_mut().expect("an open state has a snapshot");
        open.forced = None;
        // Taking them again would lead to the same.
        open.done |= 1 << agent;
        let possible = open.possible;
        // As if nothing had been tried. What is found under reduction is in no order of steps anyway.
        let at = At { depth: self.at.depth - 1, ..self.at };
        // The steps taken handed on who stepped before, as only forced ones do: each arrival, this
        // one first, has to hand on their agent, too, at the cost of a step like any other.
        self.queue_steps(arrival, possible, from.last, at);
        Ok(())
    }

    /// Hands an arrival on along the steps of `agents` that were taken before.
    fn pass_on(&mut self, arrival: u32, agents: Agents) -> Result<(), End<M>> {
        let from = self.store.arrivals[arrival as usize];
        let forced = self.store.nodes[from.node as usize].phase == Phase::Forced;
        let mut next = self.store.first_pass(from.node);
        while let Some(pass) = next {
            if agents & (1 << pass.choice.agent) != 0 {
                let agent = pass.choice.agent;
                let last = if forced { from.last } else { self.next_last(agent, from.last) };
                self.arrive_again((arrival, pass.choice), pass.to, last)?;
            }
            next = self.store.pass(pass.next);
        }
        Ok(())
    }

    /// The choices that some agents have in the state in `slot`.
    fn choices_of(&mut self, slot: u32, agents: Agents) -> Vec<Choice> {
        let mut choices = std::mem::take(&mut self.choices);
        choices.clear();
        let open = self.open[slot as usize].as_ref().expect("an open state has a snapshot");
        self.session.model.choices(&open.state, &mut choices);
        choices.retain(|choice| agents & (1 << choice.agent) != 0);
        choices
    }

    fn turn(&self, last: Agent) -> Turn {
        Turn::new(&*self.session.model, last)
    }

    /// Empties a slot.
    fn release(&mut self, slot: u32) -> M::State {
        let open = self.open[slot as usize].take().expect("an open state has a snapshot");
        self.open_bytes -= open.bytes;
        self.vacant.push(slot);
        open.state
    }

    /// A run stopped in the step that `parent` tells, or in set-up.
    fn stopped(
        &mut self,
        stop: Stopped<M>,
        parent: Option<(u32, Choice)>,
        at: At,
    ) -> Result<(), End<M>> {
        let mut trail = parent.map_or_else(Vec::new, |(arrival, _)| self.store.trail(arrival));
        trail.extend(parent.map(|(_, choice)| choice));
        self.conclude(stop, trail, at)
    }

    /// A run is bad: the end of the round, unless a wanted one may have as few switches.
    fn is_bad(&mut self, what: What<M::Bad>, trail: Vec<Choice>, at: At) -> Result<(), End<M>> {
        if self.session.model.is_wanted(&what) {
            return Err(Ending::Violated(what, trail));
        }
        if self.unwanted.as_ref().is_none_or(|(_, _, known)| at < *known) {
            self.unwanted = Some((what, trail, at));
        }
        Ok(())
    }

    fn note_excess(&mut self) {
        if self.excess_at.is_none() && self.exceeded() {
            self.excess_at = Some(self.stats.transitions);
        }
    }

    /// What follows from a run that stopped.
    fn conclude(&mut self, stop: Stopped<M>, trail: Vec<Choice>, at: At) -> Result<(), End<M>> {
        match stop {
            Stop::Violation(bad) => self.is_bad(What::Bad(bad), trail, at),
            Stop::Unmodelled(gap) => {
                self.gap.get_or_insert((gap, trail, at.switches));
                Ok(())
            }
            Stop::Discarded => Ok(()),
        }
    }
}
