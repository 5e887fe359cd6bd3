//! The oracle: the final states that a memory model allows, computed independently of the machine.
//!
//! Each thread runs alone on the interpreter, with every value that its loads could return; this gives
//! its possible *traces*. One trace of each thread makes a candidate execution, and
//!
//! - under x86-TSO the axioms say whether a choice of reads-from and coherence order makes it valid
//!   (Owens, Sarkar, Sewell, "A Better x86 Memory LitmusModel: x86-TSO", TPHOLs 2009; in the form of
//!   Alglave, Maranget, Tautschnig, "Herding Cats", TOPLAS 2014);
//! - under sequential consistency it is valid if some interleaving of the traces returns those values.
//!
//! The oracle uses neither the store buffers nor the search of the machine.

#![allow(dead_code, reason = "each test file uses some of it")]

mod axioms;
mod interleave;
mod traces;

use std::collections::{BTreeMap, BTreeSet};

use litmus::{FinalState, LitmusModel, ObservedPlace, Test};
use traces::Trace;

/// Returns all final states of `test` that `model` allows.
pub(crate) fn outcomes(test: &Test, model: LitmusModel) -> BTreeSet<FinalState> {
    let threads = traces::traces(test);
    let start: Memory = test.words();
    let mut all = BTreeSet::new();
    let mut chosen: Vec<&Trace> = Vec::new();
    candidates(&threads, &mut chosen, &mut |candidate| {
        let found = match model {
            LitmusModel::Tso => axioms::final_memories(candidate, &start),
            LitmusModel::Sc => interleave::final_memories(candidate, &start),
        };
        all.extend(found.iter().map(|memory| state(test, candidate, memory)));
    });
    if let Some(filter) = &test.filter {
        all.retain(|state| test.holds(filter, state));
    }
    all.into_iter().map(|state| state[..test.printed].to_vec()).collect()
}

/// Values of 8-byte words by address.
pub(crate) type Memory = BTreeMap<u64, u64>;

/// Calls `visit` with each choice of one trace per thread.
fn candidates<'t>(
    threads: &'t [Vec<Trace>],
    chosen: &mut Vec<&'t Trace>,
    visit: &mut dyn FnMut(&[&'t Trace]),
) {
    let Some(traces) = threads.get(chosen.len()) else { return visit(chosen) };
    for trace in traces {
        chosen.push(trace);
        candidates(threads, chosen, visit);
        chosen.pop();
    }
}

fn state(test: &Test, candidate: &[&Trace], memory: &Memory) -> FinalState {
    let value = |place| match place {
        ObservedPlace::Register(thread, register) => {
            candidate[usize::from(thread)].registers[register.number()]
        }
        ObservedPlace::Location(location) => {
            let address = test.locations[location].address;
            memory[&(address & !7)] >> (8 * (address % 8))
        }
    };
    test.observables
        .iter()
        .map(|observable| observable.shape.cut(value(observable.place)))
        .collect()
}
