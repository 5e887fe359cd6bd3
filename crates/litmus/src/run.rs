//! Runs a test through every interleaving.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};
use std::time::Instant;

use abi::hypercall::Hypercall;
use explore::{Choice, Next, Options, Stop, Touch, Verdict, What, Why, Words};
use machine::{
    Access, Accesses, Agent, Bad, Config, Entry, Flow, Gap, GapKind, Halt, Machine, MemoryModel,
    Seen, Watch, Word,
};

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
    let mut searched =
        Searched { machine, image, test, numbers: Numbers::default(), ends: BTreeSet::new() };
    let options = Options {
        states: budget.states,
        bytes: budget.bytes,
        deadline: explore::deadline(Instant::now(), budget.seconds),
        ..Options::default()
    };
    let found = explore::search(&mut searched, &options, &mut |_| match stopped() {
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
    numbers: Numbers,
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
        words: &mut Words,
        step: impl FnOnce(&mut Machine, &mut Recorder<'_>, &mut Bounds<'_>) -> Result<T, Halt>,
    ) -> Result<T, Stop<Wrong, Gap>> {
        let mut bounds = Bounds { test: self.test, own: &self.image.own, outside: None };
        let mut recorder = Recorder { words, numbers: &self.numbers };
        let result = step(&mut self.machine, &mut recorder, &mut bounds).map_err(stop)?;
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

impl explore::Model for Searched<'_> {
    type State = machine::State;
    type Bad = Wrong;
    type Gap = Gap;

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(&mut self, words: &mut Words) -> Result<machine::State, Stop<Wrong, Gap>> {
        let entries: Vec<Entry> =
            self.image.entries.iter().map(|entry| Entry { function: *entry, data: 0 }).collect();
        self.bounded(words, |machine, recorder, bounds| {
            machine.start_threads(&entries, recorder, bounds)
        })
    }

    fn choices(&self, state: &machine::State, out: &mut Vec<Choice>) {
        self.machine.choices(state, |agent, pick| out.push(Choice { agent: agent.0, pick }));
    }

    fn step(
        &mut self,
        state: &mut machine::State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<Wrong, Gap>> {
        let agent = Agent(choice.agent);
        self.bounded(words, |machine, recorder, bounds| {
            machine.step(state, agent, choice.pick, recorder, bounds)
        })
    }

    fn inspect(&mut self, state: &machine::State, _: &mut Words) -> Result<(), Stop<Wrong, Gap>> {
        if state.ended() {
            let end = self.final_state(state);
            self.ends.insert(end);
        }
        Ok(())
    }

    fn key(&self, state: &machine::State) -> u128 {
        state.fingerprint()
    }

    fn ended(&self, state: &machine::State) -> bool {
        state.ended()
    }

    fn next(&self, state: &machine::State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let next = self.machine.next(state, Agent(agent))?;
        touches.extend(
            next.touches()
                .iter()
                .map(|(word, write)| Touch { word: self.numbers.of(*word), write: *write }),
        );
        Some(Next { point: next.point, reducible: next.reducible })
    }

    fn agents(&self) -> u8 {
        Agent::COUNT
    }

    fn recurrent(&self) -> explore::Agents {
        agents(Agent::interrupt(0))
    }

    fn silent(&self) -> explore::Agents {
        agents(Agent::hardware(0))
    }

    fn served_by(&self, agent: u8) -> explore::Agents {
        1 << Agent::hardware(Agent(agent).cpu()).0
    }

    fn state_bytes(&self, state: &machine::State) -> usize {
        state.bytes()
    }
}

/// The agents from `first` on.
fn agents(first: Agent) -> explore::Agents {
    (first.0..Agent::COUNT).fold(0, |mask, agent| mask | 1 << agent)
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

/// Dense numbers for the few words of a test: the search has tables by number, and makes them anew in
/// every round.
#[derive(Default)]
struct Numbers(RefCell<HashMap<Word, u32>>);

impl Numbers {
    fn of(&self, word: Word) -> u32 {
        let mut known = self.0.borrow_mut();
        let next = u32::try_from(known.len()).expect("fewer words than numbers");
        *known.entry(word).or_insert(next)
    }
}

/// The search's words, as the machine sees them.
struct Recorder<'a> {
    words: &'a mut Words,
    numbers: &'a Numbers,
}

impl Accesses for Recorder<'_> {
    fn is_shared(&self, word: Word) -> bool {
        self.words.is_shared(self.numbers.of(word))
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.words.touch(agent.0, self.numbers.of(word), write);
    }
}
