//! Runs the program in a folder of its own, with nothing from the environment that changes it.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::env;
use std::path::Path;
use std::process::{Command, Output};

/// A folder that is far from every workspace.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// `lamprey`, to be run in `folder`.
pub(crate) fn lamprey(folder: &Path) -> Command {
    prepared(env!("CARGO_BIN_EXE_lamprey"), folder)
}

/// `cargo-lamprey`, as cargo runs it.
pub(crate) fn cargo_lamprey(folder: &Path) -> Command {
    let mut command = prepared(env!("CARGO_BIN_EXE_cargo-lamprey"), folder);
    command.arg("lamprey");
    command
}

/// A line as a person types it into a shell.
pub(crate) fn shell(folder: &Path, line: &str) -> Command {
    let mut command = prepared("sh", folder);
    command.args(["-c", line]);
    command
}

fn prepared(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("LAMPREY_")) {
        command.env_remove(name);
    }
    for name in ["CARGO_TERM_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    // An empty list of flags counts, so that none is heeded that a person has configured.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "");
    // Whatever is installed: what the tests expect belongs to this target.
    command.env("LAMPREY_TARGET", "x86_64-unknown-linux-gnu");
    command.current_dir(folder);
    command
}

/// Exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}
