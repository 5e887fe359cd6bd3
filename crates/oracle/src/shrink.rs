//! Makes a program smaller as long as both sides still disagree.

use crate::compare::{Compared, Limits, compare};
use crate::program::{Op, Program};
use crate::search::Mode;

/// The smallest program that deleting instructions gives and that still disagrees under `mode`.
pub fn shrink(program: &Program, mode: Mode, limits: Limits) -> Program {
    let disagrees =
        |program: &Program| matches!(compare(program, &[mode], limits), Compared::Disagreed(_));
    let mut best = program.clone();
    loop {
        let smaller = candidates(&best).into_iter().find(disagrees);
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// Programs with something less.
fn candidates(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    if program.cpus.len() > 1 {
        let mut less = program.clone();
        less.cpus.pop();
        all.push(less);
    }
    if program.nmi_budget > 0 {
        all.push(Program { nmi_budget: program.nmi_budget - 1, ..program.clone() });
    }
    for at in 0..program.always.len() {
        let mut less = program.clone();
        less.always.remove(at);
        all.push(less);
    }
    for at in 0..program.finally.len() {
        let mut less = program.clone();
        less.finally.remove(at);
        all.push(less);
    }
    for at in 0..program.handlers.len() {
        let mut less = program.clone();
        less.handlers.remove(at);
        all.push(less);
    }
    for code in program.codes() {
        let ops = program.code(code);
        for length in [4, 2, 1] {
            for at in 0..ops.len().saturating_sub(length) {
                // The last one ends it; the mask of RFLAGS stays with them.
                let masks = matches!(ops[at], Op::And(..))
                    && at > 0
                    && matches!(ops[at - 1], Op::Frame(..));
                let mut less = program.clone();
                if let Some(ops) = less.code_mut(code).filter(|_| !masks) {
                    remove(ops, at, length);
                    all.push(less);
                }
            }
        }
    }
    all
}

/// Takes some instructions out; who jumped to one of them jumps behind them.
fn remove(ops: &mut Vec<Op>, at: usize, length: usize) {
    ops.drain(at..at + length);
    for target in ops.iter_mut().filter_map(Op::target) {
        if *target > at {
            *target = target.saturating_sub(length).max(at);
        }
    }
}
