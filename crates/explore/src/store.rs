//! Visited states, how they were reached, and the graph between them.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::{Agent, Agents, Choice};

/// The agent of the first arrival: nobody stepped.
pub(crate) const NOBODY: Agent = u8::MAX;

/// A visited state.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    /// The agents with which as the last one to step the state was reached:
    /// one bit each, or all where nothing is to be gained by further arrivals.
    pub(crate) lasts: Agents,
    /// The first arrival.
    pub(crate) arrival: u32,
    pub(crate) phase: Phase,
    /// The least context switches (as counted by the search).
    pub(crate) switches: u32,
}

/// What is still to be done at a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// There are steps to take; the snapshot is in this slot.
    Open(u32),
    /// The steps of one agent stand for all; they begin here in the list.
    Forced(u32),
    /// All steps were taken, or there are none.
    Closed,
}

/// One way in which a state was reached that may make a run simpler.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The arrival from which the step was taken; itself for the first.
    parent: u32,
    pub(crate) node: u32,
    pick: u16,
    agent: Agent,
    /// The agent to go on with at no cost.
    pub(crate) last: Agent,
}

/// One step of an agent whose steps stand for all.
#[derive(Clone, Copy)]
struct ForcedStep {
    node: u32,
    choice: Choice,
    /// Whether the list goes on.
    more: bool,
}

/// The ids of nodes and arrivals are used up.
#[derive(Debug)]
pub(crate) struct Full;

/// All that is kept of visited states.
#[derive(Default)]
pub(crate) struct Store {
    visited: HashMap<(u64, u64), u32, BuildHasherDefault<Identity>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) arrivals: Vec<Arrival>,
    forced: Vec<ForcedStep>,
    /// From node, to node.
    pub(crate) edges: Vec<(u32, u32)>,
    /// Nodes at which some run ends, or may.
    pub(crate) exits: Vec<u32>,
}

impl Store {
    /// The node of a key, and whether it is new: `Closed` until told otherwise.
    pub(crate) fn visit(&mut self, key: u128, switches: u32) -> Result<(u32, bool), Full> {
        let new = u32::try_from(self.nodes.len()).map_err(|_| Full)?;
        match self.visited.entry((key as u64, (key >> 64) as u64)) {
            Entry::Occupied(entry) => Ok((*entry.get(), false)),
            Entry::Vacant(entry) => {
                entry.insert(new);
                let phase = Phase::Closed;
                self.nodes.push(Node { lasts: 0, arrival: 0, phase, switches });
                Ok((new, true))
            }
        }
    }

    /// Notes that `choice` leads from an arrival to `node`, where `last` is to
    /// go on; none stands for the start.
    pub(crate) fn arrive(
        &mut self,
        parent: Option<(u32, Choice)>,
        node: u32,
        last: Agent,
    ) -> Result<u32, Full> {
        let id = u32::try_from(self.arrivals.len()).map_err(|_| Full)?;
        let (parent, choice) = parent.unwrap_or((id, Choice { agent: NOBODY, pick: 0 }));
        let Choice { agent, pick } = choice;
        self.arrivals.push(Arrival { parent, node, pick, agent, last });
        Ok(id)
    }

    /// The choices that led to an arrival.
    pub(crate) fn trail(&self, arrival: u32) -> Vec<Choice> {
        let mut trail = Vec::new();
        let mut at = self.arrivals[arrival as usize];
        while at.agent != NOBODY {
            trail.push(Choice { agent: at.agent, pick: at.pick });
            at = self.arrivals[at.parent as usize];
        }
        trail.reverse();
        trail
    }

    /// Keeps the steps that stand for all steps of `node`.
    pub(crate) fn force(&mut self, node: u32, steps: &[(Choice, u32)]) {
        self.nodes[node as usize].phase =
            if steps.is_empty() { Phase::Closed } else { Phase::Forced(self.forced.len() as u32) };
        for (i, &(choice, node)) in steps.iter().enumerate() {
            self.forced.push(ForcedStep { node, choice, more: i + 1 < steps.len() });
        }
    }

    /// The `i`th of the steps that begin at `start`.
    pub(crate) fn forced_step(&self, start: u32, i: usize) -> Option<(Choice, u32)> {
        let at = start as usize + i;
        let more = i == 0 || self.forced[at - 1].more;
        more.then(|| (self.forced[at].choice, self.forced[at].node))
    }

    /// The memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.visited.allocation_size()
            + self.nodes.capacity() * size_of::<Node>()
            + self.arrivals.capacity() * size_of::<Arrival>()
            + self.forced.capacity() * size_of::<ForcedStep>()
            + self.edges.capacity() * size_of::<(u32, u32)>()
            + self.exits.capacity() * size_of::<u32>()
    }
}

/// The hash of a fingerprint is the fingerprint.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are hashed by word")
    }

    fn write_u64(&mut self, value: u64) {
        // Both halves: a model may leave one of them poor.
        self.0 = self.0.rotate_left(32) ^ value;
    }
}
