//! The last lines of a check.

use outcome::{Bounds, Outcome, Verdict};

use crate::Options;
use crate::lines::TIME_ENDS;
use crate::numbers::count;
use crate::sentences::bounds_in_words;
use crate::text::{Line, Role, Text};
use crate::wrap::hang;

/// How many scenarios came to which verdict, which marks were reached, and within which bounds.
///
/// `seconds` is the wall-clock time of it all; without it the scenarios' times are added up.
pub fn summary(outcomes: &[Outcome], seconds: Option<f64>, options: &Options) -> Text {
    let mut text = Text::default();
    let all = seconds.unwrap_or_else(|| outcomes.iter().map(|o| o.stats.seconds).sum());
    let time = format!("[{:>8}]", crate::numbers::seconds(all));
    let scenarios = count(outcomes.len().try_into().unwrap_or(u64::MAX), "scenario");
    let lead = format!("     Summary {scenarios}: ");
    let ends = TIME_ENDS.min(options.width);
    let mut lines = hang(&lead, &verdicts(outcomes), ends - time.len() - 1).into_iter();
    let last = lines.next_back().unwrap_or_default();
    lines.for_each(|line| text.plain(line));
    let line = Line::default().with(Role::Plain, last);
    text.push(line.to(ends - time.len()).with(Role::Plain, time));

    let marks = || outcomes.iter().flat_map(|outcome| &outcome.marks);
    if marks().count() > 0 {
        let reached = marks().filter(|mark| mark.reached).count();
        text.plain(format!("       marks {reached} of {} reached", marks().count()));
    }
    text.lines.extend(bounds(outcomes, options).lines);
    text
}

/// The bounds within which it holds: the last line of [`summary`], and what a replay has of it.
pub fn bounds(outcomes: &[Outcome], options: &Options) -> Text {
    let mut text = Text::default();
    let mut parts: Vec<String> = cpus(outcomes).into_iter().collect();
    parts.extend(of_machine(outcomes));
    if parts.is_empty() {
        return text;
    }
    for line in hang("      bounds ", &parts.join(", "), options.width) {
        text.plain(line);
    }
    text
}

/// `4 pass, 0 fail, 1 found, 0 undecided`: three always, the others where there are any.
fn verdicts(outcomes: &[Outcome]) -> String {
    let all = [
        (Verdict::Pass, "pass", true),
        (Verdict::Fail, "fail", true),
        (Verdict::Found, "found", false),
        (Verdict::Lost, "lost", false),
        (Verdict::Undecided, "undecided", true),
    ];
    let told = all.into_iter().filter_map(|(verdict, word, always)| {
        let n = outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
        (always || n > 0).then(|| format!("{n} {word}"))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// What the verdicts hold for; of what is not true of all, of how many.
fn of_machine(outcomes: &[Outcome]) -> Vec<String> {
    let of =
        |bounds: &Bounds| bounds_in_words(bounds).into_iter().chain(built_for(bounds)).collect();
    let mut all: Vec<(String, usize)> = Vec::new();
    let bounds = outcomes.iter().filter_map(|outcome| outcome.bounds.as_ref());
    for bound in bounds.flat_map::<Vec<String>, _>(of) {
        match all.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, n)) => *n += 1,
            None => all.push((bound, 1)),
        }
    }
    let told = all.into_iter().map(|(bound, n)| {
        if n == outcomes.len() { bound } else { format!("{bound} ({n} of {})", outcomes.len()) }
    });
    told.collect()
}

/// `guest built for x86_64-unknown-none at opt-level 3`
pub(crate) fn built_for(bounds: &Bounds) -> Option<String> {
    (!bounds.built_for.is_empty()).then(|| format!("guest built for {}", bounds.built_for))
}

/// `2-3 CPUs`, over what was checked.
fn cpus(outcomes: &[Outcome]) -> Option<String> {
    // What ends in its set-up has none.
    let told = |outcome: &&Outcome| outcome.cpus > 0;
    let checked = || outcomes.iter().filter(told).map(|outcome| outcome.cpus);
    let (least, most) = (checked().min()?, checked().max()?);
    Some(match least == most {
        true => count(most.into(), "CPU"),
        false => format!("{least}-{most} CPUs"),
    })
}
