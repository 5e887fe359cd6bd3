//! From what a search found to a verdict.

use std::time::Instant;

use explore::Found;
use machine::{Bad, Bound, Config, Fill, GapKind, MemoryModel};
use outcome::{
    Bounds, Budget, Cause, Finding, Mark, Oddity, Outcome, Reason, Stats, UserMemory, Verdict,
    Warning,
};

use crate::guest::{Guest, Scenario};
use crate::limits::Limits;
use crate::model::{Marks, Model, Obstacle};
use crate::stacks::{place, symbol};
use crate::tell::Teller;
use crate::trail::Trail;

/// A verdict, and the trail to what was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The verdict and all that belongs to it.
    pub outcome: Outcome,
    /// How to run the counterexample again.
    pub trail: Option<Trail>,
}

/// What verdicts on this machine hold for, for a scenario with page tables or without, and with so many
/// NMIs, if it handles any.
pub fn bounds(config: Config, page_tables: bool, nmi_budget: Option<u64>) -> Bounds {
    let user_memory = match (page_tables, config.fill) {
        (false, _) => UserMemory::Flat,
        (true, Fill::Adversarial) => UserMemory::Adversarial,
        (true, Fill::Retain) => UserMemory::Retain,
        (true, Fill::Eager) => UserMemory::Eager,
    };
    let memory_model = match config.memory_model {
        MemoryModel::Sc => outcome::MemoryModel::Sc,
        MemoryModel::Tso => outcome::MemoryModel::Tso,
    };
    Bounds { memory_model, nmi_budget, user_memory, ..Bounds::default() }
}

/// Judges a finished search.
pub(crate) fn judge(
    guest: &Guest,
    scenario: &Scenario,
    limits: &Limits,
    mut model: Model,
    found: &Found<Bad, Obstacle>,
    start: Instant,
) -> Checked {
    // What was found is told to its end, though the time may be used up.
    model.set_budget(crate::model::Budget::default());
    let Marks { reached, warnings, bounds: met } = std::mem::take(&mut model.marks);
    let mut outcome = blank(guest, scenario);
    outcome.stats = stats(&model, found, start);
    outcome.marks = marks(scenario, &reached);
    outcome.warnings = warnings.iter().map(|(rip, what)| warning(guest, *rip, *what)).collect();
    let (instructions, mut trail) = (model.machine.instructions(), None);
    match &found.verdict {
        explore::Verdict::Pass => {
            outcome.cpus = cpus(&model);
            no_violation(&mut outcome, scenario, found.stats.ends);
        }
        explore::Verdict::Undecided { why, complete_switches, complete_livelocks } => {
            outcome.verdict = Verdict::Undecided;
            outcome.stats.switches = *complete_switches;
            outcome.stats.livelocks_apart = complete_livelocks != complete_switches;
            outcome.reason = Some(undecided(guest, why));
        }
        explore::Verdict::Violated { .. } => {
            trail = violated(&mut outcome, guest, scenario, limits, &mut model, found);
        }
    }
    outcome.stats.instructions = instructions;
    outcome.cpus = cpus(&model);
    let equal_interrupts = met.last().map(|Bound::EqualInterrupts(most)| *most);
    outcome.bounds = Some(Bounds { equal_interrupts, ..bounds_of(guest, &model) });
    Checked { outcome, trail }
}

/// Tells the run that violates a property. Returns its trail, unless that does not replay.
fn violated(
    outcome: &mut Outcome,
    guest: &Guest,
    scenario: &Scenario,
    limits: &Limits,
    model: &mut Model,
    found: &Found<Bad, Obstacle>,
) -> Option<Trail> {
    let explore::Verdict::Violated { what, trail, switches, shortest } = &found.verdict else {
        return None;
    };
    // Those that were touched are not all that the machine has asked about.
    let words = match limits.every_access {
        true => explore::Words::all(),
        false => explore::Words::fixed(&found.shared),
    };
    let told = Teller { guest, scenario, model, words, changed: "", livelock: false }
        .tell(trail, Some(what));
    match told {
        Ok(told) => {
            // A run that was cut off might have been simpler.
            let shortest = *shortest && !model.cut_off;
            let finding = Finding { switches: *switches, shortest, ..told.finding };
            outcome.stats.switches = Some(*switches);
            outcome.verdict = verdict_of(scenario, &finding.property);
            let trail = Trail::new(
                &scenario.name,
                guest.image_id(),
                &finding.property,
                limits.config,
                found.shared.clone(),
                told.runs,
            );
            outcome.finding = Some(finding);
            Some(trail)
        }
        Err(error) => {
            outcome.verdict = Verdict::Undecided;
            outcome.reason = Some(anywhere(Cause::NoReplay { error: error.to_string() }));
            None
        }
    }
}

fn no_violation(outcome: &mut Outcome, scenario: &Scenario, ends: u64) {
    let unreached = outcome.marks.iter().filter(|mark| !mark.reached);
    let marks: Vec<String> = unreached.map(|mark| mark.name.clone()).collect();
    let undecided = if outcome.cpus == 0 {
        Some(Cause::NoCpu)
    } else if ends == 0 {
        Some(Cause::Discarded)
    } else if outcome.marks.is_empty() {
        Some(Cause::NoMark)
    } else if !marks.is_empty() {
        Some(Cause::Unreached { marks })
    } else {
        None
    };
    if scenario.finds.is_some() {
        outcome.verdict = Verdict::Lost;
        outcome.reason = Some(anywhere(Cause::NothingViolated));
    } else if let Some(why) = undecided {
        outcome.verdict = Verdict::Undecided;
        outcome.reason = Some(anywhere(why));
    } else {
        outcome.verdict = Verdict::Pass;
    }
}

/// The verdict where a property is violated.
pub(crate) fn verdict_of(scenario: &Scenario, property: &str) -> Verdict {
    match &scenario.finds {
        Some(declared) if declared == property => Verdict::Found,
        Some(_) => Verdict::Lost,
        None => Verdict::Fail,
    }
}

fn undecided(guest: &Guest, why: &explore::Why<Obstacle>) -> Reason {
    let used_up = |of| anywhere(Cause::Budget { of });
    match why {
        explore::Why::Gap(Obstacle::CutOff { part, interrupted, rip }, _) => {
            let why = Cause::CutOff { part: *part, interrupted: *interrupted };
            Reason { place: Some(place(&guest.image, *rip)), ..anywhere(why) }
        }
        explore::Why::Gap(Obstacle::Gap(gap), _) => match &gap.what {
            GapKind::Misuse(misuse) => anywhere(Cause::Misuse {
                call: misuse.call.symbol().trim_start_matches("lamprey_").into(),
                what: misuse.what.clone(),
            }),
            GapKind::NotModelled(what) => Reason {
                cause: Cause::NotModelled { what: what.clone() },
                place: Some(place(&guest.image, gap.rip)),
                instruction: gap.instruction.clone(),
                cpu: Some(gap.agent.cpu()),
            },
        },
        explore::Why::States => used_up(Budget::States),
        explore::Why::Bytes => used_up(Budget::Memory),
        explore::Why::Time => used_up(Budget::Time),
        explore::Why::Interrupted => anywhere(Cause::Interrupted),
    }
}

/// A reason without a place.
fn anywhere(cause: Cause) -> Reason {
    Reason { cause, place: None, instruction: None, cpu: None }
}

fn warning(guest: &Guest, rip: u64, what: machine::Warning) -> Warning {
    let what = match what {
        machine::Warning::FastString => Oddity::FastString,
        machine::Warning::Invlpg { va } => Oddity::Invlpg { va: outcome::Hex(va) },
    };
    Warning { symbol: symbol(&guest.image, rip), what }
}

/// An outcome of which nothing is known.
pub(crate) fn blank(guest: &Guest, scenario: &Scenario) -> Outcome {
    Outcome {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        verdict: Verdict::Undecided,
        finds: scenario.finds.clone(),
        cpus: 0,
        bounds: None,
        warnings: Vec::new(),
        stats: Stats::default(),
        marks: Vec::new(),
        finding: None,
        reason: None,
        image: guest.image_id().clone(),
    }
}

/// The outcome where the machine could not even be made.
pub(crate) fn cannot_start(guest: &Guest, scenario: &Scenario, cause: Cause) -> Checked {
    let outcome = Outcome { reason: Some(anywhere(cause)), ..blank(guest, scenario) };
    Checked { outcome, trail: None }
}

/// Counts the CPUs that run something.
pub(crate) fn cpus(model: &Model) -> u8 {
    // One without a closure idles, and takes interrupts, if one with a higher number has one.
    let last = model.machine.registered().cpus.iter().rposition(Option::is_some);
    last.map_or(0, |last| u8::try_from(last + 1).expect("at most 8"))
}

/// The bounds of a verdict on this model.
pub(crate) fn bounds_of(guest: &Guest, model: &Model) -> Bounds {
    let registered = model.machine.registered();
    let nmi_budget = registered.nmi.map(|nmi| nmi.budget);
    let bounds = bounds(model.machine.config(), registered.page_tables, nmi_budget);
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
