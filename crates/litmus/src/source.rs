//! The text of a test: comments, positions, tokens, and errors.

use std::fmt;
use std::ops::Range;

/// A syntax error in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file, as named by the caller.
    pub file: String,
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The message.
    pub message: String,
    /// The line itself.
    pub text: String,
    /// Number of marked characters; at least 1.
    pub length: usize,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError { file, line, column, message, text, length } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs keep their width under the line that contains them.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = text.chars().take(column - 1).map(blank).collect();
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{margin} | {indent}{}", "^".repeat(*length))
    }
}

/// The text of a file without its comments.
pub(crate) struct SourceText<'t> {
    file: &'t str,
    text: &'t str,
    /// The text with spaces instead of comments, as long as `text`.
    pub(crate) clean: String,
    /// The ranges between `(*` and `*)`.
    pub(crate) comments: Vec<Range<usize>>,
}

impl<'t> SourceText<'t> {
    /// Returns a text that is used only for errors.
    pub(crate) fn unread(file: &'t str, text: &'t str) -> SourceText<'t> {
        SourceText { file, text, clean: String::new(), comments: Vec::new() }
    }

    /// Removes the comments, which nest.
    pub(crate) fn new(file: &'t str, text: &'t str) -> Result<SourceText<'t>, ParseError> {
        let mut source = SourceText::unread(file, text);
        let mut clean = text.as_bytes().to_vec();
        let mut open: Vec<usize> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let pair = text.as_bytes().get(at..at + 2);
            match pair {
                Some(b"(*") => open.push(at),
                Some(b"*)") if open.len() == 1 => {
                    let start = open[0];
                    source.comments.push(start + 2..at);
                    blank(&mut clean[start..at + 2]);
                    open.clear();
                }
                Some(b"*)") => {
                    if open.pop().is_none() {
                        return Err(source.error(at..at + 2, "there is no comment to end here"));
                    }
                }
                // The text that documents a test is alone on its lines.
                Some(_)
                    if open.is_empty() && text.as_bytes()[at] == b'"' && starts_line(text, at) =>
                {
                    at += text[at + 1..].find('"').map_or(0, |end| end + 1) + 1;
                    continue;
                }
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
        }
        if let Some(start) = open.first() {
            return Err(source.error(*start..start + 2, "this comment has no end"));
        }
        source.clean = String::from_utf8(clean).expect("whole comments were replaced by spaces");
        source.take_out_commands()?;
        Ok(source)
    }

    /// Removes blocks from a line `<<` to a line `>>`: commands for the tools that preceded herd,
    /// which old collections of tests still have after the condition.
    fn take_out_commands(&mut self) -> Result<(), ParseError> {
        let mut clean = std::mem::take(&mut self.clean).into_bytes();
        let (mut at, mut open) = (0, None);
        for line in self.text.split_inclusive('\n') {
            let end = at + line.len();
            if open.is_none() && line.trim() == "<<" {
                open = Some(at..end);
            }
            if open.is_some() {
                blank(&mut clean[at..end]);
            }
            if line.trim() == ">>" {
                open = None;
            }
            at = end;
        }
        if let Some(line) = open {
            return Err(
                self.error(line, "this block of commands has no end; end it with a line `>>`")
            );
        }
        self.clean = String::from_utf8(clean).expect("whole lines were replaced by spaces");
        Ok(())
    }

    /// Returns an error at some bytes of the text.
    pub(crate) fn error(&self, at: Range<usize>, message: impl Into<String>) -> ParseError {
        let start = self.floor(at.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |end| end + 1);
        let text = self.text[line_start..].lines().next().unwrap_or_default();
        let end = at.end.min(line_start + text.len()).max(start);
        ParseError {
            file: self.file.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            message: message.into(),
            text: text.to_owned(),
            length: self.text[start..self.floor(end)].chars().count().max(1),
        }
    }

    /// Returns the text at some bytes.
    pub(crate) fn slice(&self, at: Range<usize>) -> &'t str {
        &self.text[at]
    }

    fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// Returns the tokens from byte `from` on.
    pub(crate) fn tokens(&self, from: usize) -> Result<Vec<SpannedToken>, ParseError> {
        let mut tokens = Vec::new();
        let mut at = from;
        while let Some(c) = self.clean[at..].chars().next() {
            if c.is_whitespace() {
                at += c.len_utf8();
                continue;
            }
            let length = length_of_token(&self.clean[at..]);
            if length == 0 {
                let end = at + c.len_utf8();
                return Err(self.error(at..end, format!("`{c}` has no meaning here")));
            }
            tokens.push(SpannedToken { at: at..at + length });
            at += length;
        }
        Ok(tokens)
    }
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn starts_line(text: &str, at: usize) -> bool {
    text.is_char_boundary(at)
        && text[..at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty())
}

/// A token (a word, a number or a sign) and its position.
#[derive(Clone, Debug)]
pub(crate) struct SpannedToken {
    pub(crate) at: Range<usize>,
}

/// Signs, with those of more than one character first.
const SIGNS: [&str; 30] = [
    "/\\", "\\/", "=>", "==", "!=", "<>", ":>", "{", "}", "(", ")", "[", "]", ",", ";", ":", "|",
    "=", "*", "&", "~", "$", "%", "+", "-", "<", ">", "@", "#", "!",
];

fn length_of_token(text: &str) -> usize {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '\'';
    let word = text.find(|c| !is_word(c)).unwrap_or(text.len());
    if word > 0 {
        return word;
    }
    SIGNS.iter().find(|sign| text.starts_with(**sign)).map_or(0, |sign| sign.len())
}

/// Parses a number without a sign, in C's syntax.
pub(crate) fn number(word: &str) -> Option<u64> {
    let lower = word.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    lower.parse().ok()
}
