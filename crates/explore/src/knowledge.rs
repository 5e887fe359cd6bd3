//! What agents may still touch from each of their program points on.
//!
//! Frozen for a round, learnt from in it: see [`crate::search()`].

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::{Agent, Agents, Touch, Words};

/// No number yet.
const NONE: u32 = u32::MAX;

/// The program points of every agent, their touches and successors, and the
/// closure of these: the *future* of a point is a superset of the shared words
/// touched by the step taken there and in the futures of the points it leads
/// to, as far as was ever observed.
#[derive(Default)]
pub(crate) struct Knowledge {
    /// The dense number of each word in a future, or `NONE`. Numbers never change.
    number: Vec<u32>,
    numbered: u32,
    /// By number: the recurrent agents that read, and that write the word.
    recurrent_on: Vec<(Agents, Agents)>,
    agents: Vec<Points>,
    /// Every word counts as shared.
    all: bool,
    /// Something was observed in this round that is not in the frozen futures.
    exceeded: bool,
}

/// The program points of an agent, by index in order of discovery.
#[derive(Default)]
struct Points {
    index: HashMap<u64, u32, BuildHasherDefault<Mix>>,
    points: Vec<Point>,
    /// One for each point that was known when the round began.
    futures: Vec<Future>,
}

/// What was observed of a point beyond its future when that was frozen.
#[derive(Default)]
struct Point {
    touches: Vec<Touch>,
    next: Vec<u32>,
}

/// Sets of word numbers.
#[derive(Clone, Default)]
struct Future {
    reads: Vec<u64>,
    writes: Vec<u64>,
}

impl Knowledge {
    /// What was observed takes effect: a round begins.
    pub(crate) fn freeze(&mut self, words: &Words) {
        self.all = words.is_all();
        self.exceeded = false;
        for word in words.shared() {
            self.give_number(word);
        }
        self.recurrent_on = vec![(0, 0); self.numbered as usize];
        for word in words.shared() {
            let number = self.number[word as usize];
            self.recurrent_on[number as usize] = words.recurrent_on(word);
        }
        let (number, numbered) = (&self.number, self.numbered);
        for points in &mut self.agents {
            points.freeze(number, numbered);
        }
    }

    /// Whether this round observed something beyond what was frozen.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Learns that the step of `agent` at the point `from` touched `touches`
    /// and led to the point `to`, or to none.
    pub(crate) fn learn(
        &mut self,
        agent: Agent,
        from: u64,
        touches: [&[Touch]; 2],
        to: Option<u64>,
    ) {
        if self.agents.len() <= usize::from(agent) {
            self.agents.resize_with(usize::from(agent) + 1, Points::default);
        }
        if self.all {
            touches.into_iter().flatten().for_each(|touch| self.give_number(touch.word));
        }
        let points = &mut self.agents[usize::from(agent)];
        let from = points.find_or_add(from);
        // It takes no part in reduction until it is known. But what a known point leads to by way of it is
        // not in the future of that.
        let mut exceeded = from >= points.futures.len();
        for &touch in touches.into_iter().flatten() {
            let number = self.number.get(touch.word as usize).copied().unwrap_or(NONE);
            if number == NONE {
                // Not shared.
                continue;
            }
            let future = points.futures.get(from);
            if !future.is_some_and(|f| f.contains(number, touch.write)) {
                exceeded = true;
                let known = &mut points.points[from].touches;
                if !known.contains(&touch) {
                    known.push(touch);
                }
            }
        }
        if let Some(to) = to {
            exceeded |= points.link(from, to);
        }
        self.exceeded |= exceeded;
    }

    /// The index of an agent's point, if the frozen knowledge has it.
    pub(crate) fn find(&self, agent: Agent, point: u64) -> Option<u32> {
        let points = self.agents.get(usize::from(agent))?;
        let index = points.index.get(&point).copied()?;
        ((index as usize) < points.futures.len()).then_some(index)
    }

    /// Whether a touch conflicts with the frozen future of an agent's point.
    pub(crate) fn conflicts(&self, touch: Touch, agent: Agent, point: u32) -> bool {
        let number = self.number.get(touch.word as usize).copied().unwrap_or(NONE);
        let future = &self.agents[usize::from(agent)].futures[point as usize];
        future.contains(number, true) || (touch.write && future.contains(number, false))
    }

    /// The recurrent agents whose footprint a touch conflicts with.
    pub(crate) fn recurrent_conflicts(&self, touch: Touch) -> Agents {
        let number = self.number.get(touch.word as usize).copied().unwrap_or(NONE);
        let (readers, writers) =
            self.recurrent_on.get(number as usize).copied().unwrap_or_default();
        if touch.write { readers | writers } else { writers }
    }

    /// The memory in use, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let width = self.numbered as usize / 4 + 2 * size_of::<Future>();
        let points = |p: &Points| {
            p.points.len() * (size_of::<Point>() + 32 + width) + p.index.allocation_size()
        };
        self.number.capacity() * 4 + self.agents.iter().map(points).sum::<usize>()
    }

    fn give_number(&mut self, word: u32) {
        if self.number.len() <= word as usize {
            self.number.resize(word as usize + 1, NONE);
        }
        if self.number[word as usize] == NONE {
            self.number[word as usize] = self.numbered;
            self.numbered += 1;
        }
    }
}

impl Points {
    fn find_or_add(&mut self, point: u64) -> usize {
        let points = &mut self.points;
        *self.index.entry(point).or_insert_with(|| {
            points.push(Point::default());
            points.len() as u32 - 1
        }) as usize
    }

    /// Adds the edge to the point `to`; whether the future of that is known not to be in that of `from`. Where
    /// one of the points is new, that is news already: it was learnt of when an agent came to it.
    fn link(&mut self, from: usize, to: u64) -> bool {
        let to = self.find_or_add(to);
        if self.points[from].next.contains(&(to as u32)) {
            // Linked in this round or before: if in this round, that was told then.
            return false;
        }
        self.points[from].next.push(to as u32);
        match (self.futures.get(from), self.futures.get(to)) {
            (Some(from), Some(to)) => !from.includes(to),
            _ => false,
        }
    }

    /// Computes the futures: the least that include what they were, the
    /// touches of their points and the futures of the points they lead to.
    fn freeze(&mut self, number: &[u32], numbered: u32) {
        let width = (numbered as usize).div_ceil(64);
        self.futures.resize_with(self.points.len(), Future::default);
        for (point, future) in self.points.iter_mut().zip(&mut self.futures) {
            future.reads.resize(width, 0);
            future.writes.resize(width, 0);
            for touch in point.touches.drain(..) {
                future.insert(number[touch.word as usize], touch.write);
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for from in (0..self.points.len()).rev() {
                let mut future = std::mem::take(&mut self.futures[from]);
                for &to in self.points[from].next.iter().filter(|&&to| to as usize != from) {
                    changed |= future.include(&self.futures[to as usize]);
                }
                self.futures[from] = future;
            }
        }
    }
}

impl Future {
    fn contains(&self, number: u32, write: bool) -> bool {
        let set = if write { &self.writes } else { &self.reads };
        set.get(number as usize / 64).is_some_and(|bits| bits >> (number % 64) & 1 != 0)
    }

    fn insert(&mut self, number: u32, write: bool) {
        let set = if write { &mut self.writes } else { &mut self.reads };
        set[number as usize / 64] |= 1 << (number % 64);
    }

    /// Whether `other` is a subset; both are of the same width.
    fn includes(&self, other: &Future) -> bool {
        let within = |set: &[u64], sub: &[u64]| set.iter().zip(sub).all(|(a, b)| b & !a == 0);
        within(&self.reads, &other.reads) && within(&self.writes, &other.writes)
    }

    /// Adds `other`; whether that changed anything.
    fn include(&mut self, other: &Future) -> bool {
        let mut changed = false;
        let mut add = |set: &mut [u64], more: &[u64]| {
            for (a, b) in set.iter_mut().zip(more) {
                changed |= b & !*a != 0;
                *a |= b;
            }
        };
        add(&mut self.reads, &other.reads);
        add(&mut self.writes, &other.writes);
        changed
    }
}

/// A hash of one `u64`: program points come in runs.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 ^ u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}
