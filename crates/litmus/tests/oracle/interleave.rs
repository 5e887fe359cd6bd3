//! Sequential consistency: interleavings of traces.

use std::collections::BTreeSet;

use super::Memory;
use super::traces::{Trace, TraceEventKind};

/// Returns the memories that interleavings of these traces end with, in which every load returns its value.
pub(crate) fn final_memories(candidate: &[&Trace], start: &Memory) -> BTreeSet<Memory> {
    let mut ends = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(vec![0usize; candidate.len()], start.clone())];
    while let Some((places, memory)) = open.pop() {
        if !seen.insert((places.clone(), memory.clone())) {
            continue;
        }
        let mut is_end = true;
        for (thread, trace) in candidate.iter().enumerate() {
            let mut places = places.clone();
            if places[thread] == trace.events.len() {
                continue;
            }
            is_end = false;
            let mut memory = memory.clone();
            if step(trace, &mut places[thread], &mut memory) {
                open.push((places, memory));
            }
        }
        if is_end {
            ends.insert(memory);
        }
    }
    ends
}

/// Takes the next event of a trace, or both halves of a LOCKed one. Returns false if a load does
/// not return its value.
fn step(trace: &Trace, place: &mut usize, memory: &mut Memory) -> bool {
    loop {
        let event = trace.events[*place];
        *place += 1;
        let (mask, bits) = event.bits();
        match event.kind {
            TraceEventKind::Fence => {}
            TraceEventKind::Read if memory[&event.word()] & mask != bits => return false,
            TraceEventKind::Read => {}
            TraceEventKind::Write => {
                let word = memory.get_mut(&event.word()).expect("a location");
                *word = *word & !mask | bits;
            }
        }
        let store_follows =
            trace.events.get(*place).is_some_and(|next| next.kind == TraceEventKind::Write);
        if !(event.kind == TraceEventKind::Read && event.locked && store_follows) {
            return true;
        }
    }
}
