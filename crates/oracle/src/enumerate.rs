//! All runs of a program: every state is visited and nothing is left out.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use crate::naive::{Naive, Stopped};
use crate::outcome::{Bad, Outcome};
use crate::program::Program;
use crate::state::State;
use crate::switches::{BAD, Node, fewest};

/// What cannot be enumerated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are more states than this.
    Large(usize),
    /// The program does what the enumerator has no rule for.
    NoRule(&'static str),
}

type Numbers = HashMap<Rc<State>, u32, BuildHasherDefault<Quick>>;

/// A hash that is quick and good enough; states are compared as wholes.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// The graph of states as far as hangs need it.
#[derive(Default)]
struct Graph {
    /// From which states one comes here, by steps that nobody can withhold.
    from: Vec<Vec<u32>>,
    ends: Vec<u32>,
    stuck: Vec<u32>,
    /// With all edges forwards.
    nodes: Vec<Node>,
}

/// Everything that can come out of `program`, whose instructions are where `naive` knows them to be.
///
/// # Errors
///
/// There are more than `most` states, or something has no rule.
pub(crate) fn enumerate(
    program: &Program,
    naive: &Naive<'_>,
    most: usize,
) -> Result<Outcome, Refused> {
    let mut outcome = Outcome::default();
    let mut numbers = Numbers::default();
    let mut graph = Graph::default();
    let mut queue = VecDeque::new();
    let first = Rc::new(naive.first(program));
    numbers.insert(Rc::clone(&first), 0);
    graph.add();
    queue.push_back((0, first));
    let mut next = Vec::new();
    while let Some((number, state)) = queue.pop_front() {
        if let Err(stopped) = naive.check(&state) {
            // Nothing follows.
            if let Stopped::Bad(bad) = stopped {
                outcome.bad.insert(bad);
                graph.nodes[number as usize].bad = true;
            }
            graph.ends.push(number);
            continue;
        }
        if state.ended() {
            outcome.ends.insert(naive.observe(&state));
            graph.ends.push(number);
        }
        naive.successors(&state, &mut next);
        let mut withheld_only = true;
        for step in next.drain(..) {
            match step.result {
                Ok(()) => {}
                Err(Stopped::Bad(bad)) => {
                    outcome.bad.insert(bad);
                    graph.nodes[number as usize].edges.push((step.by, BAD));
                    // What follows nobody asks: as an end, so that it makes no hang.
                    graph.ends.push(number);
                    continue;
                }
                Err(Stopped::Discarded) => {
                    graph.ends.push(number);
                    continue;
                }
                Err(Stopped::NoRule(what)) => return Err(Refused::NoRule(what)),
            }
            withheld_only &= step.unsent;
            let known = numbers.get(&step.state).copied();
            let to = known.unwrap_or_else(|| {
                let to = numbers.len() as u32;
                let state = Rc::new(step.state);
                numbers.insert(Rc::clone(&state), to);
                graph.add();
                queue.push_back((to, state));
                to
            });
            graph.nodes[number as usize].edges.push((step.by, to));
            if !step.unsent {
                graph.from[to as usize].push(number);
            }
        }
        if withheld_only && !state.ended() && graph.ends.last() != Some(&number) {
            graph.stuck.push(number);
            graph.nodes[number as usize].bad = true;
        }
        if numbers.len() > most {
            return Err(Refused::Large(most));
        }
    }
    outcome.states = numbers.len();
    // Levels of a CPU are agents of their own, which are not told apart here.
    if program.handlers.is_empty() && program.nmi.is_none() {
        outcome.switches = fewest(&graph.nodes).map(|switches| (switches, true));
    }
    graph.hangs(&mut outcome.bad);
    Ok(outcome)
}

impl Graph {
    /// One more state.
    fn add(&mut self) {
        self.from.push(Vec::new());
        self.nodes.push(Node::default());
    }

    /// A state from which no end can be reached is a hang: a deadlock where nothing moves at all, a livelock
    /// where no such state can be reached either.
    fn hangs(&self, bad: &mut BTreeSet<Bad>) {
        if !self.stuck.is_empty() {
            bad.insert(Bad::Deadlock);
        }
        let ends = self.ends.iter().chain(&self.stuck);
        if self.reaching(ends).contains(&false) {
            bad.insert(Bad::Livelock);
        }
    }

    /// Which states can reach one of `goals`.
    fn reaching<'a>(&self, goals: impl Iterator<Item = &'a u32>) -> Vec<bool> {
        let mut reaches = vec![false; self.from.len()];
        let mut stack: Vec<u32> = goals.copied().collect();
        while let Some(number) = stack.pop() {
            if !std::mem::replace(&mut reaches[number as usize], true) {
                stack.extend(&self.from[number as usize]);
            }
        }
        reaches
    }
}
