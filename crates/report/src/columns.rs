//! A run in CPU columns: what a failing check prints.

pub(crate) mod layout;
pub(crate) mod story;
pub(crate) mod words;

use outcome::{Finding, Outcome, Verdict};

use crate::lines::{TIME_ENDS, figures, verdict_line, verdict_word};
use crate::numbers::{count, seconds};
use crate::sentences::{expected, found, sentence, warning};
use crate::text::{Line, Role, Text};
use crate::wrap::{clean, hang, width};
use crate::{Context, Options};
use layout::{Sheet, table};
use story::{Manner, rows, short};
use words::{Voice, words};

/// Left of the first column: the step's number.
pub(crate) const GUTTER: usize = 6;

/// The run as CPU columns, with what is wrong above them and what to do next below. From four CPUs
/// on each CPU has a lane instead. An outcome without a run is told in [`verdict_line`]'s words.
pub fn columns(outcome: &Outcome, context: &Context, options: &Options) -> Text {
    told(outcome, context, options, false)
}

/// [`columns`], or, `with_instructions`, lanes in which the instruction follows each event.
pub(crate) fn told(
    outcome: &Outcome,
    context: &Context,
    options: &Options,
    with_instructions: bool,
) -> Text {
    let Some(finding) = &outcome.finding else {
        let name = width(&outcome.scenario);
        let mut text = verdict_line(outcome, name, options);
        commands(&mut text, context, options);
        return text;
    };
    let mut text = Text::default();
    headline(&mut text, outcome, finding, options);
    text.blank();
    statement(&mut text, outcome, finding, options);
    text.blank();
    let manner = Manner {
        voice: Voice::Terminal { verbose: options.verbose },
        utf8: options.utf8,
        positions: true,
        instructions: with_instructions,
        raw: options.raw,
    };
    let sheet = Sheet {
        width: options.width,
        gutter: GUTTER,
        numbers: true,
        cpu: "CPU",
        rule: if options.utf8 { '─' } else { '-' },
        closed: true,
        lanes: with_instructions,
    };
    if !finding.events.is_empty() {
        text.lines.extend(table(&rows(finding, manner), sheet));
    }
    if finding.folded > 0 {
        let folded = count(finding.folded, "instruction");
        note(&mut text, &format!("folded: {folded} no other CPU can see"), options);
    }
    for it in &outcome.warnings {
        note(&mut text, &clean(&format!("warning: {}", warning(it)), options.utf8), options);
    }
    if options.verbose {
        note(&mut text, &figures(outcome), options);
    }
    commands(&mut text, context, options);
    text
}

/// A line under the table.
fn note(text: &mut Text, words: &str, options: &Options) {
    for line in hang(&" ".repeat(GUTTER), words, options.width) {
        text.plain(line);
    }
}

/// `FAIL lam-enable  2 CPUs, 11 steps, 2 switches (shortest)        [   2.41s]`
fn headline(text: &mut Text, outcome: &Outcome, finding: &Finding, options: &Options) {
    let word = verdict_word(outcome.verdict);
    let name = clean(&outcome.scenario, options.utf8);
    let run = run_of(outcome, finding);
    let time = format!("[{:>8}]", seconds(outcome.stats.seconds));
    let verdict = Line::default().with(Role::Verdict(outcome.verdict), word);
    let line = verdict.clone().with(Role::Plain, format!(" {name}  {run}"));
    if line.width() + 2 + width(&time) <= options.width {
        let at = options.width.min(TIME_ENDS).saturating_sub(width(&time));
        let at = at.max(line.width() + 2);
        text.push(line.to(at).with(Role::Plain, time));
        return;
    }
    let indent = " ".repeat(width(word) + 1);
    let mut names = hang(&indent, &name, options.width).into_iter();
    let first = names.next().unwrap_or_default();
    text.push(verdict.with(Role::Plain, format!(" {}", first.trim_start())));
    let time = format!("[{}]", seconds(outcome.stats.seconds));
    for line in names.chain(hang(&indent, &format!("{run}  {time}"), options.width)) {
        text.plain(line);
    }
}

/// `2 CPUs, 11 steps, 2 switches (shortest)`; `in set-up`.
fn run_of(outcome: &Outcome, finding: &Finding) -> String {
    match (outcome.cpus, at_once(outcome, finding)) {
        (0, Some(when)) => return when.into(),
        (cpus, Some(when)) => return format!("{}, {when}", count(cpus.into(), "CPU")),
        (_, None) => {}
    }
    format!(
        "{}, {}, {}{}",
        count(outcome.cpus.into(), "CPU"),
        count(finding.steps.into(), "step"),
        count(finding.switches.into(), "switch"),
        if finding.shortest { " (shortest)" } else { "" },
    )
}

/// When it is violated if no step leads there: then steps and switches say nothing.
pub(crate) fn at_once(outcome: &Outcome, finding: &Finding) -> Option<&'static str> {
    match (finding.steps, outcome.cpus) {
        (0, 0) => Some("in set-up"),
        (0, _) => Some("before the first step"),
        _ => None,
    }
}

/// What is wrong, what was expected and found, and the write that this refers to.
fn statement(text: &mut Text, outcome: &Outcome, finding: &Finding, options: &Options) {
    let mut say = |lead: &str, words: &str| {
        for line in hang(lead, &clean(words, options.utf8), options.width) {
            text.plain(line);
        }
    };
    if let Some(declared) = declaration(outcome) {
        say("  ", &declared);
    }
    let sentence = format!("{}: {}", finding.property, sentence(finding));
    say("  ", &sentence);
    let mut fact = |label: &str, words: &str| say(&format!("    {label:<9} "), words);
    if let Some(expected) = expected(finding) {
        fact("expected", &expected);
    }
    if let Some(found) = found(finding) {
        fact("found", &found);
    }
    if let Some(event) = finding.write.and_then(|index| finding.events.get(index)) {
        let words = words(&event.what, event.level, Voice::Terminal { verbose: true });
        let words = format!("CPU{}: {}", event.cpu, words.unwrap_or_default());
        fact(&format!("step {}", event.step), &words);
    }
    if let Some(place) = &finding.place {
        let cpu = finding.cpu.map(|cpu| format!("CPU{cpu}: ")).unwrap_or_default();
        let source = match (&place.file, place.line) {
            (Some(file), Some(line)) => format!("  {}:{line}", short(file)),
            _ => String::new(),
        };
        fact("at", &format!("{cpu}{}{source}", place.symbol));
    }
}

/// How the finding relates to what the scenario declares, if it declares anything.
fn declaration(outcome: &Outcome) -> Option<String> {
    match (outcome.verdict, &outcome.finds) {
        (Verdict::Found, _) => {
            Some("This scenario re-creates a known bug; found, as declared.".into())
        }
        (Verdict::Lost, Some(finds)) => Some(format!(
            "This scenario declares that it violates {finds}; that was not found. Violated instead:"
        )),
        _ => None,
    }
}

fn commands(text: &mut Text, context: &Context, options: &Options) {
    let commands = [("replay", &context.replay), ("more", &context.more)];
    if commands.iter().any(|(_, command)| command.is_some()) {
        text.blank();
    }
    for (label, command) in commands {
        if let Some(command) = command {
            // Not wrapped: it shall work when it is copied.
            text.plain(format!("  {label:<8} {}", clean(command, options.utf8)));
        }
    }
}
