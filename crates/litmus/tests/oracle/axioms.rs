//! x86-TSO by its axioms.
//!
//! A candidate execution is valid if, for some reads-from and some coherence order,
//!
//! - *coherence*: program order on one location, reads-from, coherence and from-reads have no cycle;
//! - *atomicity*: no store comes, in coherence order, between the two halves of a LOCKed instruction;
//! - *global order*: program order but for plain store to load, MFENCE, what LOCK implies, external
//!   reads-from, coherence and from-reads have no cycle.
//!
//! Accesses of different widths meet in *cells*, the parts of a word that no access divides
//! further: reads-from is chosen for each cell, and coherence orders all stores to a word. The
//! papers say nothing about reads that need some bytes from an own store and others from elsewhere.
//! Here such a read comes after the store in the global order, as on processors when forwarding
//! fails: this is a choice (`docs/litmus.md`).

use std::collections::BTreeSet;

use super::Memory;
use super::traces::{Trace, TraceEvent, TraceEventKind};

/// An event with its thread and its position.
struct EventNode {
    thread: usize,
    event: TraceEvent,
}

/// Returns the memories that valid executions of these traces end with.
pub(crate) fn final_memories(candidate: &[&Trace], start: &Memory) -> BTreeSet<Memory> {
    let nodes: Vec<EventNode> = candidate
        .iter()
        .enumerate()
        .flat_map(|(thread, trace)| {
            trace.events.iter().map(move |event| EventNode { thread, event: *event })
        })
        .collect();
    assert!(nodes.len() <= 64, "too many events for the oracle");
    let execution = Execution { cells: cells(&nodes), nodes };
    let reads = execution.reads();
    let Some(sources) = execution.sources(&reads, start) else { return BTreeSet::new() };
    let mut ends = BTreeSet::new();
    let mut orders = Vec::new();
    let words: Vec<u64> = start.keys().copied().collect();
    execution.each_coherence(&words, &mut orders, &mut |orders| {
        let end = execution.end(orders, start);
        if !ends.contains(&end)
            && execution.has_reads_from(orders, &reads, &sources, &mut Vec::new())
        {
            ends.insert(end);
        }
    });
    ends
}

/// Returns the cells of all words, each as word and mask.
fn cells(nodes: &[EventNode]) -> Vec<(u64, u64)> {
    let mut cells: Vec<(u64, u64)> = Vec::new();
    for node in nodes.iter().filter(|node| node.event.kind != TraceEventKind::Fence) {
        let (word, (mask, _)) = (node.event.word(), node.event.bits());
        let mut rest = mask;
        let mut split = Vec::new();
        for cell in cells.iter_mut().filter(|cell| cell.0 == word) {
            let common = cell.1 & mask;
            rest &= !cell.1;
            if common != 0 && common != cell.1 {
                split.push((word, cell.1 & !common));
                cell.1 = common;
            }
        }
        cells.extend(split);
        if rest != 0 {
            cells.push((word, rest));
        }
    }
    cells
}

/// The source of the value of a read's cell: a store, or the initial memory.
type ReadSource = Option<usize>;

struct Execution {
    nodes: Vec<EventNode>,
    cells: Vec<(u64, u64)>,
}

impl Execution {
    fn covers(&self, node: usize, cell: usize) -> bool {
        let (event, (word, mask)) = (&self.nodes[node].event, self.cells[cell]);
        event.kind != TraceEventKind::Fence && event.word() == word && event.bits().0 & mask != 0
    }

    fn of_kind(&self, kind: TraceEventKind) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(move |node| self.nodes[*node].event.kind == kind)
    }

    /// Returns every read with each of its cells.
    fn reads(&self) -> Vec<(usize, usize)> {
        let cells = |read| (0..self.cells.len()).map(move |cell| (read, cell));
        let all = self.of_kind(TraceEventKind::Read).flat_map(cells);
        all.filter(|(read, cell)| self.covers(*read, *cell)).collect()
    }

    /// Returns the possible sources of each value; `None` if some value has no source.
    fn sources(&self, reads: &[(usize, usize)], start: &Memory) -> Option<Vec<Vec<ReadSource>>> {
        let mut all = Vec::new();
        for (read, cell) in reads {
            let (word, mask) = self.cells[*cell];
            let value = self.nodes[*read].event.bits().1 & mask;
            let mut sources: Vec<ReadSource> = self
                .of_kind(TraceEventKind::Write)
                .filter(|store| self.covers(*store, *cell))
                .filter(|store| self.nodes[*store].event.bits().1 & mask == value)
                // A load never returns a value that its own thread stores later.
                .filter(|store| {
                    self.nodes[*store].thread != self.nodes[*read].thread || store < read
                })
                .map(Some)
                .collect();
            if start[&word] & mask == value {
                sources.push(None);
            }
            if sources.is_empty() {
                return None;
            }
            all.push(sources);
        }
        Some(all)
    }

    /// Calls `visit` with each choice of one order of stores per word that respects program order.
    fn each_coherence(
        &self,
        words: &[u64],
        orders: &mut Vec<Vec<usize>>,
        visit: &mut dyn FnMut(&[Vec<usize>]),
    ) {
        let Some(word) = words.get(orders.len()) else { return visit(orders) };
        let stores: Vec<usize> = self
            .of_kind(TraceEventKind::Write)
            .filter(|store| self.nodes[*store].event.word() == *word)
            .collect();
        self.each_order(&stores, &mut Vec::new(), &mut |order| {
            orders.push(order.to_vec());
            self.each_coherence(words, orders, visit);
            orders.pop();
        });
    }

    fn each_order(
        &self,
        stores: &[usize],
        order: &mut Vec<usize>,
        visit: &mut dyn FnMut(&[usize]),
    ) {
        if order.len() == stores.len() {
            return visit(order);
        }
        for &store in stores.iter().filter(|store| !order.contains(store)).collect::<Vec<_>>() {
            let earlier = stores.iter().any(|other| {
                *other < store
                    && !order.contains(other)
                    && self.nodes[*other].thread == self.nodes[store].thread
            });
            if !earlier {
                order.push(store);
                self.each_order(stores, order, visit);
                order.pop();
            }
        }
    }

    fn end(&self, orders: &[Vec<usize>], start: &Memory) -> Memory {
        let mut memory = start.clone();
        for store in orders.iter().flatten() {
            let event = &self.nodes[*store].event;
            let (mask, bits) = event.bits();
            let word = memory.get_mut(&event.word()).expect("a location");
            *word = *word & !mask | bits;
        }
        memory
    }

    /// Returns whether some reads-from makes the execution valid.
    fn has_reads_from(
        &self,
        orders: &[Vec<usize>],
        reads: &[(usize, usize)],
        sources: &[Vec<ReadSource>],
        chosen: &mut Vec<ReadSource>,
    ) -> bool {
        if chosen.len() == reads.len() {
            return self.is_valid(orders, reads, chosen);
        }
        sources[chosen.len()].iter().any(|source| {
            chosen.push(*source);
            let found = self.has_reads_from(orders, reads, sources, chosen);
            chosen.pop();
            found
        })
    }

    fn is_valid(
        &self,
        orders: &[Vec<usize>],
        reads: &[(usize, usize)],
        chosen: &[ReadSource],
    ) -> bool {
        let mut coherence = Relation::new(self.nodes.len());
        let mut global = Relation::new(self.nodes.len());
        for order in orders {
            for pair in order.windows(2) {
                coherence.add(pair[0], pair[1]);
                global.add(pair[0], pair[1]);
            }
        }
        for ((read, cell), source) in reads.iter().zip(chosen) {
            if let Some(store) = *source {
                coherence.add(store, *read);
                if self.nodes[store].thread != self.nodes[*read].thread {
                    global.add(store, *read);
                }
            }
            let later = self.after(orders, *cell, *source);
            if self.breaks_atomicity(*read, later.clone()) {
                return false;
            }
            for store in later.filter(|store| !self.is_own_half(*read, *store)) {
                coherence.add(*read, store);
                global.add(*read, store);
            }
        }
        self.add_program_order(&mut coherence, &mut global);
        coherence.is_acyclic() && global.is_acyclic()
    }

    /// Returns the stores to a cell that come after `source` in coherence order.
    fn after<'a>(
        &'a self,
        orders: &'a [Vec<usize>],
        cell: usize,
        source: ReadSource,
    ) -> impl Iterator<Item = usize> + Clone + 'a {
        let order = orders.iter().find(|order| order.iter().any(|store| self.covers(*store, cell)));
        let order: &[usize] = order.map_or(&[], Vec::as_slice);
        let start = source.map_or(0, |source| {
            order.iter().position(|store| *store == source).expect("it stores there") + 1
        });
        order[start..].iter().copied().filter(move |store| self.covers(*store, cell))
    }

    /// Returns whether `store` is the second half of the LOCKed instruction that `read` starts.
    fn is_own_half(&self, read: usize, store: usize) -> bool {
        let (first, second) = (&self.nodes[read], &self.nodes[store]);
        store == read + 1
            && first.event.locked
            && second.event.locked
            && first.thread == second.thread
    }

    /// Returns whether another store comes before the second half.
    fn breaks_atomicity(&self, read: usize, mut later: impl Iterator<Item = usize>) -> bool {
        let has_half =
            self.nodes.get(read + 1).is_some_and(|next| next.event.kind == TraceEventKind::Write)
                && self.is_own_half(read, read + 1);
        has_half && later.next() != Some(read + 1)
    }

    /// Returns whether the youngest own store that comes before this read and overlaps it lacks
    /// some of its bytes.
    fn waits(&self, read: usize) -> bool {
        let EventNode { thread, event } = &self.nodes[read];
        let bytes = event.bits().0;
        let overlaps = |store: &usize| {
            let other = &self.nodes[*store];
            other.thread == *thread
                && other.event.kind == TraceEventKind::Write
                && other.event.word() == event.word()
                && other.event.bits().0 & bytes != 0
        };
        let youngest = (0..read).rev().find(overlaps);
        youngest.is_some_and(|store| bytes & !self.nodes[store].event.bits().0 != 0)
    }

    fn add_program_order(&self, coherence: &mut Relation, global: &mut Relation) {
        for first in 0..self.nodes.len() {
            let mut fenced = false;
            for second in first + 1..self.nodes.len() {
                let (one, two) = (&self.nodes[first], &self.nodes[second]);
                if one.thread != two.thread {
                    break;
                }
                fenced |= two.event.kind == TraceEventKind::Fence;
                if one.event.kind == TraceEventKind::Fence
                    || two.event.kind == TraceEventKind::Fence
                {
                    continue;
                }
                let meet = one.event.word() == two.event.word()
                    && one.event.bits().0 & two.event.bits().0 != 0;
                if meet {
                    coherence.add(first, second);
                }
                let delayed = one.event.kind == TraceEventKind::Write
                    && two.event.kind == TraceEventKind::Read
                    && !(meet && self.waits(second));
                if !delayed || fenced || one.event.locked || two.event.locked {
                    global.add(first, second);
                }
            }
        }
    }
}

/// A relation on at most 64 events.
struct Relation(Vec<u64>);

impl Relation {
    fn new(size: usize) -> Relation {
        Relation(vec![0; size])
    }

    fn add(&mut self, from: usize, to: usize) {
        self.0[from] |= 1 << to;
    }

    /// Returns whether removing events without successors leaves none.
    fn is_acyclic(&self) -> bool {
        let mut left: u64 = (0..self.0.len()).fold(0, |all, node| all | 1 << node);
        loop {
            let ends = (0..self.0.len())
                .filter(|node| left >> node & 1 != 0 && self.0[*node] & left == 0)
                .fold(0, |all, node| all | 1 << node);
            if ends == 0 {
                return left == 0;
            }
            left &= !ends;
        }
    }
}
