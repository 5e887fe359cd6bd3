//! The scenario on the machine, as the search sees it.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use abi::property::Property;
use explore::{Stop, What};
use machine::{
    Access, Accesses, Agent, Bad, Bound, Config, Cutoff, Entry, Flow, Gap, Halt, Machine, Seen,
    State, Warning, Watch, Word,
};
use outcome::SoloPart;
use system::{FinalCheckAccesses, InvariantAccesses, OwnNumbers, Recorder, Workload};

use crate::guest::{Guest, Scenario};

/// A scenario ready to be searched.
pub(crate) struct Model {
    pub(crate) machine: Machine,
    entry: u64,
    pub(crate) marks: Marks,
    invariants: Memo,
    budget: Budget,
    /// The part of the scenario that runs by itself now, or did last.
    part: SoloPart,
    /// The set-up has ended once, and so takes as long each time.
    set_up: bool,
    /// Something was cut off.
    pub(crate) cut_off: bool,
    /// The property that the scenario is declared to violate.
    finds: Option<String>,
}

/// The name of the property that a run violates.
pub(crate) fn property(what: &What<Bad>) -> &str {
    match what {
        What::Deadlock => Property::Deadlock.name(),
        What::Livelock => Property::Livelock.name(),
        What::Bad(bad) => bad.what.property(),
    }
}

/// The limits of code that runs by itself.
#[derive(Clone, Default)]
pub(crate) struct Budget {
    /// The time at which it is cut off.
    pub(crate) deadline: Option<Instant>,
    /// The wish of somebody that it be cut off.
    pub(crate) interrupted: Cutoff,
}

/// A reason not to follow a run to its end.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle {
    /// Something that is not modelled.
    Gap(Gap),
    /// A part that runs by itself was cut off.
    CutOff {
        part: SoloPart,
        /// By somebody; else because the time was used up.
        interrupted: bool,
        /// The instruction.
        rip: u64,
    },
}

impl Model {
    pub(crate) fn new(guest: &Guest, scenario: &Scenario, config: Config) -> Result<Model, String> {
        Ok(Model {
            machine: Machine::new(&guest.segments, &guest.calls, config)?,
            entry: scenario.entry,
            marks: Marks::default(),
            invariants: Memo::default(),
            budget: Budget::default(),
            part: SoloPart::SetUp,
            set_up: false,
            cut_off: false,
            finds: scenario.finds.clone(),
        })
    }

    /// Sets when what runs by itself is cut off; never, for a budget without limits.
    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.machine.set_cutoff(budget.cutoff());
        self.budget = budget;
    }

    /// Set-up and the CPUs' way to their first scheduling points.
    pub(crate) fn start<A: Accesses, W: Watch>(
        &mut self,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<State, Halt> {
        self.part = SoloPart::SetUp;
        self.machine.start(self.entry, accesses, watch)
    }

    /// Invariants, and at an end the final checks.
    pub(crate) fn judge_state<A: Accesses, W: Watch>(
        &mut self,
        state: &State,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let registered = self.machine.registered();
        let always: Vec<Entry> = registered.always.clone();
        let finally: Vec<Entry> =
            if self.is_end(state) { registered.finally.clone() } else { Vec::new() };
        for entry in always {
            self.part = SoloPart::Invariant;
            self.machine.observe(state, entry, accesses, watch)?;
        }
        for entry in finally {
            self.part = SoloPart::FinalCheck;
            self.machine.observe(state, entry, &mut FinalCheckAccesses(accesses), watch)?;
        }
        Ok(())
    }

    pub(crate) fn is_end(&self, state: &State) -> bool {
        state.ended()
    }

    fn stop(&mut self, halt: Halt) -> Stop<Bad, Obstacle> {
        match halt {
            Halt::Bad(bad) => Stop::Violation(bad),
            Halt::Gap(gap) => Stop::Unmodelled(Obstacle::Gap(gap)),
            Halt::Discarded => Stop::Discarded,
            Halt::CutOff { rip } => {
                self.cut_off = true;
                let (part, interrupted) = (self.part, self.budget.interrupted.is_due());
                Stop::Unmodelled(Obstacle::CutOff { part, interrupted, rip })
            }
        }
    }
}

impl Workload for Model {
    type Bad = Bad;
    type Gap = Obstacle;
    type Numbering = OwnNumbers;

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn is_wanted(&self, what: &What<Bad>) -> bool {
        self.finds.as_ref().is_none_or(|finds| finds == property(what))
    }

    fn round_begins(&mut self) {
        self.marks = Marks::default();
    }

    fn initial(
        &mut self,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<State, Stop<Bad, Obstacle>> {
        self.invariants = Memo::default();
        let mut marks = std::mem::take(&mut self.marks);
        // The search begins anew to follow a trail that it has found, and must not be kept from that. The
        // set-up runs alone, so it takes the same instructions each time: once it has ended it always does.
        if self.set_up {
            self.machine.set_cutoff(Cutoff::default());
        }
        let result = self.start(accesses, &mut marks);
        self.machine.set_cutoff(self.budget.cutoff());
        self.marks = marks;
        self.set_up |= !matches!(result, Err(Halt::CutOff { .. }));
        result.map_err(|halt| self.stop(halt))
    }

    fn step(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: u16,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<Bad, Obstacle>> {
        self.machine
            .step(state, agent, pick, accesses, &mut self.marks)
            .map_err(|halt| self.stop(halt))
    }

    fn inspect(
        &mut self,
        state: &State,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<Bad, Obstacle>> {
        if self.machine.registered().always.is_empty() && !self.is_end(state) {
            return Ok(());
        }
        if self.invariants.holds(state) && !self.is_end(state) {
            // That they look at it counts, where the search asks again about a run.
            self.invariants.read.iter().for_each(|word| system::observe(accesses, *word));
            return Ok(());
        }
        let mut marks = std::mem::take(&mut self.marks);
        let mut reads = Reads { accesses: InvariantAccesses(accesses), read: BTreeSet::new() };
        let result = self.judge_state(state, &mut reads, &mut marks);
        let read = reads.read;
        self.marks = marks;
        result.map_err(|halt| self.stop(halt))?;
        self.invariants.add(state, read);
        Ok(())
    }
}

impl Budget {
    fn cutoff(&self) -> Cutoff {
        let Budget { deadline, interrupted } = self.clone();
        Cutoff::when(move || {
            interrupted.is_due() || deadline.is_some_and(|deadline| Instant::now() >= deadline)
        })
    }
}

/// Records an invariant's accesses, and remembers what it read.
struct Reads<'a, A> {
    accesses: InvariantAccesses<'a, A>,
    read: BTreeSet<Word>,
}

impl<A: Accesses> Accesses for Reads<'_, A> {
    fn is_shared(&self, word: Word) -> bool {
        self.accesses.is_shared(word)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.accesses.touch(agent, word, write);
        if !word.is_about_keeping() {
            self.read.insert(word);
        }
    }
}

/// States in which the invariants are known to hold, by the values of all words they ever read.
///
/// An invariant is a deterministic function of the words it reads. If all words that any evaluation read
/// have the values they had in an evaluation that found nothing, this one reads the same values, takes
/// the same way and finds nothing. One that reads through page tables or TLBs is run each time.
#[derive(Default)]
struct Memo {
    read: BTreeSet<Word>,
    held: HashSet<Vec<u64>>,
}

impl Memo {
    fn values(&self, state: &State) -> Option<Vec<u64>> {
        self.read.iter().map(|word| state.word(*word)).collect()
    }

    fn holds(&self, state: &State) -> bool {
        !self.held.is_empty()
            && self.values(state).is_some_and(|values| self.held.contains(&values))
    }

    fn add(&mut self, state: &State, read: BTreeSet<Word>) {
        if !read.is_subset(&self.read) {
            self.read.extend(read);
            self.held.clear();
        }
        // A scenario that never repeats must not make this the largest table of all.
        if self.held.len() < 1 << 16 {
            self.held.extend(self.values(state));
        }
    }
}

/// The marks reached, the warnings given and the bounds met so far; watches nothing else.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) reached: BTreeSet<String>,
    /// Each with the address of its instruction.
    pub(crate) warnings: BTreeSet<(u64, Warning)>,
    /// Bounds that some run came to.
    pub(crate) bounds: BTreeSet<Bound>,
}

impl Watch for Marks {
    const ON: bool = false;

    fn seen(&mut self, seen: Seen) {
        match seen.access {
            Access::Mark(name) => drop(self.reached.insert(name)),
            Access::Warning(warning) => drop(self.warnings.insert((seen.rip, warning))),
            Access::Bound(bound) => drop(self.bounds.insert(bound)),
            _ => {}
        }
    }

    fn retired(&mut self, _: Agent, _: u64, _: Flow, _: u64) {}
}
