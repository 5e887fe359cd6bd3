//! Rounds of search until nothing new is learnt.

use std::ops::ControlFlow;

use crate::knowledge::Knowledge;
use crate::queue::At;
use crate::round::{Ending, Round, Scope, Session};
use crate::turn::Switches;
use crate::{Choice, Found, Model, Options, Progress, Stats, Verdict, What, Why, Words};

/// Searches every run of `model`, those with the fewest context switches first.
///
/// # Scheduling points are found, not declared
///
/// The search knows *K*: which words are shared (two agents touch them, one
/// writes), and for each program point of an agent what it may still touch. It
/// starts from nothing. A round searches with *K* frozen and records all that
/// is touched; if anything recorded is not in *K*, it is added and another
/// round starts from the beginning. There are finitely many words and points
/// in a finite model, so some round stays within *K*, and that one decides.
///
/// Why nothing is missed, by induction over a shortest run that leaves *K*:
///
/// 1. Let *r* be a run, with every access a step of its own, in which all
///    accesses but the last are within *K*. The accesses of *r* to words not
///    shared in *K* conflict with no access of another agent in *r* (otherwise the
///    word would be shared in *K*), so they commute with those (Lipton,
///    *Reduction*, CACM 1975) and can be moved to the left, up to the visible
///    operation of their agent before them. What comes out is a run of steps as
///    the model takes them: a visible operation and all that is private after it.
/// 2. What an agent does next depends on its local state alone. In the reordered
///    run each agent has the same local state as in *r*, so the agent of the last
///    access makes the same access. If it left *K*, a run that the round
///    explores leaves *K*, as the round records every access it makes, those in
///    the private part included; and the round would not have been the last.
/// 3. So in the last round no run leaves *K*, and every run is equivalent to one
///    explored: the same violations, the same deadlocks and ends, and no more
///    context switches, since moving accesses together only removes some.
///
/// A run that leaves *K* need not be one of the system: a model may let a store to
/// a word that is not shared overtake others, for who could tell? So what
/// an earlier round finds counts only if the bad run itself stays within the *K* of its
/// round; otherwise a later round has to find it.
///
/// With reduction, not all of these reorderings are explored, but at least one
/// of each class: the crate's module `reduce` argues that, relative to the same *K*.
///
/// # Simplest first
///
/// Without reduction the violation found has the fewest switches and then the
/// fewest steps. With it, a second search without reduction, no further than
/// the trail found, looks for that run ([`Options::shorten_states`]).
pub fn search<M: Model>(
    model: &mut M,
    options: &Options,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Found<M::Bad, M::Gap> {
    let mut words = if options.every_access { Words::all() } else { Words::new() };
    words.add_recurrent(model.recurrent());
    let session = Session {
        model,
        words,
        knowledge: Knowledge::default(),
        options,
        progress,
        told: Progress::default(),
        peak_bytes: 0,
    };
    Search { session, stats: Stats::default(), fallback: None }.run()
}

/// A search under way.
struct Search<'a, M: Model> {
    session: Session<'a, M>,
    stats: Stats,
    /// The simplest violation of the rounds that were not final, in a run within what was known.
    fallback: Option<Violation<M::Bad>>,
}

/// A bad run.
struct Violation<B> {
    what: What<B>,
    trail: Vec<Choice>,
    at: At,
    shared: Vec<u32>,
}

/// What a search in rounds comes to, and the shared words of its trail.
type Outcome<M> = (Verdict<<M as Model>::Bad, <M as Model>::Gap>, Vec<u32>);

impl<M: Model> Search<'_, M> {
    fn run(mut self) -> Found<M::Bad, M::Gap> {
        let (verdict, shared) = loop {
            if let Some(outcome) = self.round() {
                break outcome;
            }
        };
        self.stats.transitions_all = self.session.told.transitions_all;
        self.stats.peak_bytes = self.session.peak_bytes;
        Found { verdict, stats: self.stats, shared }
    }

    /// One round; nothing if another is due.
    fn round(&mut self) -> Option<Outcome<M>> {
        let Session { model, words, knowledge, told, options, .. } = &mut self.session;
        model.round_begins();
        words.freeze();
        knowledge.freeze(words);
        told.round += 1;
        let (rounds, states) = (told.round, options.states);
        let shared = words.shared();
        told.shared_words = shared.len() as u64;
        let scope = Scope { reduction: options.reduction, bound: None, states };
        let mut round = Round::new(&mut self.session, scope);
        let ending = round.run();
        let exceeded = round.exceeded();
        let complete = round.complete_switches(matches!(ending, Ending::Exhausted));
        let livelocks = round.complete_livelocks(complete);
        let undecided = |why| {
            let complete_livelocks = livelocks;
            Verdict::Undecided { why, complete_switches: complete, complete_livelocks }
        };
        let (gap, stats) = (round.gap.take(), std::mem::take(&mut round.stats));
        // Where every word counts as shared, the round has just found them.
        let shared = if self.session.words.is_all() { self.session.words.shared() } else { shared };
        self.stats = Stats { rounds, shared_words: shared.len() as u64, ..stats };
        match ending {
            Ending::Excess => None,
            // A bad run within what was known is a run of the system, whatever later rounds say. Finding
            // it again is a later round's to do; should it fail to, this is still no pass.
            Ending::Exhausted => Some(match (self.fallback.take(), gap) {
                (Some(violation), _) => violation.verdict(false),
                (None, None) => (Verdict::Pass, shared),
                (None, Some((gap, trail, _))) => (undecided(Why::Gap(gap, trail)), shared),
            }),
            Ending::Violated(what, trail) => {
                let at = self.place(&trail, &shared);
                // Beside a run of a wanted kind only simpler ones are of interest, beside another all that
                // have as few switches.
                let bound = match self.session.model.is_wanted(&what) {
                    true => at.until(&what),
                    false => At { depth: u32::MAX, ..at },
                };
                self.violated(
                    Violation { what, trail, at, shared },
                    Some(bound),
                    (exceeded, gap.is_none()),
                )
            }
            // To say that a state is trapped, all that follows it is needed.
            Ending::Trapped(trail) => {
                let at = self.place(&trail, &shared);
                let found = Violation { what: What::Livelock, trail, at, shared };
                self.violated(found, None, (exceeded, gap.is_none()))
            }
            // With more knowledge a round may do with less.
            Ending::Spent(Why::States | Why::Bytes) if exceeded => None,
            Ending::Spent(why) => Some(match (self.fallback.take(), gap) {
                (Some(violation), _) => violation.verdict(false),
                (None, Some((gap, trail, _))) => (undecided(Why::Gap(gap, trail)), shared),
                (None, None) => (undecided(why), shared),
            }),
        }
    }

    /// What a violation found in a round comes to; nothing if another round is due. The simplest one
    /// is shown no later than at `bound`. It is known to be the simplest if a `whole` round was searched up to
    /// there: what comes after a gap might be simpler.
    fn violated(
        &mut self,
        found: Violation<M::Bad>,
        bound: Option<At>,
        (exceeded, whole): (bool, bool),
    ) -> Option<Outcome<M>> {
        if exceeded {
            self.fall_back(found);
            return None;
        }
        if !self.session.options.reduction {
            return Some(found.verdict(whole));
        }
        let scope = Scope {
            reduction: false,
            bound,
            states: self.session.options.shorten_states.min(self.session.options.states),
        };
        self.session.told.shortening = true;
        let mut round = Round::new(&mut self.session, scope);
        let ending = round.run();
        let (exceeded, whole) = (round.exceeded(), round.gap.is_none());
        self.session.told.shortening = false;
        match ending {
            // What a reduced round left out taught more before it was finished.
            _ if exceeded => {
                self.fall_back(found);
                None
            }
            Ending::Violated(what, trail) => Some(self.retold(what, trail, found.shared, whole)),
            Ending::Trapped(trail) => Some(self.retold(What::Livelock, trail, found.shared, whole)),
            _ => Some(found.verdict(false)),
        }
    }

    fn retold(
        &mut self,
        what: What<M::Bad>,
        trail: Vec<Choice>,
        shared: Vec<u32>,
        shortest: bool,
    ) -> Outcome<M> {
        let at = self.place(&trail, &shared);
        Violation { what, trail, at, shared }.verdict(shortest)
    }

    /// Remembers a violation for the case that no round is final. That a run goes on for ever is not
    /// told by its trail alone.
    fn fall_back(&mut self, found: Violation<M::Bad>) {
        if found.what != What::Livelock
            && self.within_known(&found.trail, &found.shared)
            && self.fallback.as_ref().is_none_or(|known| found.at < known.at)
        {
            self.fallback = Some(found);
        }
    }

    /// Whether a run with these shared words touches no other word that two agents touch and one writes.
    /// Invariants look at every state, and what they discard is no run.
    /// Where every word counts as shared there is no other; and the words touched so far are not all that
    /// the model may have asked about, so with them alone the trail could be another run, or none.
    fn within_known(&mut self, trail: &[Choice], shared: &[u32]) -> bool {
        if self.session.words.is_all() {
            return true;
        }
        let mut words = Words::known(shared);
        self.follow(trail, &mut words, true, |_, _, _| {});
        !words.has_fresh()
    }

    /// The context switches and the steps of a trail.
    fn place(&mut self, trail: &[Choice], shared: &[u32]) -> At {
        let (mut choices, mut switches) = (Vec::new(), Switches::default());
        let all = self.session.words.is_all();
        let mut words = if all { Words::all() } else { Words::fixed(shared) };
        self.follow(trail, &mut words, false, |model, state, choice| {
            choices.clear();
            model.choices(state, &mut choices);
            switches.step(model, state, &choices, choice);
        });
        At { switches: switches.count(), depth: trail.len() as u32 }
    }

    /// Runs a trail again, with or without invariants; `before` is told of each step.
    fn follow(
        &mut self,
        trail: &[Choice],
        words: &mut Words,
        inspects: bool,
        mut before: impl FnMut(&M, &M::State, Choice),
    ) {
        let model = &mut *self.session.model;
        let Ok(mut state) = model.initial(words) else { return };
        for &choice in trail {
            if inspects && model.inspect(&state, words).is_err() {
                return;
            }
            before(model, &state, choice);
            words.begin_step();
            if model.step(&mut state, choice, words).is_err() {
                return;
            }
        }
        if inspects {
            // Whatever it finds there has been found before.
            let _ = model.inspect(&state, words);
        }
    }
}

impl<B> Violation<B> {
    fn verdict<G>(self, shortest: bool) -> (Verdict<B, G>, Vec<u32>) {
        let Violation { what, trail, at, shared } = self;
        (Verdict::Violated { what, trail, switches: at.switches, shortest }, shared)
    }
}
