//! The modelled machine as a transition system: the one implementation of [`explore::Model`] over
//! [`machine`].
//!
//! A [`Workload`] adds what differs between its users: how a run begins, what a state is judged by, and
//! what is gathered on the way. [`System`] adds agents, choices, steps and keys, which are the machine's.
//!
//! # Invariants
//!
//! - Agents, words and picks of the machine are those of the search, number for number; a [`Numbering`]
//!   of words may be denser.
//! - No access of the machine stays unrecorded, but those that a workload filters before they come here.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;

use explore::{Agents, Choice, Next, Stop, Touch, What, Words};
use machine::{Accesses, Agent, Bad, Gap, Halt, Machine, State, Word};

/// Code on the machine: its beginning, and the judgement of its states.
pub trait Workload {
    /// The description of a violation.
    type Bad: Clone + PartialEq;
    /// The description of something that is not modelled.
    type Gap: Clone;
    /// The numbers by which the search knows words.
    type Numbering: Numbering;

    /// Returns the machine that it runs on.
    fn machine(&self) -> &Machine;

    /// See [`explore::Model::is_wanted`].
    fn is_wanted(&self, _what: &What<Self::Bad>) -> bool {
        true
    }

    /// See [`explore::Model::round_begins`].
    fn round_begins(&mut self) {}

    /// Runs set-up and each CPU up to its first scheduling point.
    ///
    /// # Errors
    ///
    /// Why the run ended before it began.
    fn initial(
        &mut self,
        accesses: &mut Recorder<'_, Self::Numbering>,
    ) -> Result<State, Stop<Self::Bad, Self::Gap>>;

    /// Runs `agent` up to its next scheduling point.
    ///
    /// # Errors
    ///
    /// Why the run ended within the step.
    fn step(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: u16,
        accesses: &mut Recorder<'_, Self::Numbering>,
    ) -> Result<(), Stop<Self::Bad, Self::Gap>>;

    /// Judges a new state; see [`explore::Model::inspect`].
    ///
    /// # Errors
    ///
    /// What is wrong with the state.
    fn inspect(
        &mut self,
        state: &State,
        accesses: &mut Recorder<'_, Self::Numbering>,
    ) -> Result<(), Stop<Self::Bad, Self::Gap>>;
}

/// A workload as the search sees it.
pub struct System<'w, W: Workload> {
    workload: &'w mut W,
    numbering: W::Numbering,
}

impl<'w, W: Workload> System<'w, W> {
    /// Makes a system of `workload`, whose machine has no state yet.
    pub fn new(workload: &'w mut W) -> Self {
        System { workload, numbering: W::Numbering::default() }
    }
}

impl<W: Workload> explore::Model for System<'_, W> {
    type State = State;
    type Bad = W::Bad;
    type Gap = W::Gap;

    fn is_wanted(&self, what: &What<W::Bad>) -> bool {
        self.workload.is_wanted(what)
    }

    fn round_begins(&mut self) {
        self.workload.round_begins();
    }

    fn initial(&mut self, words: &mut Words) -> Result<State, Stop<W::Bad, W::Gap>> {
        self.workload.initial(&mut Recorder { words, numbering: &self.numbering })
    }

    fn choices(&self, state: &State, out: &mut Vec<Choice>) {
        choices(self.workload.machine(), state, out);
    }

    fn step(
        &mut self,
        state: &mut State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<W::Bad, W::Gap>> {
        let mut accesses = Recorder { words, numbering: &self.numbering };
        self.workload.step(state, Agent(choice.agent), choice.pick, &mut accesses)
    }

    fn inspect(&mut self, state: &State, words: &mut Words) -> Result<(), Stop<W::Bad, W::Gap>> {
        self.workload.inspect(state, &mut Recorder { words, numbering: &self.numbering })
    }

    fn key(&self, state: &State) -> u128 {
        state.fingerprint()
    }

    fn ended(&self, state: &State) -> bool {
        state.ended()
    }

    fn optional(&self, _: &State, choice: Choice) -> bool {
        is_optional(choice)
    }

    fn next(&self, state: &State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let next = self.workload.machine().next(state, Agent(agent))?;
        let touch = |(word, write): &(Word, bool)| Touch {
            word: self.numbering.number(*word),
            write: *write,
        };
        touches.extend(next.touches().iter().map(touch));
        Some(Next { point: next.point, reducible: next.reducible })
    }

    fn agents(&self) -> u8 {
        Agent::COUNT
    }

    /// Handlers of interrupts and NMIs begin at any time, hardware drains at any time, and the observer
    /// reads at any time.
    fn recurrent(&self) -> Agents {
        agents(Agent::interrupt(0), Agent::COUNT)
    }

    /// A store buffer that drains is no context switch. NMIs within NMIs come behind hardware in number,
    /// and are.
    fn silent(&self) -> Agents {
        agents(Agent::hardware(0), Agent::nested_nmi(0).0)
    }

    fn served_by(&self, agent: u8) -> Agents {
        1 << Agent::hardware(Agent(agent).cpu()).0
    }

    fn state_bytes(&self, state: &State) -> usize {
        state.bytes()
    }
}

/// Converts the end of a run of code that sets no [cut-off](machine::Cutoff).
///
/// # Panics
///
/// If code was cut off.
pub fn stop(halt: Halt) -> Stop<Bad, Gap> {
    match halt {
        Halt::Bad(bad) => Stop::Violation(bad),
        Halt::Gap(gap) => Stop::Unmodelled(gap),
        Halt::Discarded => Stop::Discarded,
        Halt::CutOff { .. } => unreachable!("nothing asks to cut anything off"),
    }
}

/// Appends the choices that `machine` has in `state`, in a fixed order.
pub fn choices(machine: &Machine, state: &State, out: &mut Vec<Choice>) {
    machine.choices(state, |agent, pick| out.push(Choice { agent: agent.0, pick }));
}

/// Returns whether `choice` is an NMI that nobody has sent.
pub fn is_optional(choice: Choice) -> bool {
    Machine::is_optional(Agent(choice.agent), choice.pick)
}

/// The agents from `first` to before number `end`.
fn agents(first: Agent, end: u8) -> Agents {
    (first.0..end).fold(0, |mask, agent| mask | 1 << agent)
}

/// The numbers by which the search knows the machine's words.
pub trait Numbering: Default {
    /// Returns the number of `word`, the same each time.
    fn number(&self, word: Word) -> u32;
}

/// The machine's own numbers.
#[derive(Default)]
pub struct OwnNumbers;

impl Numbering for OwnNumbers {
    #[inline]
    fn number(&self, word: Word) -> u32 {
        word.0
    }
}

/// Numbers in the order in which words are met: for programs of a few words, since the search has tables
/// by number and makes them anew in every round.
#[derive(Default)]
pub struct DenseNumbers(RefCell<HashMap<Word, u32>>);

impl Numbering for DenseNumbers {
    fn number(&self, word: Word) -> u32 {
        let mut known = self.0.borrow_mut();
        let next = u32::try_from(known.len()).expect("fewer words than numbers");
        *known.entry(word).or_insert(next)
    }
}

/// The search's record of shared words and accesses, as the machine sees it.
pub struct Recorder<'a, N: Numbering> {
    words: &'a mut Words,
    numbering: &'a N,
}

impl<'a> Recorder<'a, OwnNumbers> {
    /// Makes a recorder for a run outside a search, under the machine's own numbers.
    pub fn new(words: &'a mut Words) -> Self {
        Recorder { words, numbering: &OwnNumbers }
    }
}

impl<N: Numbering> Accesses for Recorder<'_, N> {
    #[inline]
    fn is_shared(&self, word: Word) -> bool {
        self.words.is_shared(self.numbering.number(word))
    }

    #[inline]
    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.words.touch(agent.0, self.numbering.number(word), write);
    }
}

/// Accesses of an invariant, which runs on a copy of the state while everything else stands still: what it
/// writes is thrown away, and what it reads is the observer's.
pub struct InvariantAccesses<'a, A>(pub &'a mut A);

impl<A: Accesses> Accesses for InvariantAccesses<'_, A> {
    fn is_shared(&self, word: Word) -> bool {
        word.is_about_keeping() && self.0.is_shared(word)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        match word.is_about_keeping() {
            true => self.0.touch(agent, word, write),
            // A LOCKed access is told as a write, and reads.
            false => observe(self.0, word),
        }
    }
}

/// Records that an invariant reads `word`.
pub fn observe<A: Accesses>(accesses: &mut A, word: Word) {
    accesses.touch(Agent::OBSERVER, word, false);
    // Only stores to shared words are buffered, and an invariant sees them.
    if let Some(made) = word.made().filter(|_| accesses.is_shared(word)) {
        accesses.touch(Agent::OBSERVER, made, false);
    }
}

/// Accesses of a final check, which runs when nothing else moves: they conflict with nothing. Only which
/// dead bytes of stacks must be kept is learnt from it as from others.
pub struct FinalCheckAccesses<'a, A>(pub &'a mut A);

impl<A: Accesses> Accesses for FinalCheckAccesses<'_, A> {
    fn is_shared(&self, word: Word) -> bool {
        word.is_about_keeping() && self.0.is_shared(word)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        if word.is_about_keeping() {
            self.0.touch(agent, word, write);
        }
    }
}
