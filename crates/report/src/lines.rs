//! One line per scenario, and the lines below it that say why nothing is claimed.

use outcome::{Cause, Outcome, Place, Reason, Verdict};

use crate::Options;
use crate::numbers::{count, seconds};
use crate::sentences;
use crate::text::{Line, Role, Text};
use crate::wrap::{clean, hang, width};

/// Columns of the verdict word: as wide as the widest.
const WORD: usize = 9;
/// Column at which a time ends, where what is before it leaves the choice.
pub(crate) const TIME_ENDS: usize = 76;
/// How far in the lines below a verdict stand.
const BELOW: &str = "     ";

/// The word for a verdict, in capitals.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Found => "FOUND",
        Verdict::Lost => "LOST",
        Verdict::Undecided => "UNDECIDED",
    }
}

/// One scenario on one line, however wide, its name padded to `name_width`:
///
/// ```text
/// PASS      lazy-flush  3 CPUs      41 208 states  switches  4  marks 2/2   [   3.10s]
/// ```
///
/// `switches` is the bound up to which every run is known, or the counterexample's number. Indented
/// below: what is violated, why nothing is claimed, and which marks no run reached.
pub fn verdict_line(outcome: &Outcome, name_width: usize, options: &Options) -> Text {
    let mut text = Text::default();
    let name = clean(&outcome.scenario, options.utf8);
    let word = verdict_word(outcome.verdict);
    let line = Line::default().with(Role::Verdict(outcome.verdict), word).to(WORD + 1);
    let padded = format!("{name}{}", " ".repeat(name_width.saturating_sub(width(&name))));
    text.push(line.with(Role::Plain, padded).with(Role::Plain, told(outcome)));
    match outcome.verdict {
        Verdict::Undecided => nothing_claimed(&mut text, outcome, options),
        Verdict::Lost => lost(&mut text, outcome, options),
        _ => violated(&mut text, outcome, options),
    }
    unreached(&mut text, outcome, options);
    for warning in &outcome.warnings {
        below(&mut text, &format!("warning: {}", sentences::warning(warning)), options);
    }
    text
}

/// What follows the name: `  2 CPUs  535 states  switches  1  marks 2/2   [   0.01s]`, in columns. Where
/// something is not known, as the states of a replay and all of a set-up, its column is empty.
fn told(outcome: &Outcome) -> String {
    let stats = &outcome.stats;
    let cpus = match outcome.cpus {
        0 if outcome.finding.is_some() => "set-up".to_owned(),
        0 => String::new(),
        n => count(n.into(), "CPU"),
    };
    let (mut states, mut switches, mut marks) = (String::new(), String::new(), String::new());
    if stats.states > 0 {
        states = count(stats.states, "state");
        // The numbers stand below each other.
        states.extend((stats.states == 1).then_some(' '));
        let reached = outcome.marks.iter().filter(|mark| mark.reached).count();
        marks = format!("marks {reached}/{}", outcome.marks.len());
    }
    let counted = outcome.finding.as_ref().map_or(stats.states > 0, |finding| finding.steps > 0);
    if let Some(number) = stats.switches.filter(|_| counted) {
        switches = format!("switches {number:>2}");
    }
    let time = seconds(stats.seconds);
    format!("  {cpus:<6} {states:>18}  {switches:<11}  {marks:<11} [{time:>8}]")
}

fn nothing_claimed(text: &mut Text, outcome: &Outcome, options: &Options) {
    let mut hint = "";
    if let Some(reason) = &outcome.reason {
        why(text, outcome, reason, options);
        if reason.instruction.is_some() {
            hint = "; stub the function or leave it out";
        }
    }
    let some = sentences::knows_without_switch(outcome);
    let bound = outcome.stats.switches.filter(|bound| *bound > 0);
    let more = if some || bound.is_some() { "more " } else { "" };
    if let Some(bound) = bound {
        let bound = count(bound.into(), "switch");
        let apart = if outcome.stats.livelocks_apart { ", livelocks apart" } else { "" };
        below(text, &format!("no counterexample up to {bound}{apart}"), options);
    }
    below(text, &format!("nothing {more}is claimed{hint}"), options);
}

fn lost(text: &mut Text, outcome: &Outcome, options: &Options) {
    let declared = outcome.finds.as_deref().unwrap_or("a property");
    let instead = match (&outcome.finding, &outcome.reason) {
        (Some(finding), _) => {
            format!("found instead: {}: {}", finding.property, sentences::sentence(finding))
        }
        (None, Some(_)) => reason(outcome),
        (None, None) => "not found".into(),
    };
    below(text, &format!("declared to violate {declared}; {instead}"), options);
    match (&outcome.finding, &outcome.reason) {
        (Some(_), Some(reason)) => why(text, outcome, reason, options),
        (None, Some(reason)) => at(text, reason, options),
        (_, None) => {}
    }
}

fn violated(text: &mut Text, outcome: &Outcome, options: &Options) {
    if let Some(finding) = &outcome.finding {
        let found = if outcome.verdict == Verdict::Found { "as declared: " } else { "" };
        let sentence = format!("{found}{}: {}", finding.property, sentences::sentence(finding));
        below(text, &sentence, options);
    }
}

fn unreached(text: &mut Text, outcome: &Outcome, options: &Options) {
    if outcome.reason.as_ref().is_some_and(|reason| matches!(reason.cause, Cause::Unreached { .. }))
    {
        return;
    }
    for mark in outcome.marks.iter().filter(|mark| !mark.reached) {
        below(text, &format!("no run reached \"{}\"", mark.name), options);
    }
}

/// The reason's sentence with its CPU, then its place.
fn why(text: &mut Text, outcome: &Outcome, place: &Reason, options: &Options) {
    let cpu = place.cpu.map(|cpu| format!(", on CPU{cpu}")).unwrap_or_default();
    below(text, &format!("{}{cpu}", reason(outcome)), options);
    at(text, place, options);
}

/// Cause nothing is claimed, without a full stop.
fn reason(outcome: &Outcome) -> String {
    let sentence = sentences::reason(outcome).unwrap_or_default();
    sentence.trim().trim_end_matches('.').to_owned()
}

/// `xsaves64 (%rdi)   fpu_save+0x1a   arch/x86/kernel/fpu/core.c:101`
fn at(text: &mut Text, reason: &Reason, options: &Options) {
    let mut parts: Vec<String> = reason.instruction.iter().cloned().collect();
    if let Some(place) = &reason.place {
        parts.push(place.symbol.clone());
        parts.extend(source(place));
    }
    if parts.is_empty() {
        return;
    }
    let joined = clean(&parts.join("   "), options.utf8);
    if width(BELOW) + 2 + width(&joined) <= options.width {
        text.plain(format!("{BELOW}  {joined}"));
        return;
    }
    for part in parts {
        for line in hang(&format!("{BELOW}  "), &clean(&part, options.utf8), options.width) {
            text.plain(line);
        }
    }
}

fn below(text: &mut Text, words: &str, options: &Options) {
    for line in hang(BELOW, &clean(words, options.utf8), options.width) {
        text.plain(line);
    }
}

/// `file:line`, as far as it is known.
fn source(place: &Place) -> Option<String> {
    let file = place.file.as_ref()?;
    Some(place.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

/// The search in one sentence. Of a replay, which searches nothing, what it executed.
pub(crate) fn figures(outcome: &Outcome) -> String {
    let stats = &outcome.stats;
    if stats.states == 0 {
        return format!("{} executed", count(stats.instructions, "instruction"));
    }
    format!(
        "searched: {}, {}, {}, {}, {} executed, {:.1} MB",
        count(stats.states, "state"),
        count(stats.transitions, "transition"),
        count(stats.rounds.into(), "round"),
        count(stats.shared_words.into(), "shared word"),
        count(stats.instructions, "instruction"),
        stats.peak_bytes as f64 / 1e6,
    )
}
