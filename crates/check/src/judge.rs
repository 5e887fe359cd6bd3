//! From what the search found to a verdict, and from a trail back to its story.

use std::collections::HashSet;
use std::time::Instant;

use explore::{Choice, Found, Switches, What, Why, Words};
use machine::{Agent, Bad, Halt, State, Violation};
use outcome::{Bounds, Finding, Mark, Outcome, Reason, Stats, Verdict};

use crate::guest::{Guest, Scenario};
use crate::model::{Budget, Marks, Model, Obstacle, Recorder, bad_property, property};
use crate::names::Names;
use crate::narrate::{Narrator, fault_name};
use crate::stacks::{place, symbol};
use crate::trail::{ReplayError, Run, Trail, who};
use crate::{Checked, Limits};

/// The verdict on a finished search.
pub(crate) fn judge(
    guest: &Guest,
    scenario: &Scenario,
    limits: &Limits,
    mut model: Model,
    found: &Found<Bad, Obstacle>,
    start: Instant,
) -> Checked {
    // What was found is told to its end, though the time may be used up.
    model.set_budget(Budget::default());
    let Marks { reached, warnings, bounds: met } = std::mem::take(&mut model.marks);
    let mut outcome = blank(guest, scenario);
    outcome.stats = stats(&model, found, start);
    outcome.marks = marks(scenario, &reached);
    outcome.warnings = warnings
        .iter()
        .map(|(rip, text)| format!("{}: {text}", symbol(&guest.image, *rip)))
        .collect();
    let (instructions, mut trail) = (model.machine.instructions(), None);
    match &found.verdict {
        explore::Verdict::Pass => {
            outcome.cpus = cpus(&model);
            no_violation(&mut outcome, scenario, found.stats.ends);
        }
        explore::Verdict::Undecided { why, complete_switches, complete_livelocks } => {
            let apart = complete_livelocks != complete_switches;
            outcome.verdict = Verdict::Undecided;
            outcome.stats.switches = *complete_switches;
            outcome.stats.livelocks_apart = apart;
            outcome.reason = Some(undecided(guest, why, *complete_switches, apart));
        }
        explore::Verdict::Violated { what, trail: choices, switches, shortest } => {
            let mut teller = Teller {
                guest,
                scenario,
                model: &mut model,
                words: words(limits, &found.shared),
                changed: "",
                livelock: false,
            };
            match teller.tell(choices, Some(what)) {
                Ok(told) => {
                    // A run that was cut off might have been simpler.
                    let shortest = *shortest && !model.cut_off;
                    let finding = Finding { switches: *switches, shortest, ..told.finding };
                    outcome.stats.switches = Some(*switches);
                    outcome.verdict = verdict_of(scenario, &finding.property);
                    trail = Some(Trail::new(
                        &scenario.name,
                        guest.image_id(),
                        &finding.property,
                        limits.config,
                        found.shared.clone(),
                        told.runs,
                    ));
                    outcome.finding = Some(finding);
                }
                Err(error) => {
                    outcome.verdict = Verdict::Undecided;
                    outcome.reason = Some(reason(format!(
                        "a violation was found, but its trail does not replay ({error}); this is a defect of lamprey"
                    )));
                }
            }
        }
    }
    outcome.stats.instructions = instructions;
    outcome.cpus = cpus(&model);
    outcome.bounds = bounds(guest, &model);
    outcome.bounds.others.extend(met);
    Checked { outcome, trail }
}

/// What a CPU's caches may keep, with the step from which on they may; or where its CR3 leads, with the
/// step that wrote it.
fn since(found: String, events: &[outcome::Event]) -> String {
    let when = events.iter().rev().find_map(|event| match &event.what {
        outcome::What::Hardware { text } if found == format!("CPU{} {text}", event.cpu) => {
            Some(format!(" since {}", moment(event)))
        }
        outcome::What::WriteRegister { register, .. }
            if register == "CR3" && found.starts_with(&format!("CPU{}'s CR3 ", event.cpu)) =>
        {
            Some(match event.step {
                0 => "; CR3 was written before the first step".into(),
                step => format!("; CR3 was written in step {step}"),
            })
        }
        outcome::What::Note { text } if found == *text => {
            let place = event.stack.last().map(at).unwrap_or_default();
            Some(format!(" since {}: CPU{}{place}", moment(event), event.cpu))
        }
        outcome::What::Interrupts { on: false }
            if found == format!("CPU{}'s interrupts are off", event.cpu) =>
        {
            let place = event.stack.last().map(at).unwrap_or_default();
            Some(format!(" since {}{place}", moment(event)))
        }
        _ => None,
    });
    // A frame that no step has freed was freed in set-up.
    let when = when.or_else(|| found.ends_with(" is free").then(|| " since set-up".into()));
    found + &when.unwrap_or_default()
}

fn moment(event: &outcome::Event) -> String {
    match event.step {
        0 => "before the first step".into(),
        step => format!("step {step}"),
    }
}

/// The words that were shared in a search which found these to be.
fn words(limits: &Limits, shared: &[u32]) -> Words {
    // Those that were touched are not all that the machine has asked about.
    if limits.every_access { Words::all() } else { Words::fixed(shared) }
}

fn is_about_interrupts(bad: &Bad) -> bool {
    matches!(&bad.what, Violation::Failure(f) if f.property == "ends-with-interrupts-off")
}

/// Where a frame of a stack is, in words.
fn at(frame: &outcome::Frame) -> String {
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" in {} ({file}:{line})", frame.function),
        _ => format!(" in {}", frame.function),
    }
}

fn no_violation(outcome: &mut Outcome, scenario: &Scenario, ends: u64) {
    let unreached: Vec<&str> =
        outcome.marks.iter().filter(|mark| !mark.reached).map(|mark| mark.name.as_str()).collect();
    let undecided = if outcome.cpus == 0 {
        Some("no CPU does anything: the set-up calls `lamprey::cpu` for none".to_owned())
    } else if ends == 0 {
        Some("every run was discarded by `assume`: nothing was checked".to_owned())
    } else if outcome.marks.is_empty() {
        Some("no mark was reached: nothing shows that the scenario did what it is about; add `lamprey::mark!(\"…\")`".to_owned())
    } else if !unreached.is_empty() {
        Some(format!("marks that no run reached: {}", unreached.join(", ")))
    } else {
        None
    };
    if scenario.finds.is_some() {
        outcome.verdict = Verdict::Lost;
        outcome.reason = Some(reason("no run within the bounds violates anything".into()));
    } else if let Some(sentence) = undecided {
        outcome.verdict = Verdict::Undecided;
        outcome.reason = Some(reason(sentence));
    } else {
        outcome.verdict = Verdict::Pass;
    }
}

fn verdict_of(scenario: &Scenario, property: &str) -> Verdict {
    match &scenario.finds {
        Some(declared) if declared == property => Verdict::Found,
        Some(_) => Verdict::Lost,
        None => Verdict::Fail,
    }
}

fn undecided(guest: &Guest, why: &Why<Obstacle>, complete: Option<u32>, apart: bool) -> Reason {
    // From one switch on the report says how far the search has come, from its figures.
    let up_to = match complete {
        Some(0) if apart => "; no counterexample without a switch, livelocks apart",
        Some(0) => "; no counterexample without a switch",
        Some(_) => "",
        None => "; not even the runs without a switch were all searched",
    };
    match why {
        Why::Gap(Obstacle::CutOff { part, interrupted, rip }, _) => {
            let why = if *interrupted { "interrupted" } else { "the time is used up" };
            let place = Some(place(&guest.image, *rip));
            Reason { place, ..reason(format!("{why} in {}{up_to}", part.name())) }
        }
        Why::Gap(Obstacle::Gap(gap), _) if gap.scenario => reason(gap.what.clone()),
        Why::Gap(Obstacle::Gap(gap), _) => Reason {
            sentence: format!("stopped at something that is not modelled: {}", gap.what),
            place: Some(place(&guest.image, gap.rip)),
            instruction: gap.instruction.clone(),
            cpu: Some(gap.agent.cpu()),
        },
        Why::States => reason(format!("the budget of states is used up{up_to}")),
        Why::Bytes => reason(format!("the budget of memory is used up{up_to}")),
        Why::Time => reason(format!("the time is used up{up_to}")),
        Why::Interrupted => reason(format!("interrupted{up_to}")),
    }
}

fn reason(sentence: String) -> Reason {
    Reason { sentence, place: None, instruction: None, cpu: None }
}

fn blank(guest: &Guest, scenario: &Scenario) -> Outcome {
    Outcome {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        verdict: Verdict::Undecided,
        finds: scenario.finds.clone(),
        cpus: 0,
        bounds: Bounds::default(),
        warnings: Vec::new(),
        stats: Stats::default(),
        marks: Vec::new(),
        finding: None,
        reason: None,
        image: guest.image_id().clone(),
    }
}

/// The outcome where the machine could not even be made.
pub(crate) fn cannot_start(guest: &Guest, scenario: &Scenario, why: String) -> Checked {
    let outcome = Outcome { reason: Some(reason(why)), ..blank(guest, scenario) };
    Checked { outcome, trail: None }
}

fn cpus(model: &Model) -> u8 {
    // One without a closure idles, and takes interrupts, if one with a higher number has one.
    let last = model.machine.registered().cpus.iter().rposition(Option::is_some);
    last.map_or(0, |last| u8::try_from(last + 1).expect("at most 8"))
}

/// What a verdict on this model holds for.
fn bounds(guest: &Guest, model: &Model) -> Bounds {
    let registered = model.machine.registered();
    let nmi_budget = registered.nmi.map(|nmi| nmi.budget);
    let bounds = crate::bounds(model.machine.config(), registered.page_tables, nmi_budget);
    Bounds { built_for: guest.built_for(), ..bounds }
}

fn stats(model: &Model, found: &Found<Bad, Obstacle>, start: Instant) -> Stats {
    let s = &found.stats;
    // Figures for people: exact below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let bytes_per_state = s.graph_bytes as f64 / s.states.max(1) as f64;
    Stats {
        states: s.states,
        transitions: s.transitions,
        transitions_all: s.transitions_all,
        instructions: model.machine.instructions(),
        depth: s.depth,
        switches: Some(s.switches),
        rounds: s.rounds,
        shared_words: u32::try_from(s.shared_words).unwrap_or(u32::MAX),
        seconds: start.elapsed().as_secs_f64(),
        peak_bytes: s.peak_bytes,
        bytes_per_state,
        livelocks_apart: false,
    }
}

fn marks(scenario: &Scenario, reached: &std::collections::BTreeSet<String>) -> Vec<Mark> {
    let mut marks: Vec<Mark> = scenario
        .marks
        .iter()
        .map(|name| Mark { name: name.clone(), reached: reached.contains(name) })
        .collect();
    let undeclared = reached.iter().filter(|name| !scenario.marks.contains(name));
    marks.extend(undeclared.map(|name| Mark { name: name.clone(), reached: true }));
    marks
}

/// Runs a trail again and tells the same story.
///
/// # Errors
///
/// The trail does not fit: says at which step and why.
pub fn replay(guest: &Guest, trail: &Trail) -> Result<Outcome, ReplayError> {
    let start = Instant::now();
    let scenario = guest
        .scenarios()
        .iter()
        .find(|scenario| scenario.name == trail.scenario())
        .ok_or_else(|| ReplayError::NoScenario(trail.scenario().into()))?;
    let changed = if guest.image_id().id == trail.image_id().id {
        ""
    } else {
        " (the image has changed since the trail was written)"
    };
    let mut model = Model::new(guest, scenario, trail.config()).map_err(ReplayError::Start)?;
    let words = model.machine.words();
    if let Some(&word) = trail.shared.iter().find(|word| **word >= words) {
        return Err(ReplayError::Word { word, words, changed });
    }
    let choices = trail.choices();
    let told = Teller {
        guest,
        scenario,
        model: &mut model,
        words: Words::fixed(&trail.shared),
        changed,
        livelock: trail.property() == "livelock",
    }
    .tell(&choices, None)?;
    let mut outcome = blank(guest, scenario);
    outcome.verdict = verdict_of(scenario, &told.finding.property);
    outcome.cpus = cpus(&model);
    outcome.bounds = bounds(guest, &model);
    outcome.stats.switches = Some(told.finding.switches);
    outcome.stats.depth = told.finding.steps;
    outcome.stats.transitions = u64::from(told.finding.steps);
    outcome.stats.instructions = model.machine.instructions();
    outcome.stats.seconds = start.elapsed().as_secs_f64();
    outcome.finding = Some(told.finding);
    Ok(outcome)
}

/// A story, and the trail it follows.
struct Told {
    finding: Finding,
    runs: Vec<Run>,
}

/// Runs a trail on the machine and tells what happens.
struct Teller<'a> {
    guest: &'a Guest,
    scenario: &'a Scenario,
    model: &'a mut Model,
    /// Which are shared.
    words: Words,
    changed: &'static str,
    /// The trail claims that from its last state no run ends.
    livelock: bool,
}

/// States after which a livelock of a trail is not confirmed.
const LIVELOCK_STATES: usize = 1 << 16;

impl Teller<'_> {
    /// Whether from `state` no end is reached, nor a violation or anything else that ends a run.
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
                let (agent, accesses) = (Agent(choice.agent), &mut Recorder(words));
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
    fn tell(&mut self, choices: &[Choice], known: Option<&What<Bad>>) -> Result<Told, ReplayError> {
        let mut words = self.words.clone();
        let mut narrator = Narrator::new(self.guest, &self.scenario.name);
        let mut runs: Vec<Run> = Vec::new();
        let mut switches = Switches::default();
        let mut state = match self.model.start(&mut Recorder(&mut words), &mut narrator) {
            Ok(state) => state,
            Err(halt) => return self.ended_at(halt, None, choices, 0, &mut narrator, runs, 0),
        };
        if let Err(halt) = self.judge_state(&state, &mut words, &mut narrator) {
            return self.ended_at(halt, Some(&state), choices, 0, &mut narrator, runs, 0);
        }
        for (number, choice) in choices.iter().enumerate() {
            let possible = self.possible(&state);
            if !possible.contains(choice) {
                return Err(self.does_not_fit(number + 1, *choice, &possible));
            }
            switches.step(&*self.model, &state, &possible, *choice);
            narrator.step = u32::try_from(number + 1).unwrap_or(u32::MAX);
            let result = self.model.machine.step(
                &mut state,
                Agent(choice.agent),
                choice.pick,
                &mut Recorder(&mut words),
                &mut narrator,
            );
            let rip = state.cpu(Agent(choice.agent).cpu()).rip();
            // A CPU that has ended is at 0, which is nowhere.
            let at = if rip == 0 { String::new() } else { symbol(&self.guest.image, rip) };
            note_run(&mut runs, *choice, at);
            let result = result.and_then(|()| self.judge_state(&state, &mut words, &mut narrator));
            if let Err(halt) = result {
                return self.ended_at(
                    halt,
                    Some(&state),
                    choices,
                    number + 1,
                    &mut narrator,
                    runs,
                    switches.count(),
                );
            }
        }
        let stuck = self.required(&state).is_empty() && !self.model.is_end(&state);
        let hang = match known {
            Some(hang @ (What::Deadlock | What::Livelock)) => hang.clone(),
            _ if stuck => What::Deadlock,
            None if self.livelock && self.never_ends(&state, &mut words) => What::Livelock,
            _ => return Err(ReplayError::Clean(self.changed)),
        };
        Ok(self.stuck(property(&hang), &state, &mut narrator, runs, switches.count()))
    }

    fn judge_state(
        &mut self,
        state: &State,
        words: &mut Words,
        narrator: &mut Narrator<'_>,
    ) -> Result<(), Halt> {
        narrator.listening = false;
        let result = self.model.judge_state(state, &mut Recorder(words), narrator);
        narrator.listening = true;
        result
    }

    fn possible(&self, state: &State) -> Vec<Choice> {
        let mut possible = Vec::new();
        explore::Model::choices(&*self.model, state, &mut possible);
        possible
    }

    /// The ways to go on that are not optional.
    fn required(&self, state: &State) -> Vec<Choice> {
        let mut possible = self.possible(state);
        possible.retain(|choice| !explore::Model::optional(&*self.model, state, *choice));
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
    #[allow(clippy::too_many_arguments)]
    fn ended_at(
        &mut self,
        halt: Halt,
        state: Option<&State>,
        choices: &[Choice],
        step: usize,
        narrator: &mut Narrator<'_>,
        runs: Vec<Run>,
        switches: u32,
    ) -> Result<Told, ReplayError> {
        let early =
            |why: String, changed| ReplayError::Ends { step, steps: choices.len(), why, changed };
        let bad = match halt {
            Halt::Bad(bad) => bad,
            Halt::Gap(gap) => {
                return Err(early(format!("not modelled: {}", gap.what), self.changed));
            }
            Halt::Discarded => return Err(early("`assume` does not hold".into(), self.changed)),
            Halt::CutOff { .. } => return Err(early("it is cut off".into(), self.changed)),
        };
        if step != choices.len() {
            return Err(early(
                "a property is violated before the trail's end".into(),
                self.changed,
            ));
        }
        let (mut events, folded) = narrator.events(self.model, state, is_about_interrupts(&bad));
        let observed = bad.agent == Agent::OBSERVER;
        let shown =
            if observed { choices.last().map_or(bad.agent, |c| Agent(c.agent)) } else { bad.agent };
        let rip = if observed {
            state.map_or(bad.rip, |state| state.cpu(shown.cpu()).rip())
        } else {
            bad.rip
        };
        events.push(narrator.violation(shown, rip));
        let place = match &bad.what {
            _ if !observed => narrator.stacks.place(&self.guest.image, bad.agent, bad.rip),
            // It says its place itself.
            Violation::Failure(_) => None,
            Violation::Fault(_) | Violation::Endless => Some(place(&self.guest.image, bad.rip)),
        };
        let mut finding = Finding {
            property: bad_property(&bad).into(),
            sentence: String::new(),
            expected: None,
            found: None,
            cpu: (!observed).then_some(bad.agent.cpu()),
            place,
            switches,
            steps: u32::try_from(step).unwrap_or(u32::MAX),
            shortest: false,
            events,
            folded,
        };
        self.describe(&bad, &mut finding);
        Ok(Told { finding, runs })
    }

    fn describe(&self, bad: &Bad, finding: &mut Finding) {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        match &bad.what {
            Violation::Failure(failure) => {
                finding.sentence.clone_from(&failure.sentence);
                finding.expected = some(&failure.expected);
                finding.found = some(&failure.found).map(|found| since(found, &finding.events));
                if !failure.file.is_empty() {
                    let symbol = finding.place.take().map(|place| place.symbol);
                    finding.place = Some(outcome::Place {
                        symbol: symbol.unwrap_or_else(|| symbol_of_check(failure)),
                        file: Some(failure.file.clone()),
                        line: u32::try_from(failure.line).ok(),
                    });
                }
            }
            Violation::Fault(fault) => {
                let at = if fault.vector == 14 {
                    let names = Names::new(&self.guest.image, &self.model.machine);
                    format!(" at {}", names.object(fault.va))
                } else {
                    String::new()
                };
                let name = fault_name(fault.vector);
                finding.sentence = format!("the kernel takes {name}{at}, and nothing handles it");
                finding.found = self.model.machine.disassembly(bad.rip);
                if fault.vector == machine::Fault::UD.vector
                    && let Some(set) = self.model.machine.lacking(bad.rip)
                {
                    finding.expected = Some(format!("a test of CPUID, which enumerates no {set}"));
                }
            }
            Violation::Endless => {
                finding.sentence = "set-up, an invariant or a final check does not end".into();
            }
        }
    }

    /// Deadlock and livelock: what every CPU waits for.
    fn stuck(
        &self,
        property: &str,
        state: &State,
        narrator: &mut Narrator<'_>,
        runs: Vec<Run>,
        switches: u32,
    ) -> Told {
        let (mut events, folded) = narrator.events(self.model, Some(state), false);
        let mut waiting = Vec::new();
        let mut shown = None;
        for cpu in 0..state.cpu_count() {
            let agent = state.cpu(cpu).level(cpu);
            let doing = match state.cpu(cpu).activity() {
                machine::Activity::Ended if agent == Agent::thread(cpu) => continue,
                machine::Activity::Halted => "halted at",
                _ => "at",
            };
            shown.get_or_insert(agent);
            // A halted CPU stands behind its HLT, which is one byte long (SDM vol. 2).
            let behind = u64::from(doing == "halted at" && agent == Agent::thread(cpu));
            let rip = state.cpu(cpu).rip().wrapping_sub(behind);
            let place = narrator.stacks.place(&self.guest.image, agent, rip);
            let position = place.map_or_else(|| "?".into(), |place| position(&place));
            waiting.push(format!("CPU{cpu} {doing} {position}"));
        }
        if let Some(agent) = shown {
            events.push(narrator.violation(agent, state.cpu(agent.cpu()).rip()));
        }
        let sentence = match property {
            "deadlock" => "no CPU can go on",
            _ => "from here no run ends: the CPUs go round for ever",
        };
        let finding = Finding {
            property: property.into(),
            sentence: sentence.into(),
            expected: None,
            found: Some(waiting.join("; ")),
            cpu: None,
            place: None,
            switches,
            steps: narrator.step,
            shortest: false,
            events,
            folded,
        };
        Told { finding, runs }
    }
}

/// `symbol+0x1a (main.rs:33)`.
fn position(place: &outcome::Place) -> String {
    let file = place.file.as_deref().and_then(|file| file.rsplit('/').next());
    match (file, place.line) {
        (Some(file), Some(line)) => format!("{} ({file}:{line})", place.symbol),
        _ => place.symbol.clone(),
    }
}

fn symbol_of_check(failure: &machine::Failure) -> String {
    format!("check of {}", failure.property)
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
