//! The `lamprey` and `cargo-lamprey` commands.
//!
//! ```text
//! main ─► check, replay, list ─► guests ─► workspace, build   (build ─► target_os, profile, rustflags ─► cargo_config)
//!     │        │     └─► show ─► store        (what earlier checks kept)
//!     │        └─► pool ─► the `check` crate  (several scenarios at once)
//!     ├─► litmus ─► ordered   (litmus tests, told in order)
//!     └─► run, new, pages
//! ```
//!
//! `args` is the one home of flags and their help, `exit` of exit codes, `ui` of
//! everything that is printed.
//!
//! # Invariants
//!
//! - Only this crate prints, colours, builds, keeps files or ends the process; only `ui` writes to a
//!   stream.
//! - A result that cannot be kept is a warning and never changes a verdict.
//! - Reports are standard output; everything said beside them is standard error.

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
mod run;
mod rustflags;
mod select;
mod show;
mod store;
mod target_os;
mod teller;
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

use args::{Command, Flags};
use error::Error;
use exit::Exit;
use ui::Ui;

/// Runs the command line of this process; `name` is what a person calls the program, `lamprey` or
/// `cargo lamprey`.
pub fn main(name: &str) -> ExitCode {
    send_panics_home();
    let words = words(name, env::args_os().collect());
    let flags = match parse(name, &words) {
        Ok(flags) => flags,
        Err(error) => return refuse_flags(&error, &words),
    };
    let bisect = matches!(&flags.command, Command::Check(check) if check.bisect);
    let mut ui = Ui::new(&flags.look);
    interrupt::hear();
    let exit = match carry_out(name, &flags, &mut ui) {
        Ok(exit) => exit,
        // Whoever read our output has had enough, which is no failure unless there is a verdict to
        // give: that is then not known.
        Err(error) if error.is_closed_output() => match &flags.command {
            Command::Check(_) | Command::Replay(_) | Command::Litmus(_) | Command::Run(_) => {
                Exit::Interrupted
            }
            _ => Exit::Passed,
        },
        Err(error) => {
            ui.clear_status();
            if !interrupt::asked() {
                ui.error(&error);
            }
            error.exit()
        }
    };
    let exit = if interrupt::asked() && exit != Exit::Bug { Exit::Interrupted } else { exit };
    ExitCode::from(if bisect { exit.bisect() } else { exit.code() })
}

/// The command line as a definition: what completions and manual pages are made from.
pub fn command() -> clap::Command {
    Flags::command().name("lamprey")
}

/// The arguments without the one that cargo puts before those of its subcommand.
fn words(name: &str, mut words: Vec<OsString>) -> Vec<OsString> {
    if name.starts_with("cargo") && words.get(1).is_some_and(|word| word == "lamprey") {
        words.remove(1);
    }
    words
}

fn parse(name: &str, words: &[OsString]) -> Result<Flags, clap::Error> {
    let command = command().bin_name(name);
    let matches = command.clone().try_get_matches_from(words)?;
    Flags::from_arg_matches(&matches)?.settle(&matches, command)
}

/// Prints help, version, or what is wrong with the flags.
fn refuse_flags(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let wrong = error.use_stderr();
    match error.print() {
        Err(why) if !wrong && why.kind() != io::ErrorKind::BrokenPipe => {
            let why = format!("standard output cannot be written: {why}\n");
            // If standard error is gone, too, the exit code says it.
            let _ = clap::Error::raw(ErrorKind::Io, why).print();
            return Exit::Refused.code().into();
        }
        // To a reader that is gone there is nothing to say.
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

fn carry_out(name: &str, flags: &Flags, ui: &mut Ui) -> Result<Exit, Error> {
    let program = commands::program(name);
    match &flags.command {
        Command::Check(check) => check::check(&program, check, &flags.look, ui),
        Command::Replay(replay) => replay::replay(&program, replay, &flags.look, ui),
        Command::Show(show) => show::show(&program, show, ui),
        Command::List(list) => list::list(list, &flags.look, ui),
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

/// After a panic's message says where to send it.
fn send_panics_home() {
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
