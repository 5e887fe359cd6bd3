//! A run told: the choices of a trail carried out once more, with a watcher.

use std::collections::HashSet;

use explore::{Choice, Switches, What, Words};
use machine::{Agent, Bad, GapKind, Halt, State, Violation};
use outcome::{Finding, Place};

use crate::guest::{Guest, Scenario};
use system::{Recorder, System};

use crate::model::{Model, property};
use crate::narrate::Narrator;
use crate::stacks::{place, symbol};
use crate::trail::{ReplayError, Run, who};
use crate::wrong::{References, details, hang, is_about_interrupts, references};

/// A story, and the trail it follows.
pub(crate) struct Told {
    pub(crate) finding: Finding,
    pub(crate) runs: Vec<Run>,
}

/// Runs a trail on the machine and tells what happens.
pub(crate) struct Teller<'a> {
    pub(crate) guest: &'a Guest,
    pub(crate) scenario: &'a Scenario,
    pub(crate) model: &'a mut Model,
    /// The words that are shared.
    pub(crate) words: Words,
    pub(crate) changed: &'static str,
    /// The trail claims that from its last state no run ends.
    pub(crate) livelock: bool,
}

/// A run on its way.
struct Course<'a> {
    narrator: Narrator<'a>,
    /// The words that are shared, with what the machine asks about them.
    words: Words,
    runs: Vec<Run>,
    switches: Switches,
}

/// States after which a livelock of a trail is not confirmed.
const LIVELOCK_STATES: usize = 1 << 16;

impl Teller<'_> {
    /// Tells whether from `state` no end is reached, nor a violation or anything else that ends a run.
    fn never_ends(&mut self, state: &State, words: &mut Words) -> bool {
        let mut seen = HashSet::from([state.fingerprint()]);
        let mut open = vec![state.clone()];
        while let Some(state) = open.pop() {
            let possible = self.required(&state);
            if possible.is_empty() || seen.len() > LIVELOCK_STATES {
                return false;
            }
            for choice in possible {
                let mut next = state.clone();
                let (agent, accesses) = (Agent(choice.agent), &mut Recorder::new(words));
                if self
                    .model
                    .machine
                    .step(&mut next, agent, choice.pick, accesses, &mut ())
                    .is_err()
                {
                    return false;
                }
                if seen.insert(next.fingerprint()) {
                    open.push(next);
                }
            }
        }
        true
    }

    /// `known` is what the search says of the last state; a violation that shows by itself needs none.
    pub(crate) fn tell(
        &mut self,
        choices: &[Choice],
        known: Option<&What<Bad>>,
    ) -> Result<Told, ReplayError> {
        let mut course = Course {
            narrator: Narrator::new(self.guest, &self.scenario.name),
            words: self.words.clone(),
            runs: Vec::new(),
            switches: Switches::default(),
        };
        let started = self.model.start(&mut Recorder::new(&mut course.words), &mut course.narrator);
        let mut state = match started {
            Ok(state) => state,
            Err(halt) => return self.ended_at(halt, None, choices, 0, course),
        };
        if let Err(halt) = self.judge_state(&state, &mut course) {
            return self.ended_at(halt, Some(&state), choices, 0, course);
        }
        for (number, choice) in choices.iter().enumerate() {
            let possible = self.possible(&state);
            if !possible.contains(choice) {
                return Err(self.does_not_fit(number + 1, *choice, &possible));
            }
            course.switches.step(&System::new(self.model), &state, &possible, *choice);
            course.narrator.step = u32::try_from(number + 1).unwrap_or(u32::MAX);
            let result = self.model.machine.step(
                &mut state,
                Agent(choice.agent),
                choice.pick,
                &mut Recorder::new(&mut course.words),
                &mut course.narrator,
            );
            let rip = state.cpu(Agent(choice.agent).cpu()).rip();
            // A CPU that has ended is at 0, which is nowhere.
            let at = if rip == 0 { String::new() } else { symbol(&self.guest.image, rip) };
            note_run(&mut course.runs, *choice, at);
            let result = result.and_then(|()| self.judge_state(&state, &mut course));
            if let Err(halt) = result {
                return self.ended_at(halt, Some(&state), choices, number + 1, course);
            }
        }
        let stuck = self.required(&state).is_empty() && !self.model.is_end(&state);
        let hang = match known {
            Some(hang @ (What::Deadlock | What::Livelock)) => hang.clone(),
            _ if stuck => What::Deadlock,
            None if self.livelock && self.never_ends(&state, &mut course.words) => What::Livelock,
            _ => return Err(ReplayError::Clean(self.changed)),
        };
        Ok(self.stuck(&hang, &state, course))
    }

    fn judge_state(&mut self, state: &State, course: &mut Course<'_>) -> Result<(), Halt> {
        let Course { narrator, words, .. } = course;
        narrator.listening = false;
        let result = self.model.judge_state(state, &mut Recorder::new(words), narrator);
        narrator.listening = true;
        result
    }

    fn possible(&self, state: &State) -> Vec<Choice> {
        let mut possible = Vec::new();
        system::choices(&self.model.machine, state, &mut possible);
        possible
    }

    /// The ways to go on that are not optional.
    fn required(&self, state: &State) -> Vec<Choice> {
        let mut possible = self.possible(state);
        possible.retain(|choice| !system::is_optional(*choice));
        possible
    }

    fn does_not_fit(&self, step: usize, choice: Choice, possible: &[Choice]) -> ReplayError {
        let say = |choice: &Choice| match choice.pick {
            0 => who(choice.agent),
            pick => format!("{} pick {pick}", who(choice.agent)),
        };
        let possible: Vec<String> = possible.iter().map(say).collect();
        ReplayError::Choice {
            step,
            wanted: say(&choice),
            possible: if possible.is_empty() { "nothing".into() } else { possible.join(", ") },
            changed: self.changed,
        }
    }

    /// The run ends at `step`: with the violation, or too early.
    fn ended_at(
        &mut self,
        halt: Halt,
        state: Option<&State>,
        choices: &[Choice],
        step: usize,
        mut course: Course<'_>,
    ) -> Result<Told, ReplayError> {
        let early = |why: String| {
            let (steps, changed) = (choices.len(), self.changed);
            Err(ReplayError::Ends { step, steps, why, changed })
        };
        let bad = match halt {
            Halt::Bad(bad) => bad,
            Halt::Gap(gap) => {
                return early(match gap.what {
                    GapKind::NotModelled(what) => format!("not modelled: {what}"),
                    GapKind::Misuse(misuse) => format!("{} {}", misuse.call.symbol(), misuse.what),
                });
            }
            Halt::Discarded => return early("`assume` does not hold".into()),
            Halt::CutOff { .. } => return early("it is cut off".into()),
        };
        if step != choices.len() {
            return early("a property is violated before the trail's end".into());
        }
        let narrator = &mut course.narrator;
        let mut story = narrator.story(self.model, state, is_about_interrupts(&bad));
        let References { since, write } = references(&bad, narrator, &story);
        let observed = bad.agent == Agent::OBSERVER;
        let shown =
            if observed { choices.last().map_or(bad.agent, |c| Agent(c.agent)) } else { bad.agent };
        let rip = if observed {
            state.map_or(bad.rip, |state| state.cpu(shown.cpu()).rip())
        } else {
            bad.rip
        };
        story.events.push(narrator.violation(shown, rip));
        let finding = Finding {
            property: bad.what.property().into(),
            details: details(self.guest, &self.model.machine, &bad),
            since,
            write,
            cpu: (!observed).then_some(bad.agent.cpu()),
            place: self.place(&bad, narrator),
            switches: course.switches.count(),
            steps: u32::try_from(step).unwrap_or(u32::MAX),
            shortest: false,
            events: story.events,
            folded: story.folded,
        };
        Ok(Told { finding, runs: course.runs })
    }

    /// Finds the place of a violation. A check says its place itself, as far as it knows it.
    fn place(&self, bad: &Bad, narrator: &Narrator<'_>) -> Option<Place> {
        let observed = bad.agent == Agent::OBSERVER;
        let at = match &bad.what {
            _ if !observed => narrator.stacks.place(&self.guest.image, bad.agent, bad.rip),
            Violation::Failure(_) => None,
            _ => Some(place(&self.guest.image, bad.rip)),
        };
        match &bad.what {
            Violation::Failure(failure) if !failure.file.is_empty() => Some(Place {
                symbol: at.map_or_else(|| format!("check of {}", failure.property), |at| at.symbol),
                file: Some(failure.file.clone()),
                line: u32::try_from(failure.line).ok(),
            }),
            _ => at,
        }
    }

    /// Deadlock and livelock: what every CPU waits for.
    fn stuck(&self, what: &What<Bad>, state: &State, mut course: Course<'_>) -> Told {
        let narrator = &mut course.narrator;
        let mut story = narrator.story(self.model, Some(state), false);
        let (details, shown) = hang(self.guest, what, state, narrator);
        if let Some(agent) = shown {
            story.events.push(narrator.violation(agent, state.cpu(agent.cpu()).rip()));
        }
        let finding = Finding {
            property: property(what).into(),
            details,
            since: None,
            write: None,
            cpu: None,
            place: None,
            switches: course.switches.count(),
            steps: narrator.step,
            shortest: false,
            events: story.events,
            folded: story.folded,
        };
        Told { finding, runs: course.runs }
    }
}

fn note_run(runs: &mut Vec<Run>, choice: Choice, at: String) {
    match runs.last_mut() {
        Some(run) if run.choice == choice && choice.pick == 0 => {
            run.count += 1;
            run.at = at;
        }
        _ => runs.push(Run { count: 1, choice, at }),
    }
}
