//! Text whose parts know what they are, so that a caller may colour them.

use std::fmt;

use outcome::Verdict;
use unicode_width::UnicodeWidthStr;

/// What a part of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing special.
    Plain,
    /// The verdict word.
    Verdict(Verdict),
    /// The step at which the property is violated.
    Violated,
    /// The step of the other party: the write that the violated property refers to.
    Other,
    /// Beside the story: rules, numbers, positions, instructions.
    Faint,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub role: Role,
    /// Its characters; no line break among them.
    pub text: String,
}

/// A line: no line break, no trailing space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    spans: Vec<Span>,
    width: usize,
}

/// Some lines. [`Display`](fmt::Display) writes each with a line break after it, unpainted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The lines, in order.
    pub lines: Vec<Line>,
}

impl Text {
    /// The text, each span that is not [`Role::Plain`] as `paint` returns it. A span never reaches
    /// over a line break, so colours end where their line does.
    pub fn painted(&self, paint: impl Fn(Role, &str) -> String) -> String {
        let mut all = String::new();
        for line in &self.lines {
            for span in &line.spans {
                match span.role {
                    Role::Plain => all.push_str(&span.text),
                    role => all.push_str(&paint(role, &span.text)),
                }
            }
            all.push('\n');
        }
        all
    }

    pub(crate) fn blank(&mut self) {
        self.lines.push(Line::default());
    }

    pub(crate) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    pub(crate) fn plain(&mut self, text: impl Into<String>) {
        self.push(Line::default().with(Role::Plain, text));
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Line {
    /// Its parts.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Columns it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Appends `text`. Spaces at its ends are kept back until something follows.
    pub(crate) fn with(mut self, role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        let head = text.trim_start_matches(' ');
        self.width += text.len() - head.len();
        let body = head.trim_end_matches(' ');
        if !body.is_empty() {
            self = self.catch_up();
            self.width += body.width();
            self.spans.push(Span { role, text: body.to_owned() });
        }
        self.width += head.len() - body.len();
        self
    }

    /// Moves to `column`; where the line is longer already, two spaces on.
    pub(crate) fn to(mut self, column: usize) -> Self {
        self.width = if self.width <= column { column } else { self.width + 2 };
        self
    }

    /// Writes out the spaces that were kept back.
    fn catch_up(mut self) -> Self {
        let written: usize = self.spans.iter().map(|span| span.text.width()).sum();
        if self.width > written {
            let text = " ".repeat(self.width - written);
            self.spans.push(Span { role: Role::Plain, text });
        }
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans.iter().try_for_each(|span| f.write_str(&span.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_ends_in_spaces() {
        let line = Line::default().with(Role::Plain, "a  ").to(9);
        assert_eq!(line.to_string(), "a");
        assert_eq!(line.with(Role::Faint, "b ").to_string(), "a        b");
    }

    #[test]
    fn only_roles_are_painted() {
        let line = Line::default().with(Role::Plain, "  a ").with(Role::Violated, "b");
        let text = Text { lines: vec![line] };
        assert_eq!(text.painted(|_, part| format!("<{part}>")), "  a <b>\n");
    }
}
