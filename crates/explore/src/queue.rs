//! What is still to be done, simplest first.

use std::collections::BTreeMap;

use crate::What;

/// The most states of a circle, a run that goes on for ever and is found on the way.
pub(crate) const CIRCLE_STATES: usize = 64;

/// A place in the order of the search: context switches, then steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct At {
    pub(crate) switches: u32,
    pub(crate) depth: u32,
}

impl At {
    /// One step on, at the cost of so many switches.
    pub(crate) fn step(self, switches: u32) -> At {
        At { switches: self.switches + switches, depth: self.depth + 1 }
    }

    /// Where a run that is bad in this way, and leads here, shows it at the latest.
    pub(crate) fn until<B>(self, what: &What<B>) -> At {
        let circle = if matches!(what, What::Livelock) { CIRCLE_STATES } else { 0 };
        At { depth: self.depth + circle as u32, ..self }
    }
}

/// Which steps of a state to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Todo {
    /// Those that are no context switch; where the steps of one agent stand for all, these.
    Straight,
    /// All others.
    Switch,
}

/// Steps to take from the state of an arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) arrival: u32,
    pub(crate) todo: Todo,
}

/// Items in buckets by place; first in, first out within a bucket.
#[derive(Default)]
pub(crate) struct Queue {
    current: Vec<Item>,
    position: usize,
    at: At,
    later: BTreeMap<At, Vec<Item>>,
    /// An emptied bucket, to be used again.
    spare: Vec<Item>,
    /// Nothing is queued beyond this place.
    bound: Option<At>,
    /// Items that `later` has room for.
    room: usize,
}

impl Queue {
    /// A queue that drops what lies beyond `bound`.
    pub(crate) fn new(bound: Option<At>) -> Self {
        Queue { bound, ..Queue::default() }
    }

    pub(crate) fn push(&mut self, at: At, item: Item) {
        if self.bound.is_some_and(|bound| at > bound) {
            return;
        }
        if at == self.at && self.position < self.current.len() {
            self.current.push(item);
            return;
        }
        let bucket = self.later.entry(at).or_insert_with(|| {
            let spare = std::mem::take(&mut self.spare);
            self.room += spare.capacity();
            spare
        });
        let room = bucket.capacity();
        bucket.push(item);
        self.room += bucket.capacity() - room;
    }

    pub(crate) fn pop(&mut self) -> Option<(At, Item)> {
        if self.position == self.current.len() {
            let (at, bucket) = self.later.pop_first()?;
            self.room -= bucket.capacity();
            self.spare = std::mem::replace(&mut self.current, bucket);
            self.spare.clear();
            self.at = at;
            self.position = 0;
        }
        self.position += 1;
        Some((self.at, self.current[self.position - 1]))
    }

    /// The memory in use.
    pub(crate) fn bytes(&self) -> usize {
        let room = self.room + self.current.capacity() + self.spare.capacity();
        room * size_of::<Item>() + self.later.len() * 48
    }
}
