//! Runs that go round for ever, found on the way.
//!
//! # What is found
//!
//! A *circle* is a set of at most [`CIRCLE_STATES`] states that no step leaves, of which each can be
//! reached from each, and in none of which a run ends. A run that is in one goes on for ever,
//! whoever steps: processors that all wait for each other, in the simplest case each by a loop of a
//! few steps that changes nothing.
//!
//! # When
//!
//! A state is looked at when a step leads to it again, at no more context switches than the first
//! time. The steps that cost no switch never leave a circle, and there are few states in it, so they
//! close a loop in it before anything that costs a further switch is looked at. So the first run that
//! closes a circle is found in its turn: as with every other bad run, none with fewer switches, or as
//! many and fewer steps, does so. Looking again at more switches would find nothing new.
//!
//! What follows from the state is then tried out, on the side, until something is met that leads out:
//! the end of a run, a state from which an end is known to be reachable, more states than a circle
//! has, or a state of which it is known already that it is in no circle. What leads to such a
//! state is in no circle either, and is remembered, so each state is tried out about once.
//!
//! In a round with reduction, where order is not exact anyway, only a state is looked at that is on
//! the way to the step itself. What is missed so is found when all is searched, or when the simplest
//! run is looked for without reduction.
//!
//! The steps on the side are steps of runs, so what they touch, and what agents wait for after them, is
//! recorded like everything else, and where it was not known, the round ends as one that is not final.
//! What knowledge of program points there is does not matter: nothing is left out on the side.

use hashbrown::HashMap;

use super::parts::{End, Round, Session};
use crate::queue::CIRCLE_STATES;
use crate::store::NOBODY;
use crate::{Agent, Choice, Model, What};

/// The most states to try out for one.
const TRIED_STATES: usize = 4 * CIRCLE_STATES;

/// A state that is being tried out.
struct Frame<S> {
    state: S,
    key: u128,
    number: usize,
    /// The steps still to take, the next one last.
    choices: Vec<Choice>,
}

impl<M: Model> Round<'_, '_, M> {
    /// A step from `arrival` has led to `node`, which was visited before, and is now in `state`: is
    /// that a circle?
    pub(super) fn look_for_circle(
        &mut self,
        arrival: u32,
        node: u32,
        state: &M::State,
    ) -> Result<(), End<M>> {
        // One that is not wanted would come after that which is known.
        let told = self.unwanted.is_some() && !self.session.model.is_wanted(&What::Livelock);
        if !self.session.options.circles || told {
            return Ok(());
        }
        let known = &self.store.nodes[node as usize];
        let again = known.switches == self.at.switches && !self.store.is_free(node);
        let asked = again && (!self.scope.reduction || self.comes_back(arrival, node));
        // In a round that is not final it would count for nothing, and end what the round could still learn.
        if !asked || self.exceeded() || !self.is_circle(state) {
            return Ok(());
        }
        let arrival = self.store.nodes[node as usize].arrival;
        self.is_bad(What::Livelock, self.store.trail(arrival), self.at)
    }

    /// Whether the way to `arrival` has been at `node` since its last context switch. To look at more
    /// states would find no circle that is none, and take longer.
    fn comes_back(&self, arrival: u32, node: u32) -> bool {
        let mut at = arrival;
        for _ in 0..CIRCLE_STATES {
            let arrival = self.store.arrivals[at as usize];
            if arrival.node == node {
                return true;
            }
            let switches = self.store.nodes[arrival.node as usize].switches;
            if switches < self.at.switches || arrival.agent == NOBODY {
                return false;
            }
            at = arrival.parent;
        }
        false
    }

    /// The ways to go on that are not optional, those of `last` in the end.
    fn required(&self, state: &M::State, last: Agent) -> Vec<Choice> {
        let mut choices = Vec::new();
        self.session.model.choices(state, &mut choices);
        choices.retain(|choice| !self.session.model.optional(state, *choice));
        choices.sort_by_key(|choice| choice.agent == last);
        choices
    }

    /// Takes a step on the side; the key of where it leads. None if it leads out of every circle.
    fn try_out(&mut self, state: &mut M::State, choice: Choice) -> Option<u128> {
        let Session { model, words, told, .. } = &mut *self.session;
        told.transitions_all += 1;
        words.begin_step();
        model.step(state, choice, words).ok()?;
        self.await_words(state, choice.agent);
        let Session { model, words, .. } = &mut *self.session;
        let key = model.key(state);
        match self.store.find(key) {
            _ if self.outside.0.contains(&key) => None,
            Some(node) if self.store.is_free(node) => None,
            Some(_) => Some(key),
            None => model.inspect(state, words).ok().map(|()| key),
        }
    }

    fn is_circle(&mut self, home: &M::State) -> bool {
        let key = self.session.model.key(home);
        if self.outside.0.contains(&key) {
            return false;
        }
        let choices = self.required(home, NOBODY);
        let mut frames = vec![Frame { state: home.clone(), key, number: 0, choices }];
        let mut numbers: HashMap<u128, usize> = HashMap::from_iter([(key, 0)]);
        let mut edges = Vec::new();
        while let Some(frame) = frames.last_mut() {
            let Some(choice) = frame.choices.pop() else {
                frames.pop();
                continue;
            };
            let (mut next, from) = (frame.state.clone(), frame.number);
            let led_to = self.try_out(&mut next, choice);
            let led_to = led_to.map(|key| (key, self.required(&next, choice.agent)));
            // An end leads back to nothing, but that need not be waited for.
            let Some((key, choices)) = led_to.filter(|(_, choices)| !choices.is_empty()) else {
                frames.iter().for_each(|frame| self.outside.add(frame.key));
                return false;
            };
            let number = numbers.len();
            let to = *numbers.entry(key).or_insert(number);
            edges.push((from, to));
            if to == number {
                frames.push(Frame { state: next, key, number, choices });
            }
            if numbers.len() > TRIED_STATES {
                // All that was met after a state that is being tried out follows from it.
                let wide = frames.iter().filter(|frame| number - frame.number >= CIRCLE_STATES);
                wide.for_each(|frame| self.outside.add(frame.key));
                return false;
            }
        }
        let is_circle = numbers.len() <= CIRCLE_STATES && all_lead_back(numbers.len(), &edges);
        if !is_circle {
            self.outside.add(key);
        }
        is_circle
    }
}

/// Whether along `edges` each of `count` places leads back to place 0.
fn all_lead_back(count: usize, edges: &[(usize, usize)]) -> bool {
    let mut leads_back = vec![false; count];
    leads_back[0] = true;
    let more = |leads_back: &[bool]| {
        edges.iter().find(|&&(from, to)| leads_back[to] && !leads_back[from]).map(|edge| edge.0)
    };
    while let Some(from) = more(&leads_back) {
        leads_back[from] = true;
    }
    !leads_back.contains(&false)
}
