//! Expected outputs of tests, kept in files that `cargo xtask bless` writes anew.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use snapbox::assert::{Action, DEFAULT_ACTION_ENV};
use snapbox::data::DataFormat;
use snapbox::{Assert, Data};

/// Compares `now` with the text in the file at `path`, character by character; where they differ, returns
/// both as a diff, or while [blessing](is_blessing) writes the file.
///
/// # Panics
///
/// If the file is to be written and cannot be.
pub fn difference(path: &Path, now: &str) -> Option<String> {
    compare(path, now, DataFormat::Text)
}

/// Compares as [`difference`] does, but as JSON values: the order of keys is free.
///
/// # Panics
///
/// If the file is to be written and cannot be.
pub fn json_difference(path: &Path, now: &str) -> Option<String> {
    compare(path, now, DataFormat::Json)
}

fn compare(path: &Path, now: &str, format: DataFormat) -> Option<String> {
    // Raw: nothing in the file is a wildcard. Newlines are made equal all the same, so texts are compared here.
    let then = Data::read_from(path, Some(format)).raw();
    let difference = Assert::new().try_eq(None, Data::text(now), then).err();
    let is_text = format == DataFormat::Text;
    let is_same = !is_text || fs::read(path).is_ok_and(|then| then == now.as_bytes());
    if difference.is_none() && is_same {
        return None;
    }
    if is_blessing() {
        fs::write(path, now).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    let newlines = || format!("{}: the newlines differ", path.display());
    Some(difference.map_or_else(newlines, |difference| difference.to_string()))
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

/// Returns whether files are to be written rather than compared.
pub fn is_blessing() -> bool {
    Action::with_env_var(DEFAULT_ACTION_ENV) == Some(Action::Overwrite)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares `now` with a file that holds `then`.
    fn differ(then: &str, now: &str, compare: fn(&Path, &str) -> Option<String>) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("expected");
        fs::write(&path, then).expect("written");
        compare(&path, now).is_some()
    }

    #[test]
    fn texts_are_compared_character_by_character() {
        assert!(!differ("a\nb\n", "a\nb\n", difference));
        for (then, now) in [
            ("a\nb\n", "a\nc\n"),
            ("a\n", "a"),
            ("a\n", "a\r\n"),
            ("a/b\n", "a\\b\n"),
            ("[..]\n", "a\n"),
            ("a[..]\n", "ab\n"),
            ("...\n", "a\nb\n"),
            ("[EXE]\n", "\n"),
            ("", "a\n"),
        ] {
            assert!(differ(then, now, difference), "{then:?} {now:?}");
        }
    }

    #[test]
    fn json_is_compared_by_value_without_wildcards() {
        assert!(!differ("{\"a\": 1, \"b\": [2]}\n", "{\"b\":[2],\"a\":1}", json_difference));
        for (then, now) in [
            ("{\"a\": 1}", "{\"a\": 2}"),
            ("{\"a\": 1}", "{}"),
            ("{}", "{\"a\": 1}"),
            ("{\"a\": \"{...}\"}", "{\"a\": 1}"),
            ("{\"a\": \"[..]\"}", "{\"a\": \"b\"}"),
            ("[1, \"{...}\"]", "[1, 2, 3]"),
            ("no JSON", "{}"),
        ] {
            assert!(differ(then, now, json_difference), "{then:?} {now:?}");
        }
    }

    #[test]
    fn a_missing_file_is_a_difference() {
        let folder = tempfile::tempdir().expect("a folder");
        for compare in [difference, json_difference] {
            assert!(compare(&folder.path().join("missing"), "").is_some());
            assert!(compare(&folder.path().join("missing"), "{}").is_some());
        }
    }
}
