//! Masking changes no verdict and no final state: generated programs that switch stacks, keep pointers to
//! frames that are gone, read frames that they have not initialised, and make frames of any size.
//!
//! `PROPTEST_CASES=100000 cargo test -p check --test masking` runs more of them.

mod program;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use explore::{Options, Stop, Verdict, What};
use machine::{Agent, Bad, Config, Entry, Fill, Gap, Machine, MemoryModel, State, Violation};
use proptest::prelude::*;
use system::{OwnNumbers, Recorder, System, Workload};

use program::{DATA_WORDS, SHARED, Thread, assemble, programs};

/// States after which a program is left.
const STATES: u64 = 1_000;

/// A program as the search sees it.
struct Program {
    machine: Machine,
    entries: Vec<Entry>,
    /// The data at the ends of runs.
    ends: BTreeSet<Vec<u64>>,
}

impl Workload for Program {
    type Bad = Bad;
    type Gap = Gap;
    type Numbering = OwnNumbers;

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(
        &mut self,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<State, Stop<Bad, Gap>> {
        self.machine.start_threads(&self.entries, accesses, &mut ()).map_err(system::stop)
    }

    fn step(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: u16,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<Bad, Gap>> {
        self.machine.step(state, agent, pick, accesses, &mut ()).map_err(system::stop)
    }

    fn inspect(
        &mut self,
        state: &State,
        _: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<Bad, Gap>> {
        if state.ended() {
            let word = |n| self.machine.peek(state, SHARED + n * 8, 8).expect("mapped");
            let end = (0..DATA_WORDS).map(word).collect();
            self.ends.insert(end);
        }
        Ok(())
    }
}

/// What a search of a program comes to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Every run ends, with this data.
    Ends(BTreeSet<Vec<u64>>),
    /// The simplest bad run violates this, with so many switches if it is the simplest for certain.
    Violates(String, Option<u32>),
}

/// `None` where the budget is not enough.
fn search(threads: &[Thread], config: Config, options: &Options) -> Option<(Outcome, u64)> {
    let (segments, calls, entries) = assemble(threads);
    let machine = Machine::new(&segments, &calls, config).expect("a machine");
    let mut program = Program { machine, entries, ends: BTreeSet::new() };
    let found =
        explore::search(
            &mut System::new(&mut program),
            options,
            &mut |_| ControlFlow::Continue(()),
        );
    let outcome = match found.verdict {
        Verdict::Pass => Outcome::Ends(program.ends),
        Verdict::Violated { what, switches, shortest, .. } => {
            let what = match what {
                What::Bad(Bad { what: Violation::Fault(fault), .. }) => format!("{fault:?}"),
                What::Bad(Bad { what, .. }) => what.property().to_owned(),
                other => format!("{other:?}"),
            };
            Outcome::Violates(what, shortest.then_some(switches))
        }
        Verdict::Undecided { why: explore::Why::States, .. } => return None,
        Verdict::Undecided { why, .. } => panic!("undecided: {why:?}"),
    };
    Some((outcome, found.stats.states))
}

fn cases() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 300;
    }
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn masking_changes_no_outcome(threads in programs()) {
        let options = |reduction, every_access| Options { states: STATES, reduction, every_access, ..Options::default() };
        for memory_model in [MemoryModel::Tso, MemoryModel::Sc] {
            let config = |masking| Config { fill: Fill::Eager, memory_model, masking };
            let plain = search(&threads, config(false), &options(false, false));
            let masked = search(&threads, config(true), &options(false, false));
            let reduced = search(&threads, config(true), &options(true, false));
            let (Some((plain, states)), Some((masked, fewer)), Some((reduced, _))) = (plain, masked, reduced)
            else { continue };
            prop_assert_eq!(&plain, &masked, "{} states, and {} with masking", states, fewer);
            prop_assert_eq!(&plain, &reduced, "with reduction");
            // Every access a step: nothing is learnt, nothing is masked.
            if let Some((every, _)) = search(&threads, config(true), &options(false, true)) {
                match (&plain, &every) {
                    (Outcome::Violates(one, _), Outcome::Violates(other, _)) => prop_assert_eq!(one, other),
                    _ => prop_assert_eq!(&plain, &every, "every access is a step"),
                }
            }
        }
    }
}
