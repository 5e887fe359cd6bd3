//! The report of a check, outcome by outcome.

use outcome::{Outcome, Verdict};
use report::{Context, Options, Text};

use crate::args::Format;

/// Renders a report in one format, piece by piece.
pub(crate) struct Reporter {
    format: Format,
    options: Options,
    quiet: bool,
    name_width: usize,
    /// `true` if the last outcome was rendered in several lines.
    after_columns: bool,
    begun: bool,
}

/// A piece of a report.
pub(crate) enum Piece {
    /// Text that may be coloured.
    Text(Text),
    /// Text that must not be coloured.
    Plain(String),
}

impl Reporter {
    pub(crate) fn new(format: Format, options: &Options, quiet: bool, name_width: usize) -> Self {
        let options = options.clone();
        Self { format, options, quiet, name_width, after_columns: false, begun: false }
    }

    /// Renders one outcome.
    pub(crate) fn outcome(&mut self, outcome: &Outcome, context: &Context) -> Vec<Piece> {
        if self.format == Format::Json {
            return vec![Piece::Plain(format!("{}\n", report::json(outcome, context)))];
        }
        let in_columns = !self.quiet && outcome.finding.is_some();
        let text = match in_columns {
            true => report::columns(outcome, &brief(outcome, context), &self.options),
            false => report::verdict_line(outcome, self.name_width, &self.options),
        };
        let blank = self.begun && (in_columns || self.after_columns);
        (self.begun, self.after_columns) = (true, in_columns);
        let blank = blank.then(|| Piece::Plain("\n".into()));
        blank.into_iter().chain([Piece::Text(text)]).collect()
    }

    /// Renders the end of the report.
    pub(crate) fn end(&self, outcomes: &[Outcome], seconds: f64) -> Vec<Piece> {
        if self.quiet || self.format == Format::Json || outcomes.is_empty() {
            return Vec::new();
        }
        let summary = report::summary(outcomes, Some(seconds), &self.options);
        vec![
            Piece::Plain("\n".into()),
            Piece::Text(summary),
            Piece::Plain(needing_attention(outcomes)),
        ]
    }
}

/// Leaves out the second command for a bug that was found as declared, which needs no action.
fn brief(outcome: &Outcome, context: &Context) -> Context {
    let mut context = context.clone();
    if outcome.verdict == Verdict::Found {
        context.more = None;
    }
    context
}

/// Returns the names of scenarios that need attention once more: their reports may be pages above.
fn needing_attention(outcomes: &[Outcome]) -> String {
    let wrong = |outcome: &&Outcome| {
        matches!(outcome.verdict, Verdict::Fail | Verdict::Lost | Verdict::Undecided)
    };
    let lines = outcomes.iter().filter(wrong).map(|outcome| {
        format!("{:>12} {}\n", report::verdict_word(outcome.verdict), outcome.scenario)
    });
    if outcomes.len() > 1 { lines.collect() } else { String::new() }
}

/// Returns the report without colour, as a file has it.
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
