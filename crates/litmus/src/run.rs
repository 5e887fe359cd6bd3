//! Runs a test in every interleaving.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use abi::hypercall::Hypercall;
use explore::{Options, Stop, Verdict, What, Why};
use machine::{
    Access, Agent, Bad, Config, Entry, Flow, Gap, GapKind, Halt, Machine, MemoryModel, Seen, Watch,
};
use system::{DenseNumbers, Recorder, System, Workload};

use crate::assemble::{AssembleError, AssembledTest, assemble};
use crate::test::{FinalState, LitmusModel, Location, ObservedPlace, Test, result_address};

/// All final states of a test, sorted, and the size of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// The printed values of each state.
    pub states: Vec<FinalState>,
    /// States of the machine that were visited in the last round of the search.
    pub searched: u64,
}

/// The reason why the final states of a test are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndecidedReason {
    /// The program cannot be assembled.
    #[error(transparent)]
    AssembleError(#[from] AssembleError),
    /// Something has no model.
    #[error("P{thread}: not modelled: {what}{}", .instruction.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Gap {
        /// The thread.
        thread: u8,
        /// The thing without a model.
        what: String,
        /// The instruction, disassembled.
        instruction: Option<String>,
    },
    /// A fault: a test runs without handlers.
    #[error("P{thread}: {instruction} faults: vector {vector}, address {va:#x}")]
    Fault {
        /// The thread.
        thread: u8,
        /// The instruction, disassembled.
        instruction: String,
        /// The vector (SDM vol. 3 table 6-1).
        vector: u8,
        /// CR2, for a page fault.
        va: u64,
    },
    /// An access outside all locations, or to more than one.
    #[error(
        "P{thread}: {instruction} accesses {bytes} at {place}; an access must stay within one location: \
         declare a wider type or an array"
    )]
    StrayAccess {
        /// The thread.
        thread: u8,
        /// The instruction, disassembled.
        instruction: String,
        /// The number of bytes.
        bytes: String,
        /// The address, relative to the nearest location below.
        place: String,
    },
    /// No end can be reached from some state.
    #[error("some runs never end")]
    Endless,
    /// The budget of this resource is used up.
    #[error("the budget of {0} is used up")]
    SearchBudget(&'static str),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The limits of a search. The default is no limit.
#[derive(Clone, Copy, Debug)]
pub struct SearchBudget {
    /// Number of states.
    pub states: u64,
    /// Memory in bytes, as counted by the search.
    pub bytes: u64,
    /// Time in seconds.
    pub seconds: f64,
}

impl Default for SearchBudget {
    fn default() -> Self {
        let Options { states, bytes, .. } = Options::default();
        Self { states, bytes, seconds: f64::INFINITY }
    }
}

/// Finds all final states of `test` under `model`, until `stopped` returns true.
///
/// # Errors
///
/// Returns the reason if the final states are not known.
pub fn run(
    test: &Test,
    model: LitmusModel,
    budget: &SearchBudget,
    stopped: &dyn Fn() -> bool,
) -> Result<Final, UndecidedReason> {
    let image = assemble(test)?;
    let memory_model = match model {
        LitmusModel::Tso => MemoryModel::Tso,
        LitmusModel::Sc => MemoryModel::Sc,
    };
    let config = Config { memory_model, ..Config::default() };
    let machine = Machine::new(&image.segments, &[(image.stub, Hypercall::Return)], config)
        .map_err(AssembleError::Machine)?;
    let mut searched = Searched { machine, image, test, ends: BTreeSet::new() };
    let options = Options {
        states: budget.states,
        bytes: budget.bytes,
        deadline: explore::deadline(Instant::now(), budget.seconds),
        ..Options::default()
    };
    let found =
        explore::search(&mut System::new(&mut searched), &options, &mut |_| match stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
    match found.verdict {
        Verdict::Pass => {}
        Verdict::Violated { what: What::Bad(wrong), .. } => return Err(searched.told(&wrong)),
        Verdict::Violated { what: What::Deadlock | What::Livelock, .. } => {
            return Err(UndecidedReason::Endless);
        }
        Verdict::Undecided { why, .. } => {
            return Err(match why {
                Why::Gap(gap, _) => UndecidedReason::Gap {
                    thread: gap.agent.cpu(),
                    what: not_modelled(gap.what),
                    instruction: gap.instruction,
                },
                Why::States => UndecidedReason::SearchBudget("states"),
                Why::Bytes => UndecidedReason::SearchBudget("memory"),
                Why::Time => UndecidedReason::SearchBudget("time"),
                Why::Interrupted => UndecidedReason::Interrupted,
            });
        }
    }
    Ok(Final { states: printed_states(test, searched.ends), searched: found.stats.states })
}

/// Returns the printed values of the final states that pass the filter.
fn printed_states(test: &Test, ends: BTreeSet<FinalState>) -> Vec<FinalState> {
    let kept = ends
        .into_iter()
        .filter(|state| test.filter.as_ref().is_none_or(|filter| test.holds(filter, state)));
    let printed: BTreeSet<FinalState> = kept.map(|state| state[..test.printed].to_vec()).collect();
    printed.into_iter().collect()
}

/// An event that ends a search without final states.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    Fault(Bad),
    StrayAccess(StrayAccess),
}

/// An access that is not contained in a single location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StrayAccess {
    thread: u8,
    rip: u64,
    va: u64,
    size: u8,
}

/// Checks the accesses of a test's own instructions, and keeps the first one that leaves its location.
struct AccessMonitor<'a> {
    test: &'a Test,
    own: &'a [Range<u64>],
    outside: Option<StrayAccess>,
}

impl Watch for AccessMonitor<'_> {
    const ON: bool = true;

    fn seen(&mut self, seen: Seen) {
        // A store has been checked already when it entered the store buffer.
        let (Access::Load { va, size, .. } | Access::Store { va, size, .. }) = seen.access else {
            return;
        };
        let thread = seen.agent.cpu();
        let is_own = self.own[usize::from(thread)].contains(&seen.rip);
        let end = va.saturating_add(u64::from(size));
        let within =
            |location: &Location| location.extent.start <= va && end <= location.extent.end;
        if is_own && !self.test.locations.iter().any(within) {
            self.outside.get_or_insert(StrayAccess { thread, rip: seen.rip, va, size });
        }
    }

    fn retired(&mut self, _: Agent, _: u64, _: Flow, _: u64) {}
}

/// A test as the search sees it.
struct Searched<'t> {
    machine: Machine,
    image: AssembledTest,
    test: &'t Test,
    /// Final states reached in this round.
    ends: BTreeSet<FinalState>,
}

impl Searched<'_> {
    fn final_state(&self, state: &machine::State) -> FinalState {
        let value = |(number, observable): (usize, &crate::test::Observable)| {
            let va = match observable.place {
                ObservedPlace::Register(..) => result_address(number),
                ObservedPlace::Location(location) => self.test.locations[location].address,
            };
            let value = self.machine.peek(state, va, 8).expect("data is mapped");
            observable.shape.cut(value)
        };
        self.test.observables.iter().enumerate().map(value).collect()
    }

    /// Runs `step` on the machine, and checks its accesses.
    fn bounded<T>(
        &mut self,
        step: impl FnOnce(&mut Machine, &mut AccessMonitor<'_>) -> Result<T, Halt>,
    ) -> Result<T, Stop<Wrong, Gap>> {
        let mut bounds = AccessMonitor { test: self.test, own: &self.image.own, outside: None };
        let result = step(&mut self.machine, &mut bounds).map_err(stop)?;
        match bounds.outside {
            Some(outside) => Err(Stop::Violation(Wrong::StrayAccess(outside))),
            None => Ok(result),
        }
    }

    fn told(&self, wrong: &Wrong) -> UndecidedReason {
        let rip = match wrong {
            Wrong::Fault(bad) => bad.rip,
            Wrong::StrayAccess(outside) => outside.rip,
        };
        let text = self.machine.disassembly(rip);
        let instruction = text.unwrap_or_else(|| format!("the instruction at {rip:#x}"));
        match wrong {
            Wrong::Fault(bad) => {
                let (vector, va) = match &bad.what {
                    machine::Violation::Fault(fault) => (fault.vector, fault.va),
                    _ => unreachable!("a test makes no hypercalls and runs nothing alone"),
                };
                UndecidedReason::Fault { thread: bad.agent.cpu(), instruction, vector, va }
            }
            Wrong::StrayAccess(StrayAccess { thread, va, size, .. }) => {
                let bytes = if *size == 1 { "1 byte".into() } else { format!("{size} bytes") };
                let place = self.test.place(*va).unwrap_or_else(|| format!("{va:#x}"));
                UndecidedReason::StrayAccess { thread: *thread, instruction, bytes, place }
            }
        }
    }
}

impl Workload for Searched<'_> {
    type Bad = Wrong;
    type Gap = Gap;
    type Numbering = DenseNumbers;

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(
        &mut self,
        accesses: &mut Recorder<'_, DenseNumbers>,
    ) -> Result<machine::State, Stop<Wrong, Gap>> {
        let entries: Vec<Entry> =
            self.image.entries.iter().map(|entry| Entry { function: *entry, data: 0 }).collect();
        self.bounded(|machine, bounds| machine.start_threads(&entries, accesses, bounds))
    }

    fn step(
        &mut self,
        state: &mut machine::State,
        agent: Agent,
        pick: u16,
        accesses: &mut Recorder<'_, DenseNumbers>,
    ) -> Result<(), Stop<Wrong, Gap>> {
        self.bounded(|machine, bounds| machine.step(state, agent, pick, accesses, bounds))
    }

    fn inspect(
        &mut self,
        state: &machine::State,
        _: &mut Recorder<'_, DenseNumbers>,
    ) -> Result<(), Stop<Wrong, Gap>> {
        if state.ended() {
            let end = self.final_state(state);
            self.ends.insert(end);
        }
        Ok(())
    }
}

/// Returns the text of a gap. A test makes no hypercalls, so it cannot misuse one.
fn not_modelled(what: GapKind) -> String {
    match what {
        GapKind::NotModelled(what) => what,
        GapKind::Misuse(misuse) => unreachable!("{misuse:?}"),
    }
}

fn stop(halt: Halt) -> Stop<Wrong, Gap> {
    match halt {
        Halt::Bad(bad) => Stop::Violation(Wrong::Fault(bad)),
        Halt::Gap(gap) => Stop::Unmodelled(gap),
        Halt::Discarded => Stop::Discarded,
        Halt::CutOff { .. } => unreachable!("nothing in a litmus test runs alone"),
    }
}
