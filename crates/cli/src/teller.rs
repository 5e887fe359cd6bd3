//! The report of a check, as it grows.

use outcome::{Outcome, Verdict};
use report::{Context, Options, Text};

use crate::args::Format;

/// A form of the report.
pub(crate) struct Teller {
    format: Format,
    options: Options,
    quiet: bool,
    name_width: usize,
    /// Is what was told last a story of several lines?
    after_story: bool,
    begun: bool,
}

/// A piece of a report.
pub(crate) enum Piece {
    /// May be coloured.
    Text(Text),
    /// Must not be.
    Plain(String),
}

impl Teller {
    pub(crate) fn new(format: Format, options: &Options, quiet: bool, name_width: usize) -> Self {
        let options = options.clone();
        Self { format, options, quiet, name_width, after_story: false, begun: false }
    }

    /// What is to be said of one outcome.
    pub(crate) fn tell(&mut self, outcome: &Outcome, context: &Context) -> Vec<Piece> {
        if self.format == Format::Json {
            return vec![Piece::Plain(format!("{}\n", report::json(outcome, context)))];
        }
        let story = !self.quiet && outcome.finding.is_some();
        let text = match story {
            true => report::columns(outcome, &brief(outcome, context), &self.options),
            false => report::verdict_line(outcome, self.name_width, &self.options),
        };
        let blank = self.begun && (story || self.after_story);
        (self.begun, self.after_story) = (true, story);
        let blank = blank.then(|| Piece::Plain("\n".into()));
        blank.into_iter().chain([Piece::Text(text)]).collect()
    }

    /// What is to be said at the end.
    pub(crate) fn end(&self, outcomes: &[Outcome], seconds: f64) -> Vec<Piece> {
        if self.quiet || self.format == Format::Json || outcomes.is_empty() {
            return Vec::new();
        }
        let summary = report::summary(outcomes, Some(seconds), &self.options);
        vec![Piece::Plain("\n".into()), Piece::Text(summary), Piece::Plain(to_look_at(outcomes))]
    }
}

/// A bug that was found as declared is nothing to act on: how to run it again is enough.
fn brief(outcome: &Outcome, context: &Context) -> Context {
    let mut context = context.clone();
    if outcome.verdict == Verdict::Found {
        context.more = None;
    }
    context
}

/// Names of what is not as it should be, once more: what was said of them may be pages above.
fn to_look_at(outcomes: &[Outcome]) -> String {
    let wrong = |outcome: &&Outcome| {
        matches!(outcome.verdict, Verdict::Fail | Verdict::Lost | Verdict::Undecided)
    };
    let lines = outcomes.iter().filter(wrong).map(|outcome| {
        format!("{:>12} {}\n", report::verdict_word(outcome.verdict), outcome.scenario)
    });
    if outcomes.len() > 1 { lines.collect() } else { String::new() }
}

/// The report as a file has it.
pub(crate) fn plain(pieces: &[Piece]) -> String {
    pieces.iter().map(Piece::to_string).collect()
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Text(text) => text.fmt(f),
            Piece::Plain(text) => f.write_str(text),
        }
    }
}
