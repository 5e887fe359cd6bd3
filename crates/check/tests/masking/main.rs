//! Masking changes no verdict and no final state: generated programs that switch stacks, keep pointers to
//! frames that are gone, read frames that they have not initialised, and make frames of any size.
//!
//! `PROPTEST_CASES=100000 cargo test -p check --test masking` runs more of them.

mod program;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use explore::{Choice, Next, Options, Stop, Touch, Verdict, What, Words};
use machine::{
    Accesses, Agent, Bad, Config, Entry, Fill, Gap, Halt, Machine, MemoryModel, State, Violation,
    Word,
};
use proptest::prelude::*;

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

struct Recorder<'a>(&'a mut Words);

impl Accesses for Recorder<'_> {
    fn is_shared(&self, word: Word) -> bool {
        self.0.is_shared(word.0)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.0.touch(agent.0, word.0, write);
    }
}

fn stop(halt: Halt) -> Stop<Bad, Gap> {
    match halt {
        Halt::Bad(bad) => Stop::Violation(bad),
        Halt::Gap(gap) => Stop::Unmodelled(gap),
        Halt::Discarded => Stop::Discarded,
        Halt::CutOff { .. } => panic!("nothing runs by itself"),
    }
}

fn agents(first: Agent, end: u8) -> explore::Agents {
    (first.0..end).fold(0, |agents, agent| agents | 1 << agent)
}

impl explore::Model for Program {
    type State = State;
    type Bad = Bad;
    type Gap = Gap;

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(&mut self, words: &mut Words) -> Result<State, Stop<Bad, Gap>> {
        self.machine.start_threads(&self.entries, &mut Recorder(words), &mut ()).map_err(stop)
    }

    fn choices(&self, state: &State, out: &mut Vec<Choice>) {
        self.machine.choices(state, |agent, pick| out.push(Choice { agent: agent.0, pick }));
    }

    fn step(
        &mut self,
        state: &mut State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<Bad, Gap>> {
        let agent = Agent(choice.agent);
        self.machine.step(state, agent, choice.pick, &mut Recorder(words), &mut ()).map_err(stop)
    }

    fn inspect(&mut self, state: &State, _: &mut Words) -> Result<(), Stop<Bad, Gap>> {
        if state.ended() {
            let word = |n| self.machine.peek(state, SHARED + n * 8, 8).expect("mapped");
            let end = (0..DATA_WORDS).map(word).collect();
            self.ends.insert(end);
        }
        Ok(())
    }

    fn key(&self, state: &State) -> u128 {
        state.fingerprint()
    }

    fn ended(&self, state: &State) -> bool {
        state.ended()
    }

    fn next(&self, state: &State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let next = self.machine.next(state, Agent(agent))?;
        touches.extend(
            next.touches().iter().map(|(word, write)| Touch { word: word.0, write: *write }),
        );
        Some(Next { point: next.point, reducible: next.reducible })
    }

    fn agents(&self) -> u8 {
        Agent::COUNT
    }

    fn recurrent(&self) -> explore::Agents {
        agents(Agent::interrupt(0), Agent::COUNT)
    }

    fn silent(&self) -> explore::Agents {
        agents(Agent::hardware(0), Agent::nested_nmi(0).0)
    }

    fn served_by(&self, agent: u8) -> explore::Agents {
        1 << Agent::hardware(Agent(agent).cpu()).0
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
    let found = explore::search(&mut program, options, &mut |_| ControlFlow::Continue(()));
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
