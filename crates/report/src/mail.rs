//! A run in the shape in which races are told on kernel lists.

use outcome::{Finding, Outcome, Verdict};

use crate::Context;
use crate::columns::at_once;
use crate::columns::layout::{Sheet, table};
use crate::columns::story::{Manner, rows};
use crate::columns::words::Voice;
use crate::lines::verdict_word;
use crate::numbers::count;
use crate::sentences::{self, bounds_in_words};
use crate::summary::built_for;
use crate::text::Text;
use crate::wrap::{clean, hang, width};

/// Widest line: `> ` before it still leaves 74.
const WIDTH: usize = 72;

/// The run as a mail or commit message tells it: in ASCII, at most 72 columns wide,
/// understandable without what it was made from.
///
/// Without a finding it says what was searched, and what came of it.
pub fn mail(outcome: &Outcome, context: &Context) -> Text {
    let mut text = Text::default();
    match &outcome.finding {
        Some(finding) => say(&mut text, "", &sentence(&sentences::sentence(finding))),
        None => without_finding(&mut text, outcome),
    }
    text.blank();
    say(&mut text, "Image   ", &image(outcome));
    say(&mut text, "Model   ", &model(outcome));
    for warning in &outcome.warnings {
        say(&mut text, "Warning ", &sentence(&sentences::warning(warning)));
    }
    if let Some(finding) = outcome.finding.as_ref().filter(|finding| !finding.events.is_empty()) {
        text.blank();
        text.lines.extend(table(&rows(finding, manner()), sheet()));
    }
    if let Some(replay) = &context.replay {
        text.blank();
        command(&mut text, &clean(replay, false));
    }
    text
}

fn manner() -> Manner {
    Manner { voice: Voice::Mail, utf8: false, positions: false, instructions: false, raw: false }
}

fn sheet() -> Sheet {
    Sheet {
        width: WIDTH,
        gutter: 2,
        numbers: false,
        cpu: "CPU ",
        rule: '=',
        closed: false,
        lanes: false,
    }
}

/// What was searched and what came of it, in place of what is wrong.
fn without_finding(text: &mut Text, outcome: &Outcome) {
    if outcome.about.is_empty() {
        say(text, "", &outcome.scenario);
    } else {
        say(text, "", &sentence(&outcome.about));
    }
    text.blank();
    let states = count(outcome.stats.states, "state");
    let why = why(outcome).unwrap_or_else(|| ".".into());
    let bound = match outcome.stats.switches {
        None | Some(0) => String::new(),
        Some(n) => {
            let apart = if outcome.stats.livelocks_apart { ", livelocks apart" } else { "" };
            format!(
                " but that there is no counterexample up to {}{apart}",
                count(n.into(), "switch")
            )
        }
    };
    let verdict = match outcome.verdict {
        Verdict::Pass => format!("No run within the bounds violates anything: {states}."),
        Verdict::Undecided => format!("Nothing is claimed{bound}{why} There are {states}."),
        Verdict::Lost => format!(
            "Declared to violate {}, and does not, in {states}{why}",
            outcome.finds.as_deref().unwrap_or("a property"),
        ),
        Verdict::Fail | Verdict::Found => format!("{}{why}", verdict_word(outcome.verdict)),
    };
    say(text, "", &verdict);
}

/// `: stopped at …: xsaves64 (%rdi) at fpu_save+0x1a.`
fn why(outcome: &Outcome) -> Option<String> {
    let reason = outcome.reason.as_ref()?;
    let sentence = sentences::reason(outcome)?;
    let mut why = format!(": {}", sentence.trim().trim_end_matches('.'));
    let place = reason.place.as_ref().map(|place| format!("at {}", place.symbol));
    let parts: Vec<String> = reason.instruction.iter().cloned().chain(place).collect();
    if !parts.is_empty() {
        why.push_str(&format!(", {}", parts.join(" ")));
    }
    Some(why + ".")
}

/// `vmlinux, build-id 3f9a1c0e, gcc 13.2`
fn image(outcome: &Outcome) -> String {
    let image = &outcome.image;
    let mut parts = vec![image.name.clone()];
    if !image.id.is_empty() {
        parts.push(format!("id {}", image.id));
    }
    parts.extend(image.compiler.clone());
    parts.join(", ")
}

/// `2 CPUs, TSO, IPIs, no NMI; shortest run, 11 steps, 2 switches`
fn model(outcome: &Outcome) -> String {
    let cpus = (outcome.cpus > 0).then(|| count(outcome.cpus.into(), "CPU"));
    let mut parts: Vec<String> = cpus.into_iter().collect();
    if let Some(bounds) = &outcome.bounds {
        parts.extend(bounds_in_words(bounds));
        parts.extend(built_for(bounds));
    }
    let model = parts.join(", ");
    match &outcome.finding {
        Some(finding) => format!("{model}; {}", run(outcome, finding)),
        None => model,
    }
}

fn run(outcome: &Outcome, finding: &Finding) -> String {
    if let Some(when) = at_once(outcome, finding) {
        return when.into();
    }
    format!(
        "{}, {}, {}",
        if finding.shortest { "shortest run" } else { "a run" },
        count(finding.steps.into(), "step"),
        count(finding.switches.into(), "switch"),
    )
}

/// With a capital and a full stop, unless it begins with a name.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let first = text.split(' ').next().unwrap_or_default();
    let mut out = String::new();
    if !first.is_empty() && first.chars().all(|c| c.is_ascii_lowercase()) {
        out.push_str(&text[..1].to_ascii_uppercase());
        out.push_str(&text[1..]);
    } else {
        out.push_str(text);
    }
    if !out.is_empty() && !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

/// A command, broken between words only, and so that a shell joins the lines again.
fn command(text: &mut Text, command: &str) {
    let mut line = String::from("Replay ");
    for word in command.split(' ') {
        if width(&line) + 1 + width(word) + width(" \\") > WIDTH && line.len() > LEAD.len() {
            text.plain(format!("{line} \\"));
            line = LEAD.to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.plain(line);
}

/// Before the second and further lines of a command, one column short.
const LEAD: &str = "         ";

fn say(text: &mut Text, lead: &str, words: &str) {
    for line in hang(lead, &clean(words, false), WIDTH) {
        text.plain(line);
    }
}
