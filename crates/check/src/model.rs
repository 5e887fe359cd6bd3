//! The scenario on the machine, as the search sees it.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use abi::property::Property;
use explore::{Choice, Next, Stop, Touch, What, Words};
use machine::{
    Access, Accesses, Agent, Bad, Bound, Config, Cutoff, Entry, Flow, Gap, Halt, Machine, Seen,
    State, Warning, Watch, Word,
};
use outcome::SoloPart;

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
            self.machine.observe(state, entry, &mut Unrecorded(accesses), watch)?;
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

impl explore::Model for Model {
    type State = State;
    type Bad = Bad;
    type Gap = Obstacle;

    fn is_wanted(&self, what: &What<Bad>) -> bool {
        self.finds.as_ref().is_none_or(|finds| finds == property(what))
    }

    fn round_begins(&mut self) {
        self.marks = Marks::default();
    }

    fn initial(&mut self, words: &mut Words) -> Result<State, Stop<Bad, Obstacle>> {
        self.invariants = Memo::default();
        let mut marks = std::mem::take(&mut self.marks);
        // The search begins anew to follow a trail that it has found, and must not be kept from that. The
        // set-up runs alone, so it takes the same instructions each time: once it has ended it always does.
        if self.set_up {
            self.machine.set_cutoff(Cutoff::default());
        }
        let result = self.start(&mut Recorder(words), &mut marks);
        self.machine.set_cutoff(self.budget.cutoff());
        self.marks = marks;
        self.set_up |= !matches!(result, Err(Halt::CutOff { .. }));
        result.map_err(|halt| self.stop(halt))
    }

    fn choices(&self, state: &State, out: &mut Vec<Choice>) {
        self.machine.choices(state, |agent, pick| out.push(Choice { agent: agent.0, pick }));
    }

    fn optional(&self, _: &State, choice: Choice) -> bool {
        Machine::is_optional(Agent(choice.agent), choice.pick)
    }

    fn step(
        &mut self,
        state: &mut State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<Bad, Obstacle>> {
        let agent = Agent(choice.agent);
        self.machine
            .step(state, agent, choice.pick, &mut Recorder(words), &mut self.marks)
            .map_err(|halt| self.stop(halt))
    }

    fn inspect(&mut self, state: &State, words: &mut Words) -> Result<(), Stop<Bad, Obstacle>> {
        if self.machine.registered().always.is_empty() && !self.is_end(state) {
            return Ok(());
        }
        if self.invariants.holds(state) && !self.is_end(state) {
            return Ok(());
        }
        let mut marks = std::mem::take(&mut self.marks);
        let mut reads = Reads { words, read: BTreeSet::new() };
        let result = self.judge_state(state, &mut reads, &mut marks);
        let read = reads.read;
        self.marks = marks;
        result.map_err(|halt| self.stop(halt))?;
        self.invariants.add(state, read);
        Ok(())
    }

    fn key(&self, state: &State) -> u128 {
        state.fingerprint()
    }

    fn ended(&self, state: &State) -> bool {
        self.is_end(state)
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

    fn state_bytes(&self, state: &State) -> usize {
        state.bytes()
    }
}

/// The agents from `first` to before number `end`.
fn agents(first: Agent, end: u8) -> explore::Agents {
    (first.0..end).fold(0, |mask, agent| mask | 1 << agent)
}

impl Budget {
    fn cutoff(&self) -> Cutoff {
        let Budget { deadline, interrupted } = self.clone();
        Cutoff::when(move || {
            interrupted.is_due() || deadline.is_some_and(|deadline| Instant::now() >= deadline)
        })
    }
}

/// The search's words, as the machine sees them.
pub(crate) struct Recorder<'a>(pub(crate) &'a mut Words);

impl Accesses for Recorder<'_> {
    #[inline]
    fn is_shared(&self, word: Word) -> bool {
        self.0.is_shared(word.0)
    }

    #[inline]
    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.0.touch(agent.0, word.0, write);
    }
}

/// Final checks run when nothing else moves: their accesses conflict with nothing. What they must find kept
/// of stacks is learnt from them as from others.
struct Unrecorded<'a, A>(&'a mut A);

impl<A: Accesses> Accesses for Unrecorded<'_, A> {
    fn is_shared(&self, word: Word) -> bool {
        word.is_about_keeping() && self.0.is_shared(word)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        if word.is_about_keeping() {
            self.0.touch(agent, word, write);
        }
    }
}

/// Records an invariant's accesses, and remembers what it read.
struct Reads<'a> {
    words: &'a mut Words,
    read: BTreeSet<Word>,
}

impl Accesses for Reads<'_> {
    fn is_shared(&self, word: Word) -> bool {
        word.is_about_keeping() && self.words.is_shared(word.0)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        if word.is_about_keeping() {
            self.words.touch(agent.0, word.0, write);
            return;
        }
        // What it writes goes to a copy that is thrown away; but a LOCKed access is told as a write,
        // and reads.
        self.words.touch(agent.0, word.0, false);
        // Only stores to shared words are buffered.
        if let Some(made) = word.made().filter(|_| self.words.is_shared(word.0)) {
            self.words.touch(agent.0, made.0, false);
        }
        self.read.insert(word);
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
