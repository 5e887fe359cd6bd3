//! Expected outputs of tests, kept in files that `cargo xtask bless` writes anew.

#![forbid(unsafe_code)]

use std::path::Path;

use snapbox::assert::{Action, DEFAULT_ACTION_ENV};
use snapbox::data::DataFormat;
use snapbox::{Assert, Data};

/// Compares `now` with the file at `path`; where they differ, returns both as a diff, or while
/// [blessing](is_blessing) writes the file.
///
/// Files with the extension `json` are compared as values: the order of keys is free.
pub fn difference(path: &Path, now: &str) -> Option<String> {
    let format = match path.extension().is_some_and(|extension| extension == "json") {
        true => DataFormat::Json,
        false => DataFormat::Text,
    };
    let then = Data::read_from(path, Some(format)).raw();
    let assert = Assert::new().action_env(DEFAULT_ACTION_ENV);
    assert.try_eq(None, Data::text(now), then).err().map(|error| error.to_string())
}

/// Fails with all `differences`; `what` is the argument of `cargo xtask bless` that accepts them.
///
/// # Panics
///
/// If there are any.
pub fn assert_none(differences: &[String], what: &str) {
    let all = differences.join("\n");
    assert!(differences.is_empty(), "{all}\n`cargo xtask bless {what}` writes what is said now");
}

/// Whether files are to be written rather than compared.
pub fn is_blessing() -> bool {
    Action::with_env_var(DEFAULT_ACTION_ENV) == Some(Action::Overwrite)
}
