//! The `lamprey` and `cargo-lamprey` commands.
//!
//! ```text
//! main ─► check, replay, list ─► guests ─► workspace, build   (build ─► target_os, profile,
//! rustflags ─► cargo_config)
//!     │        │     └─► show ─► store        (results of earlier checks)
//!     │        └─► pool ─► the `check` crate  (several scenarios at once)
//!     ├─► litmus ─► ordered   (litmus tests, results in order)
//!     └─► run, new, pages
//! ```
//!
//! `args` alone has flags and their help, `exit` exit codes, and `ui` all printing.
//!
//! # Invariants
//!
//! - Only this crate prints, colours, builds, saves files or ends the process; only `ui` writes to a
//!   stream.
//! - A result that cannot be saved is a warning and never changes a verdict.
//! - Reports go to standard output; everything else goes to standard error.

#![forbid(unsafe_code)]

mod args;
mod atomic;
mod build;
mod cargo_config;
mod check;
mod commands;
mod error;
mod exit;
mod guests;
mod input;
mod interrupt;
mod list;
mod litmus;
mod memory;
mod new;
mod ordered;
mod pages;
mod pool;
mod profile;
mod progress;
mod replay;
mod reporter;
mod run;
mod rustflags;
mod select;
mod show;
mod store;
mod target_os;
mod ui;
mod units;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::io;
use std::panic;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use args::{Command, CommandLine};
use error::Error;
use exit::Exit;
use ui::Ui;

/// Runs the command line of this process; `name` is the name by which users call the program, `lamprey` or
/// `cargo lamprey`.
pub fn main(name: &str) -> ExitCode {
    install_panic_hook();
    let words = words(name, env::args_os().collect());
    let flags = match parse(name, &words) {
        Ok(flags) => flags,
        Err(error) => return refuse_flags(&error, &words),
    };
    let bisect = matches!(&flags.command, Command::Check(check) if check.bisect);
    let mut ui = Ui::new(&flags.style);
    interrupt::install_handler();
    let exit = match carry_out(name, &flags, &mut ui) {
        Ok(exit) => exit,
        // The reader of our output is gone. That is a failure only of commands that give a verdict,
        // which is then not known.
        Err(error) if error.is_closed_output() => match &flags.command {
            Command::Check(_) | Command::Replay(_) | Command::Litmus(_) | Command::Run(_) => {
                Exit::Interrupted
            }
            _ => Exit::Passed,
        },
        Err(error) => {
            ui.clear_status();
            if !interrupt::is_requested() {
                ui.error(&error);
            }
            error.exit()
        }
    };
    let exit =
        if interrupt::is_requested() && exit != Exit::Bug { Exit::Interrupted } else { exit };
    ExitCode::from(if bisect { exit.bisect() } else { exit.code() })
}

/// Returns the definition of the command line, from which completions and manual pages are generated.
pub fn command() -> clap::Command {
    CommandLine::command().name("lamprey")
}

/// Returns the arguments without the one that cargo inserts before those of its subcommand.
fn words(name: &str, mut words: Vec<OsString>) -> Vec<OsString> {
    if name.starts_with("cargo") && words.get(1).is_some_and(|word| word == "lamprey") {
        words.remove(1);
    }
    words
}

fn parse(name: &str, words: &[OsString]) -> Result<CommandLine, clap::Error> {
    let command = command().bin_name(name);
    let matches = command.clone().try_get_matches_from(words)?;
    CommandLine::from_arg_matches(&matches)?.settle(&matches, command)
}

/// Prints help, the version, or the error about the flags.
fn refuse_flags(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let wrong = error.use_stderr();
    match error.print() {
        Err(why) if !wrong && why.kind() != io::ErrorKind::BrokenPipe => {
            let why = format!("standard output cannot be written: {why}\n");
            // If standard error is gone, too, the exit code still reports the failure.
            let _ = clap::Error::raw(ErrorKind::Io, why).print();
            return Exit::Refused.code().into();
        }
        // There is nothing to report to a reader that is gone.
        Ok(()) | Err(_) => {}
    }
    let bisect = words.iter().any(|word| word == "--bisect");
    match error.kind() {
        _ if wrong && bisect => Exit::Refused.bisect().into(),
        _ if wrong => Exit::Refused.code().into(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Passed.code().into(),
        _ => Exit::Refused.code().into(),
    }
}

fn carry_out(name: &str, flags: &CommandLine, ui: &mut Ui) -> Result<Exit, Error> {
    let program = commands::program(name);
    match &flags.command {
        Command::Check(check) => check::check(&program, check, &flags.style, ui),
        Command::Replay(replay) => replay::replay(&program, replay, &flags.style, ui),
        Command::Show(show) => show::show(&program, show, ui),
        Command::List(list) => list::list(list, &flags.style, ui),
        Command::Litmus(args) => litmus::litmus(args, ui),
        Command::Run(run) => run::run(run, ui),
        Command::New(new) => new::new(&program, new, ui),
        Command::Completions(completions) => {
            let mut script = Vec::new();
            clap_complete::generate(completions.shell, &mut command(), "lamprey", &mut script);
            ui.print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Passed)
        }
        Command::Help(help) => {
            let mut command = command().bin_name(name);
            let text = pages::page(help.topic.as_deref(), &mut command)?;
            ui.print(&text)?;
            Ok(Exit::Passed)
        }
    }
}

/// Installs a hook that prints, after a panic's message, where to send it.
fn install_panic_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        before(panic);
        ui::say_where_to_send(pool::checking().as_deref());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_that_cargo_adds_is_taken_away() {
        let of = |name, given: &[&str]| words(name, given.iter().map(OsString::from).collect());
        assert_eq!(of("cargo lamprey", &["x", "lamprey", "check"]), ["x", "check"]);
        assert_eq!(of("cargo lamprey", &["x", "check"]), ["x", "check"]);
        assert_eq!(of("lamprey", &["x", "lamprey"]), ["x", "lamprey"]);
    }
}
