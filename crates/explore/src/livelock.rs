//! States from which no end can be reached.

/// The first of `nodes` states from which no path along `edges` leads to one of
/// `exits`, and the memory that finding it took.
pub(crate) fn first_trapped(
    nodes: usize,
    edges: &[(u32, u32)],
    exits: &[u32],
) -> (Option<u32>, usize) {
    // Predecessors, grouped: those of n are at starts[n]..starts[n + 1].
    let mut starts = vec![0_u32; nodes + 2];
    for &(_, to) in edges {
        starts[to as usize + 2] += 1;
    }
    for n in 2..starts.len() {
        starts[n] += starts[n - 1];
    }
    let mut predecessors = vec![0_u32; edges.len()];
    for &(from, to) in edges {
        let start = &mut starts[to as usize + 1];
        predecessors[*start as usize] = from;
        *start += 1;
    }
    let mut free = vec![false; nodes];
    let mut stack = Vec::new();
    for &exit in exits {
        if !std::mem::replace(&mut free[exit as usize], true) {
            stack.push(exit);
        }
    }
    while let Some(n) = stack.pop() {
        let group = starts[n as usize] as usize..starts[n as usize + 1] as usize;
        for &from in &predecessors[group] {
            if !std::mem::replace(&mut free[from as usize], true) {
                stack.push(from);
            }
        }
    }
    let bytes = starts.capacity() * 4 + predecessors.capacity() * 4 + nodes + stack.capacity() * 4;
    (free.iter().position(|&free| !free).map(|n| n as u32), bytes)
}

#[cfg(test)]
mod tests {
    use super::first_trapped;

    #[test]
    fn a_cycle_beside_the_way_out_is_trapped() {
        let edges = [(0, 1), (0, 2), (2, 3), (3, 2)];
        assert_eq!(first_trapped(4, &edges, &[1]).0, Some(2));
    }

    #[test]
    fn a_cycle_with_a_way_out_is_not() {
        let edges = [(0, 1), (1, 0), (1, 2)];
        assert_eq!(first_trapped(3, &edges, &[2]).0, None);
    }
}
