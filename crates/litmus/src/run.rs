//! Runs a test through every interleaving.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use abi::hypercall::Hypercall;
use explore::{Options, Stop, Verdict, What, Why};
use machine::{
    Access, Agent, Bad, Config, Entry, Flow, Gap, GapKind, Halt, Machine, MemoryModel, Seen, Watch,
};
use system::{DenseNumbers, Recorder, System, Workload};

use crate::assemble::{Image, Refused, assemble};
use crate::test::{Location, Model, Place, State, Test, result_address};

/// All final states of a test, sorted, and what it took to find them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// What is printed of each.
    pub states: Vec<State>,
    /// States of the machine that were visited in the last round of the search.
    pub searched: u64,
}

/// Why the final states of a test are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The program does not fit the machine.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Something has no model.
    #[error("P{thread}: not modelled: {what}{}", .instruction.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Gap {
        /// The thread.
        thread: u8,
        /// What.
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
        /// SDM vol. 3 table 6-1.
        vector: u8,
        /// CR2, for a page fault.
        va: u64,
    },
    /// An access to what is no location, or to more than one.
    #[error(
        "P{thread}: {instruction} accesses {bytes} at {place}; an access must stay within one location: \
         declare a wider type or an array"
    )]
    Outside {
        /// The thread.
        thread: u8,
        /// The instruction, disassembled.
        instruction: String,
        /// How many.
        bytes: String,
        /// Where, as seen from the nearest location below.
        place: String,
    },
    /// From some state no end can be reached.
    #[error("some runs never end")]
    Endless,
    /// The search would have to spend more of this.
    #[error("the budget of {0} is used up")]
    Budget(&'static str),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// When a search ends without an answer. The default is never.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// States to visit.
    pub states: u64,
    /// Memory, in bytes, as the search accounts it.
    pub bytes: u64,
    /// Seconds.
    pub seconds: f64,
}

impl Default for Budget {
    fn default() -> Self {
        let Options { states, bytes, .. } = Options::default();
        Self { states, bytes, seconds: f64::INFINITY }
    }
}

/// Finds all final states of `test` under `model`, until `stopped` says true.
///
/// # Errors
///
/// Why they are not known.
pub fn run(
    test: &Test,
    model: Model,
    budget: &Budget,
    stopped: &dyn Fn() -> bool,
) -> Result<Final, Undecided> {
    let image = assemble(test)?;
    let memory_model = match model {
        Model::Tso => MemoryModel::Tso,
        Model::Sc => MemoryModel::Sc,
    };
    let config = Config { memory_model, ..Config::default() };
    let machine = Machine::new(&image.segments, &[(image.stub, Hypercall::Return)], config)
        .map_err(Refused::Machine)?;
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
            return Err(Undecided::Endless);
        }
        Verdict::Undecided { why, .. } => {
            return Err(match why {
                Why::Gap(gap, _) => Undecided::Gap {
                    thread: gap.agent.cpu(),
                    what: not_modelled(gap.what),
                    instruction: gap.instruction,
                },
                Why::States => Undecided::Budget("states"),
                Why::Bytes => Undecided::Budget("memory"),
                Why::Time => Undecided::Budget("time"),
                Why::Interrupted => Undecided::Interrupted,
            });
        }
    }
    Ok(Final { states: told(test, searched.ends), searched: found.stats.states })
}

/// Of the final states, those that pass the filter, and of them what is printed.
fn told(test: &Test, ends: BTreeSet<State>) -> Vec<State> {
    let kept = ends
        .into_iter()
        .filter(|state| test.filter.as_ref().is_none_or(|filter| test.holds(filter, state)));
    let printed: BTreeSet<State> = kept.map(|state| state[..test.printed].to_vec()).collect();
    printed.into_iter().collect()
}

/// What ends a search without states.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    Fault(Bad),
    Outside(Outside),
}

/// An access that no location has all bytes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outside {
    thread: u8,
    rip: u64,
    va: u64,
    size: u8,
}

/// Looks at the accesses of a test's own instructions; keeps the first that leaves its location.
struct Bounds<'a> {
    test: &'a Test,
    own: &'a [Range<u64>],
    outside: Option<Outside>,
}

impl Watch for Bounds<'_> {
    const ON: bool = true;

    fn seen(&mut self, seen: Seen) {
        // A store was seen when it entered the store buffer.
        let (Access::Load { va, size, .. } | Access::Store { va, size, .. }) = seen.access else {
            return;
        };
        let thread = seen.agent.cpu();
        let is_own = self.own[usize::from(thread)].contains(&seen.rip);
        let end = va.saturating_add(u64::from(size));
        let within =
            |location: &Location| location.extent.start <= va && end <= location.extent.end;
        if is_own && !self.test.locations.iter().any(within) {
            self.outside.get_or_insert(Outside { thread, rip: seen.rip, va, size });
        }
    }

    fn retired(&mut self, _: Agent, _: u64, _: Flow, _: u64) {}
}

/// A test as the search sees it.
struct Searched<'t> {
    machine: Machine,
    image: Image,
    test: &'t Test,
    /// Final states seen in this round.
    ends: BTreeSet<State>,
}

impl Searched<'_> {
    fn final_state(&self, state: &machine::State) -> State {
        let value = |(number, observable): (usize, &crate::test::Observable)| {
            let va = match observable.place {
                Place::Register(..) => result_address(number),
                Place::Location(location) => self.test.locations[location].address,
            };
            let value = self.machine.peek(state, va, 8).expect("data is mapped");
            observable.shape.cut(value)
        };
        self.test.observables.iter().enumerate().map(value).collect()
    }

    /// Runs `step` on the machine, and looks at its accesses.
    fn bounded<T>(
        &mut self,
        step: impl FnOnce(&mut Machine, &mut Bounds<'_>) -> Result<T, Halt>,
    ) -> Result<T, Stop<Wrong, Gap>> {
        let mut bounds = Bounds { test: self.test, own: &self.image.own, outside: None };
        let result = step(&mut self.machine, &mut bounds).map_err(stop)?;
        match bounds.outside {
            Some(outside) => Err(Stop::Violation(Wrong::Outside(outside))),
            None => Ok(result),
        }
    }

    fn told(&self, wrong: &Wrong) -> Undecided {
        let rip = match wrong {
            Wrong::Fault(bad) => bad.rip,
            Wrong::Outside(outside) => outside.rip,
        };
        let text = self.machine.disassembly(rip);
        let instruction = text.unwrap_or_else(|| format!("the instruction at {rip:#x}"));
        match wrong {
            Wrong::Fault(bad) => {
                let (vector, va) = match &bad.what {
                    machine::Violation::Fault(fault) => (fault.vector, fault.va),
                    _ => unreachable!("a test calls nothing and runs nothing alone"),
                };
                Undecided::Fault { thread: bad.agent.cpu(), instruction, vector, va }
            }
            Wrong::Outside(Outside { thread, va, size, .. }) => {
                let bytes = if *size == 1 { "1 byte".into() } else { format!("{size} bytes") };
                let place = self.test.place(*va).unwrap_or_else(|| format!("{va:#x}"));
                Undecided::Outside { thread: *thread, instruction, bytes, place }
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

/// A test calls nothing, so it cannot call anything in the wrong way.
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
        Halt::CutOff { .. } => unreachable!("nothing in a litmus test runs by itself"),
    }
}
