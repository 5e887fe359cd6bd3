//! Runs the program in a temporary folder, without environment variables that change its behaviour.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::env;
use std::path::Path;
use std::process::{Command, Output};

/// Returns a folder outside every workspace.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Returns a command that runs `lamprey` in `folder`.
pub(crate) fn lamprey(folder: &Path) -> Command {
    prepared(env!("CARGO_BIN_EXE_lamprey"), folder)
}

/// Returns a command that runs `cargo-lamprey` as cargo does.
pub(crate) fn cargo_lamprey(folder: &Path) -> Command {
    let mut command = prepared(env!("CARGO_BIN_EXE_cargo-lamprey"), folder);
    command.arg("lamprey");
    command
}

/// Returns a command that runs a line as typed into a shell.
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
    // An empty list of flags counts, so flags that the developer has configured do not apply.
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "");
    // The expected outputs belong to this target, whatever is installed.
    command.env("LAMPREY_TARGET", "x86_64-unknown-linux-gnu");
    command.current_dir(folder);
    command
}

/// Runs a command and returns exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}
