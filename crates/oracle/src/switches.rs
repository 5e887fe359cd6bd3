//! The fewest context switches of a bad run (docs/reports.md).
//!
//! A step is a switch if its agent is another than that of the step before, and that one could have gone on.
//! That a store becomes visible is a step of nobody; while there is one on its way its CPU can go on.

use std::collections::VecDeque;

/// Nobody: before the first step.
const NOBODY: u8 = 7;

/// Beside the number of a CPU: the step is that of its store buffer.
pub(crate) const SERVES: u8 = 8;

/// Where a step leads that is bad.
pub(crate) const BAD: u32 = u32::MAX;

/// A state, as far as switches need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Who makes a step, a CPU or its store buffer, and where it leads.
    pub(crate) edges: Vec<(u8, u32)>,
    /// Nothing moves, or a check finds something.
    pub(crate) bad: bool,
}

impl Node {
    /// Who has a step to make or a store on its way, a bit each.
    fn able(&self) -> u8 {
        self.edges.iter().fold(0, |able, (by, _)| able | 1 << (by & NOBODY))
    }
}

/// The fewest with which something bad is reached, if anything is.
pub(crate) fn fewest(nodes: &[Node]) -> Option<u32> {
    let lasts = usize::from(NOBODY) + 1;
    let mut known = vec![u32::MAX; nodes.len() * lasts];
    let mut queue = VecDeque::from([(0, NOBODY, 0)]);
    while let Some((number, last, switches)) = queue.pop_front() {
        if number == BAD || nodes[number as usize].bad {
            return Some(switches);
        }
        let least = &mut known[number as usize * lasts + usize::from(last)];
        if *least <= switches {
            continue;
        }
        *least = switches;
        let node = &nodes[number as usize];
        let goes_on = last != NOBODY && node.able() & 1 << last != 0;
        for (by, to) in &node.edges {
            let hardware = by & SERVES != 0;
            match goes_on && !hardware && *by != last {
                false => queue.push_front((*to, if hardware { last } else { *by }, switches)),
                true => queue.push_back((*to, *by, switches + 1)),
            }
        }
    }
    None
}
