//! Visited states, how they were reached, and the graph between them.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::{Agent, Agents, Choice};

/// The agent of the first arrival: nobody stepped.
pub(crate) const NOBODY: Agent = u8::MAX;

/// The end of a list.
const NONE: u32 = u32::MAX;
/// In place of a list of edges: an end can be reached from the node.
const FREE: u32 = u32::MAX - 1;

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
    /// The first of the steps along which further arrivals are passed on, or `NONE`.
    passes: u32,
    /// The first edge to the node, `NONE`, or `FREE`.
    ways_in: u32,
}

/// What is still to be done at a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// There are steps to take; the snapshot is in this slot.
    Open(u32),
    /// The steps of one agent stand for all.
    Forced,
    /// All steps were taken, or there are none.
    Closed,
}

/// One way in which a state was reached that may make a run simpler.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// The arrival from which the step was taken; itself for the first.
    pub(crate) parent: u32,
    pub(crate) node: u32,
    pick: u16,
    pub(crate) agent: Agent,
    /// The agent to go on with at no cost.
    pub(crate) last: Agent,
}

/// A step that was taken once and passes on every arrival at its node.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) choice: Choice,
    /// The node it leads to.
    pub(crate) to: u32,
    /// The next one of the same node.
    pub(crate) next: u32,
}

/// An edge to a node from which no end is known to be reachable.
#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    /// The next one to the same node.
    next: u32,
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
    passes: Vec<Pass>,
    edges: Vec<Edge>,
    /// The first edge that is out of use.
    spare: Option<u32>,
    /// Nodes whose edges are still to be followed back.
    freed: Vec<u32>,
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
                let (passes, ways_in) = (NONE, NONE);
                self.nodes.push(Node { lasts: 0, arrival: 0, phase, switches, passes, ways_in });
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

    /// The node of a key, if it was visited.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        self.visited.get(&(key as u64, (key >> 64) as u64)).copied()
    }

    /// Passes on further arrivals at `node` to the node `to`.
    pub(crate) fn pass_on(&mut self, node: u32, choice: Choice, to: u32) -> Result<(), Full> {
        let id = u32::try_from(self.passes.len()).ok().filter(|id| *id < NONE).ok_or(Full)?;
        let first = &mut self.nodes[node as usize].passes;
        self.passes.push(Pass { choice, to, next: *first });
        *first = id;
        Ok(())
    }

    /// The first step that passes on arrivals at `node`.
    pub(crate) fn first_pass(&self, node: u32) -> Option<Pass> {
        self.pass(self.nodes[node as usize].passes)
    }

    /// The step with this id.
    pub(crate) fn pass(&self, id: u32) -> Option<Pass> {
        self.passes.get(id as usize).copied()
    }

    /// Whether a step of one of `agents` passes on arrivals at `node`.
    pub(crate) fn passes_on(&self, node: u32, agents: Agents) -> bool {
        let next = |pass: &Pass| self.pass(pass.next);
        std::iter::successors(self.first_pass(node), next)
            .any(|pass| agents & (1 << pass.choice.agent) != 0)
    }

    /// Notes that a step leads from one node to another: where an end can be reached from the
    /// latter, it can be from the former.
    pub(crate) fn link(&mut self, from: u32, to: u32) -> Result<(), Full> {
        // Such an edge would never free anything: this spares it.
        if from == to || self.is_free(from) {
            return Ok(());
        }
        if self.is_free(to) {
            self.free(from);
            return Ok(());
        }
        let first = &mut self.nodes[to as usize].ways_in;
        let edge = Edge { from, next: *first };
        if let Some(id) = self.spare {
            self.spare = Some(self.edges[id as usize].next).filter(|next| *next != NONE);
            self.edges[id as usize] = edge;
            *first = id;
        } else {
            let id = u32::try_from(self.edges.len()).ok().filter(|id| *id < FREE).ok_or(Full)?;
            self.edges.push(edge);
            *first = id;
        }
        Ok(())
    }

    /// Notes that a run ends at `node`, or may.
    pub(crate) fn free(&mut self, node: u32) {
        self.freed.push(node);
        while let Some(node) = self.freed.pop() {
            let mut id = std::mem::replace(&mut self.nodes[node as usize].ways_in, FREE);
            while id < FREE {
                let spare = self.spare.replace(id).unwrap_or(NONE);
                let Edge { from, next } = self.edges[id as usize];
                self.edges[id as usize].next = spare;
                if !self.is_free(from) {
                    self.freed.push(from);
                }
                id = next;
            }
        }
    }

    /// Whether an end can be reached from `node` by steps that were taken so far.
    pub(crate) fn is_free(&self, node: u32) -> bool {
        self.nodes[node as usize].ways_in == FREE
    }

    /// The first node from which no end can be reached by steps that were taken so far.
    pub(crate) fn first_trapped(&self) -> Option<u32> {
        self.nodes.iter().position(|node| node.ways_in != FREE).map(|node| node as u32)
    }

    /// The least context switches of such nodes.
    pub(crate) fn trapped_switches(&self) -> Option<u32> {
        let trapped = self.nodes.iter().filter(|node| node.ways_in != FREE);
        trapped.map(|node| node.switches).min()
    }

    /// The memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.visited.allocation_size()
            + self.nodes.capacity() * size_of::<Node>()
            + self.arrivals.capacity() * size_of::<Arrival>()
            + self.passes.capacity() * size_of::<Pass>()
            + self.edges.capacity() * size_of::<Edge>()
            + self.freed.capacity() * size_of::<u32>()
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

#[cfg(test)]
mod tests {
    use super::Store;

    fn store(nodes: u128) -> Store {
        let mut store = Store::default();
        for key in 0..nodes {
            store.visit(key, key as u32).unwrap();
        }
        store
    }

    #[test]
    fn a_cycle_beside_the_way_out_is_trapped() {
        let mut store = store(4);
        for (from, to) in [(0, 1), (0, 2), (2, 3), (3, 2)] {
            store.link(from, to).unwrap();
        }
        store.free(1);
        assert_eq!((store.first_trapped(), store.trapped_switches()), (Some(2), Some(2)));
    }

    #[test]
    fn edges_are_used_again_one_by_one() {
        let mut store = store(7);
        store.link(1, 0).unwrap();
        store.link(2, 0).unwrap();
        store.free(0);
        store.link(3, 4).unwrap();
        store.link(5, 6).unwrap();
        store.free(4);
        assert!(store.is_free(3) && !store.is_free(5));
    }

    #[test]
    fn a_cycle_with_a_way_out_is_not() {
        let mut store = store(3);
        store.link(0, 1).unwrap();
        store.link(1, 0).unwrap();
        assert_eq!(store.first_trapped(), Some(0));
        store.free(2);
        store.link(1, 2).unwrap();
        assert_eq!(store.first_trapped(), None);
    }
}
