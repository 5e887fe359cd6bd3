//! All output to the terminal.

#![allow(clippy::print_stderr, reason = "this is the printer")]

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use outcome::Verdict;
use report::{Options, Role, Text};

use crate::args::{Color, StyleArgs};

/// The reason why standard output cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// the reader of standard output is gone
    #[error("the reader of standard output is gone")]
    Closed,
    /// standard output cannot be written: REASON
    #[error("standard output cannot be written: {0}")]
    Broken(io::Error),
}

/// Standard output for reports, and standard error for everything else.
pub(crate) struct Ui {
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    /// `true` if the last line of standard error can be redrawn.
    redraws: bool,
    /// `true` if the last line is a status line.
    status: bool,
    quiet: bool,
    options: Options,
}

impl Ui {
    pub(crate) fn new(style: &StyleArgs) -> Self {
        let choice = match style.color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            // Cargo's variable decides if ours does not.
            Color::Auto => match env::var("CARGO_TERM_COLOR").as_deref() {
                Ok("always") => ColorChoice::Always,
                Ok("never") => ColorChoice::Never,
                _ => ColorChoice::Auto,
            },
        };
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let options = Options {
            width: style.width.into(),
            utf8: locale_is_utf8(|name| env::var(name).ok()),
            verbose: style.verbose,
            raw: false,
        };
        Self {
            out: AutoStream::new(io::stdout(), choice),
            err: AutoStream::new(io::stderr(), choice),
            redraws: io::stderr().is_terminal() && !dumb,
            status: false,
            quiet: style.quiet,
            options,
        }
    }

    /// Returns the options of reports.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// Prints a report in colour.
    pub(crate) fn report(&mut self, text: &Text) -> Result<(), OutputError> {
        let painted = text.painted(|role, part| {
            let style = style(role);
            format!("{style}{part}{style:#}")
        });
        self.print(&painted)
    }

    /// Prints `text` unchanged to standard output.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), OutputError> {
        self.clear_status();
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Closed,
            _ => OutputError::Broken(error),
        })
    }

    /// Prints a line like `   Checking 5 scenarios`, in cargo's style.
    pub(crate) fn state(&mut self, verb: &str, words: &str) {
        if !self.quiet {
            let style = AnsiColor::Green.on_default().bold();
            self.say(&format!("{style}{verb:>12}{style:#} {words}"));
        }
    }

    pub(crate) fn warn(&mut self, words: impl Display) {
        let style = AnsiColor::Yellow.on_default().bold();
        self.say(&format!("{style}warning{style:#}: {words}"));
    }

    pub(crate) fn error(&mut self, words: impl Display) {
        let style = AnsiColor::Red.on_default().bold();
        self.say(&format!("{style}error{style:#}: {words}"));
    }

    /// Prints a line of a trace to standard error.
    pub(crate) fn trace(&mut self, words: impl Display) {
        self.say(&words.to_string());
    }

    /// Prints the status line: over the previous one, or below it if a line cannot be redrawn.
    pub(crate) fn status(&mut self, line: &str) {
        if self.redraws {
            // Bypasses the stream that strips escapes: this escape is not a colour.
            let _ = write!(io::stderr(), "\r\x1b[2K{line}").and_then(|()| io::stderr().flush());
            self.status = true;
        } else {
            let _ = writeln!(self.err, "{line}");
        }
    }

    pub(crate) fn clear_status(&mut self) {
        if self.status {
            let _ = write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush());
            self.status = false;
        }
    }

    /// Prints a line to standard error, and ignores errors, which could not be reported anywhere.
    fn say(&mut self, line: &str) {
        self.clear_status();
        let _ = writeln!(self.err, "{line}");
    }
}

/// Prints where to send the message of a panic.
pub(crate) fn say_where_to_send(while_doing: Option<&str>) {
    if let Some(scenario) = while_doing {
        eprintln!("while checking {scenario}");
    }
    let repository = match env!("CARGO_PKG_REPOSITORY") {
        "" => "the issue tracker of the repository it was built from",
        url => url,
    };
    eprintln!(
        "this is a bug in lamprey {}: no verdict is given. Please send the command line, the lines\n\
         above and, if you can, the guest image to {repository}",
        env!("CARGO_PKG_VERSION"),
    );
}

fn style(role: Role) -> Style {
    match role {
        Role::Plain => Style::new(),
        Role::Verdict(Verdict::Pass | Verdict::Found) => AnsiColor::Green.on_default().bold(),
        Role::Verdict(Verdict::Fail | Verdict::Lost) => AnsiColor::Red.on_default().bold(),
        Role::Verdict(Verdict::Undecided) => AnsiColor::Yellow.on_default().bold(),
        Role::Faint => Style::new().dimmed(),
        Role::Violated => AnsiColor::Red.on_default(),
        Role::Other => AnsiColor::Cyan.on_default(),
    }
}

/// Returns whether the locale is UTF-8. The first of the three variables that is set decides, as in
/// `setlocale`.
fn locale_is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::locale_is_utf8;

    #[test]
    fn the_most_specific_locale_decides() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            locale_is_utf8(move |name| {
                set.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
            })
        };
        assert!(with(&[("LANG", "en_GB.UTF-8")]));
        assert!(with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!with(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!(!with(&[]));
    }
}
