//! One step, and the state it leads to.

use super::parts::{End, Ending, Open, Round, Session};
use crate::queue::{At, Item, Todo};
use crate::store::Phase;
use crate::turn::{Possible, bit};
use crate::{Agent, Choice, Model, Next, Touch, What, Why};

impl<M: Model> Round<'_, '_, M> {
    /// Takes one step and settles the state it leads to, if it leads to one,
    /// from which `last` is to go on. Tells the state's node, and whether the
    /// search goes on from there for the first time.
    pub(super) fn advance(
        &mut self,
        mut state: M::State,
        arrival: u32,
        choice: Choice,
        last: Agent,
    ) -> Result<(Option<u32>, bool), End<M>> {
        self.tick()?;
        let reduction = self.scope.reduction;
        let Session { model, words, .. } = &mut *self.session;
        self.pending.clear();
        let from =
            if reduction { model.next(&state, choice.agent, &mut self.pending) } else { None };
        self.optional = model.optional(&state, choice);
        let others = cfg!(debug_assertions).then(|| others(&**model, &state, choice.agent));
        words.begin_step();
        let outcome = model.step(&mut state, choice, words);
        if reduction {
            let covers = |a: &Touch, b: &Touch| a.word == b.word && (a.write || !b.write);
            let foretold = |touch| self.pending.iter().any(|pending| covers(pending, touch));
            self.foretold = words.noted().iter().all(foretold);
        }
        if let Some(before) = others.filter(|_| outcome.is_ok()) {
            let after = self::others(&**model, &state, choice.agent);
            assert_eq!(before, after, "{choice:?} changed what another agent does next");
        }
        let to = if outcome.is_ok() { self.foresee(&state, choice.agent) } else { None };
        if reduction {
            self.learn(choice.agent, from, to);
        }
        self.note_excess();
        match outcome {
            Ok(()) => self.settle(state, Some((arrival, choice)), last, self.at),
            Err(stop) => {
                if !self.optional {
                    self.store.free(self.store.arrivals[arrival as usize].node);
                }
                self.stopped(stop, Some((arrival, choice)), self.at)?;
                Ok((None, false))
            }
        }
    }

    /// Records what the pending operation of `agent` touches before it is taken. That the point is learnt,
    /// too, has the others forced beside an agent that never stepped; what it touches there counts as it
    /// does by [`reduce`](crate::reduce), which looks at all that is pending.
    pub(super) fn foresee(&mut self, state: &M::State, agent: Agent) -> Option<Next> {
        let next = self.await_words(state, agent)?;
        let Session { words, knowledge, .. } = &mut *self.session;
        if self.scope.reduction && words.recurrent() & (1 << agent) == 0 {
            knowledge.learn(agent, next.point, [&self.foreseen, &[]], None);
        }
        Some(next)
    }

    /// Records what the pending operation of `agent` reads before it is taken: an agent that waits has to
    /// be found out even if it is never let go on.
    pub(super) fn await_words(&mut self, state: &M::State, agent: Agent) -> Option<Next> {
        let Session { model, words, .. } = &mut *self.session;
        self.foreseen.clear();
        let next = model.next(state, agent, &mut self.foreseen)?;
        for touch in self.foreseen.iter().filter(|touch| !touch.write) {
            words.touch(agent, touch.word, false);
        }
        Some(next)
    }

    /// Learns from a step of `agent`.
    fn learn(&mut self, agent: Agent, from: Option<Next>, to: Option<Next>) {
        let Session { words, knowledge, .. } = &mut *self.session;
        if words.recurrent() & (1 << agent) != 0 {
            return;
        }
        let Some(from) = from else {
            debug_assert!(false, "agent {agent} starts with nothing pending, but is not recurrent");
            return;
        };
        let touches = [self.pending.as_slice(), words.noted()];
        knowledge.learn(agent, from.point, touches, to.map(|to| to.point));
    }

    /// Files a state under its node, and queues its steps if it is new.
    pub(super) fn settle(
        &mut self,
        state: M::State,
        parent: Option<(u32, Choice)>,
        last: Agent,
        at: At,
    ) -> Result<(Option<u32>, bool), End<M>> {
        let key = self.session.model.key(&state);
        let (node, new) = self.store.visit(key, at.switches)?;
        if let Some((arrival, _)) = parent.filter(|_| !self.optional) {
            self.store.link(self.store.arrivals[arrival as usize].node, node)?;
        }
        if !new {
            if let Some(parent) = parent {
                self.arrive_again(parent, node, last)?;
                self.look_for_circle(parent.0, node, &state)?;
            }
            return Ok((Some(node), false));
        }
        if node as u64 >= self.scope.states {
            return Err(Ending::Spent(Why::States));
        }
        let arrival = self.store.arrive(parent, node, last)?;
        self.store.nodes[node as usize].arrival = arrival;
        let session = &mut *self.session;
        session.words.begin_step();
        let outcome = session.model.inspect(&state, &mut session.words);
        self.note_excess();
        if let Err(stop) = outcome {
            self.store.free(node);
            let trail = self.store.trail(arrival);
            self.conclude(stop, trail, at)?;
            return Ok((Some(node), false));
        }
        self.open(state, arrival, at)?;
        Ok((Some(node), true))
    }

    /// Queues the steps of a new state.
    pub(super) fn open(&mut self, state: M::State, arrival: u32, at: At) -> Result<(), End<M>> {
        let model = &*self.session.model;
        self.choices.clear();
        model.choices(&state, &mut self.choices);
        let possible = Possible::new(model, &state, &self.choices);
        let from = self.store.arrivals[arrival as usize];
        if possible.required == 0 {
            match model.ended(&state) {
                true => self.stats.ends += 1,
                false => self.is_bad(What::Deadlock, self.store.trail(arrival), at)?,
            }
            self.store.free(from.node);
        }
        if possible.enabled == 0 {
            return Ok(());
        }
        let Session { model, words, knowledge, .. } = &mut *self.session;
        let mut forced = None;
        if self.scope.reduction {
            let recurrent = words.recurrent();
            let reducer = &mut self.reducer;
            forced =
                reducer.forced(&**model, &state, possible.enabled, from.last, recurrent, knowledge);
        }
        let bytes = model.state_bytes(&state);
        self.open_bytes += bytes;
        let open = Open { state, possible, done: 0, forced, bytes };
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() as u32 - 1
        });
        self.open[slot as usize] = Some(open);
        let frontier = (self.open.len() - self.vacant.len()) as u64;
        self.stats.frontier_peak = self.stats.frontier_peak.max(frontier);
        let lasts = self.turn(from.last).lasts(possible);
        let node = &mut self.store.nodes[from.node as usize];
        node.phase = Phase::Open(slot);
        node.lasts = lasts;
        if forced.is_some() {
            self.queue.push(at.step(0), Item { arrival, todo: Todo::Straight });
        } else {
            self.queue_steps(arrival, possible, from.last, at);
        }
        Ok(())
    }

    /// Queues all steps of a state reached at `at`.
    pub(super) fn queue_steps(&mut self, arrival: u32, possible: Possible, last: Agent, at: At) {
        self.queue.push(at.step(0), Item { arrival, todo: Todo::Straight });
        if self.turn(last).straight(possible) != possible.enabled {
            self.queue.push(at.step(1), Item { arrival, todo: Todo::Switch });
        }
    }

    /// A known state is reached again: some steps may be cheaper from there.
    pub(super) fn arrive_again(
        &mut self,
        parent: (u32, Choice),
        node: u32,
        last: Agent,
    ) -> Result<(), End<M>> {
        let turn = self.turn(last);
        let passes = self.store.first_pass(node).is_some();
        let known = &mut self.store.nodes[node as usize];
        // Where no step is left and none passes anything on, an arrival would come to nothing.
        if (known.phase == Phase::Closed && !passes) || known.lasts & bit(last) == bit(last) {
            return Ok(());
        }
        if self.scope.reduction && self.at.switches > known.switches {
            // No cheaper in switches: who came first is a switch away from all steps. The number of steps
            // is anyone's guess. So this spares work, and changes no verdict.
            return Ok(());
        }
        known.lasts |= bit(last);
        if let Phase::Open(slot) = known.phase {
            let open = self.open[slot as usize].as_ref().expect("an open state has a snapshot");
            known.lasts |= turn.lasts(open.possible);
            let straight = turn.straight(open.possible);
            // A step that leads to where it comes from arrives while silent ones are still to be
            // taken, though they count as done.
            let hands_on =
                straight & self.session.model.silent() != 0 || self.store.passes_on(node, straight);
            if straight & !open.done == 0 && !hands_on {
                // There would be nothing to do: this spares the arrival.
                return Ok(());
            }
        }
        let arrival = self.store.arrive(Some(parent), node, last)?;
        self.queue.push(self.at.step(0), Item { arrival, todo: Todo::Straight });
        Ok(())
    }
}

/// The program points of all agents but one that are not recurrent: the model
/// promises that they do not change by a step of that one.
fn others<M: Model>(model: &M, state: &M::State, agent: Agent) -> Vec<Option<u64>> {
    let recurrent = model.recurrent();
    let agents = (0..model.agents()).filter(|&a| a != agent && recurrent & (1 << a) == 0);
    let mut touches = Vec::new();
    agents.map(|a| model.next(state, a, &mut touches).map(|next| next.point)).collect()
}
