//! Where the steps of one agent stand for all.
//!
//! # What is left out
//!
//! At a state, the steps of a single agent *a* are taken alone if its pending
//! operation conflicts (same word, one writes) with nothing any other agent may
//! still do: not with the other's own pending operation, nor with the future of
//! its program point, nor, for recurrent agents, with all they were ever seen
//! to do. The agent is then *forced*.
//!
//! # Why that is sound
//!
//! Such a set of steps is persistent (Godefroid, *Partial-Order Methods for the
//! Verification of Concurrent Systems*, 1996, chapter 4): whatever the others
//! do first is independent of *a*'s pending operation. So any run *u t v* from
//! here, where *t* is the first step of *a*, can be reordered to *t u v*, and
//! any run *u* without a step of *a* has the companion *t u*. What makes a
//! run bad or ends it survives that:
//!
//! - A violation or a discard within a step depends on the agent's local state
//!   and the words the step touches, which are the same in both orders.
//! - An invariant sees what the observer reads. The observer is recurrent, so a
//!   write to a word it reads is never forced: forced steps do not change what
//!   it sees.
//! - Where *u* ends without a step of *a* (a handler that spins or waits for
//!   ever above *a*), the end after *t u* is of the same kind: whether an agent
//!   is enabled depends on words among its pending touches.
//! - A state from which no end can be reached has only such successors, so the
//!   steps that reordering adds after it do not lead out of that.
//!
//! **Relative to knowledge.** The future of a point is what was observed, closed
//! over successors; a point not yet known takes part in no reduction. A round
//! in which a step touches or leads to something outside the frozen future is
//! repeated with more knowledge (see [`crate::search()`]). In the last round no
//! explored step left it. Suppose some run does, and take a shortest one: all its
//! steps but the last stay within the frozen knowledge, so reordering as above
//! is valid for that prefix and gives an explored run in which the agent of the
//! last step is in the same local state, with the same words to read. There the
//! step was taken and its excess recorded, which is a contradiction.
//!
//! Touches that a step makes beyond those it announced are a breach of contract,
//! and cheap to notice: the state is then expanded in full.
//!
//! **Ignoring.** Forcing must not put an agent off for ever round a cycle. A
//! forced step has to lead to a state not visited before; otherwise the state
//! is expanded in full. So every forced state has a successor whose parent it
//! is, and following those, which were all created later than it, leads to a
//! fully expanded state after finitely many steps. A step that is discarded or
//! unmodelled leads to no state, so what others could still do there is not
//! lost with it. (The proviso of Bošnački and
//! Holzmann, *Improving Spin's Partial-Order Reduction for Breadth-First
//! Search*, SPIN 2005. That the decision is taken once per state and against
//! the very set of visited states that the search uses is what went wrong in
//! Siegel, *What's Wrong with On-the-Fly Partial Order Reduction*, CAV 2019.)
//!
//! # Counting switches
//!
//! A forced step costs no switch and leaves the last agent what it was: taking
//! a step out of a run and putting it in front adds no switch to the rest. So
//! every run with *k* switches has its representative at a cost of at most *k*,
//! which keeps "no bad run with up to *k* switches" honest. The trail of a
//! representative may have more switches than the run it stands for, and is
//! simplified by a search without reduction.

use crate::knowledge::Knowledge;
use crate::{Agent, Agents, Model, Touch};

/// Which states have a forced agent; with buffers that are used again.
#[derive(Default)]
pub(crate) struct Reducer {
    touches: Vec<Touch>,
    pending: Vec<Pending>,
}

/// The pending operation of an agent.
struct Pending {
    agent: Agent,
    recurrent: bool,
    reducible: bool,
    /// Its point in the frozen knowledge.
    point: Option<u32>,
    /// Where its touches are.
    from: usize,
    to: usize,
}

impl Reducer {
    /// An agent among `enabled` whose steps stand for all: preferably the last.
    pub(crate) fn forced<M: Model>(
        &mut self,
        model: &M,
        state: &M::State,
        enabled: Agents,
        last: Agent,
        recurrent: Agents,
        knowledge: &Knowledge,
    ) -> Option<Agent> {
        if enabled.count_ones() < 2 {
            // There is nothing to leave out, and the step costs nothing as it is.
            return None;
        }
        self.collect(model, state, recurrent, knowledge);
        // Nothing is independent of two of them: this is only sooner told.
        let unknown = |p: &&Pending| p.point.is_none() && !p.recurrent;
        if self.pending.iter().filter(unknown).count() > 1 {
            return None;
        }
        // Who has no step to take, or one that the model does not call reducible, would be tried in vain:
        // no new state, or a touch that was not told, has the others step, too.
        let fits = |p: &&Pending| {
            p.reducible && enabled & (1 << p.agent) != 0 && self.is_independent(p, knowledge)
        };
        let preferred = self.pending.iter().find(|p| p.agent == last).filter(fits);
        preferred.or_else(|| self.pending.iter().find(fits)).map(|p| p.agent)
    }

    fn collect<M: Model>(
        &mut self,
        model: &M,
        state: &M::State,
        recurrent: Agents,
        knowledge: &Knowledge,
    ) {
        self.touches.clear();
        self.pending.clear();
        for agent in 0..model.agents() {
            let from = self.touches.len();
            let Some(next) = model.next(state, agent, &mut self.touches) else {
                self.touches.truncate(from);
                continue;
            };
            let recurrent = recurrent & (1 << agent) != 0;
            self.pending.push(Pending {
                agent,
                recurrent,
                reducible: next.reducible,
                point: if recurrent { None } else { knowledge.find(agent, next.point) },
                from,
                to: self.touches.len(),
            });
        }
    }

    /// Whether the pending operation conflicts with nothing others may do.
    fn is_independent(&self, pending: &Pending, knowledge: &Knowledge) -> bool {
        let touches = &self.touches[pending.from..pending.to];
        // Its own footprint is no conflict; if it were, handlers would never stand for all.
        let recurrent =
            |&touch: &Touch| knowledge.recurrent_conflicts(touch) & !(1 << pending.agent) == 0;
        if !touches.iter().all(recurrent) {
            return false;
        }
        self.pending.iter().filter(|p| p.agent != pending.agent).all(|other| {
            // What is pending is in the future of its point, or in the footprint of a recurrent agent,
            // once a round knows it; the rounds before teach more with this.
            let theirs = &self.touches[other.from..other.to];
            let conflict = |a: &Touch, b: &Touch| a.word == b.word && (a.write || b.write);
            if touches.iter().any(|a| theirs.iter().any(|b| conflict(a, b))) {
                return false;
            }
            match other.point {
                Some(point) => !touches.iter().any(|&t| knowledge.conflicts(t, other.agent, point)),
                None => other.recurrent,
            }
        })
    }
}
