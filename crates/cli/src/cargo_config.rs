//! Reads compiler flags from cargo's configuration files.
//!
//! It reads them as cargo does: `.cargo/config.toml` of a folder and of those above it, then that of
//! `$CARGO_HOME`; a nearer file wins, and lists are joined, the nearest last.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use toml::{Table, Value};

/// Depth to which included files are read.
const INCLUDES: usize = 8;

/// Configuration files, the nearest last.
#[derive(Debug, Default)]
pub(crate) struct CargoConfig {
    files: Vec<Table>,
    /// Files that cannot be read, each with the reason.
    pub(crate) unread: Vec<String>,
}

impl CargoConfig {
    /// Reads the files of `folder`, of those above it and of cargo's own folder `home`.
    pub(crate) fn read(folder: &Path, home: Option<&Path>) -> Self {
        let mut paths: Vec<PathBuf> = Vec::new();
        let folders = folder.ancestors().map(|folder| folder.join(".cargo"));
        for folder in folders.chain(home.map(Path::to_owned)) {
            // Cargo prefers the old name of the two.
            let names = ["config", "config.toml"].map(|name| folder.join(name));
            let file = names.into_iter().find(|path| path.is_file());
            paths.extend(file.filter(|path| !paths.contains(path)));
        }
        let mut config = Self::default();
        for path in paths.iter().rev() {
            config.add(path, INCLUDES);
        }
        config
    }

    fn add(&mut self, path: &Path, includes: usize) {
        let text = fs::read_to_string(path).map_err(|reason| reason.to_string());
        let table = text.and_then(|text| {
            text.parse::<Table>().map_err(|reason| reason.to_string().trim_end().to_owned())
        });
        let table = match table {
            Ok(table) => table,
            Err(reason) => return self.unread.push(format!("{}: {reason}", path.display())),
        };
        for file in included(&table) {
            let file = path.parent().unwrap_or(path).join(file);
            // Like cargo, leaves out files that do not exist.
            if includes > 0 && file.is_file() {
                self.add(&file, includes - 1);
            }
        }
        self.files.push(table);
    }

    /// Returns the `rustflags` of the table at `path`, empty where there are none.
    pub(crate) fn rustflags(&self, path: &[&str]) -> Vec<String> {
        let mut flags = Vec::new();
        for file in &self.files {
            let value = path.iter().try_fold(file, |table, key| table.get(*key)?.as_table());
            match value.and_then(|table| table.get("rustflags")) {
                Some(Value::String(text)) => flags = words(text),
                Some(Value::Array(list)) => {
                    flags.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => {}
            }
        }
        flags
    }

    /// Returns the value at `path` of the nearest file that has one.
    pub(crate) fn value(&self, path: &[&str]) -> Option<&Value> {
        self.files.iter().rev().find_map(|file| value(file, path))
    }

    /// Returns the keys of `target` that are expressions and have `rustflags`, in cargo's order.
    pub(crate) fn expressions(&self) -> Vec<&str> {
        let targets = self.files.iter().filter_map(|file| file.get("target")?.as_table());
        let flagged = |value: &Value| value.as_table().is_some_and(|t| t.contains_key("rustflags"));
        let mut keys: Vec<&str> = targets
            .flatten()
            .filter(|(key, value)| key.starts_with("cfg(") && flagged(value))
            .map(|(key, _)| key.as_str())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Returns the value at `path` in `table`.
pub(crate) fn value<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (last, tables) = path.split_last()?;
    tables.iter().try_fold(table, |table, key| table.get(*key)?.as_table())?.get(*last)
}

/// Splits flags at spaces, as cargo does.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Returns the files that `table` includes, in order: each a path or a table with one.
fn included(table: &Table) -> Vec<&str> {
    let values = match table.get("include") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => slice::from_ref(one),
        None => &[],
    };
    values
        .iter()
        .filter_map(|value| value.as_str().or_else(|| value.get("path")?.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn nearer_files_come_later_and_those_they_include_before_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let list = |flag: &str| format!("build.rustflags = [\"{flag}\"]\n");
        write(&at("home/config.toml"), &list("home"));
        write(&at("a/.cargo/config.toml"), &list("above"));
        write(&at("a/.cargo/more.toml"), &list("included"));
        let nearest = list("nearest") + "include = [{ path = \"../../.cargo/more.toml\" }]\n";
        write(&at("a/b/.cargo/config.toml"), &nearest);
        let config = CargoConfig::read(&at("a/b"), Some(&at("home")));
        assert_eq!(config.rustflags(&["build"]), ["home", "above", "included", "nearest"]);
        // Cargo's own folder is not read twice if it is also above.
        let config = CargoConfig::read(&at("a/b"), Some(&at("a/.cargo")));
        assert_eq!(config.rustflags(&["build"]), ["above", "included", "nearest"]);
        // The old name wins, and a string is not a list: it replaces values of farther files.
        write(&at("a/b/.cargo/config"), "build.rustflags = \" two  words\"\n");
        let config = CargoConfig::read(&at("a/b"), Some(&at("home")));
        assert_eq!(config.rustflags(&["build"]), ["two", "words"]);
        assert_eq!(config.unread, [""; 0]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".cargo/config.toml");
        write(&path, "build = [\n");
        let config = CargoConfig::read(folder.path(), None);
        assert_eq!(config.rustflags(&["build"]), [""; 0]);
        let [reason] = &config.unread[..] else { panic!("{:?}", config.unread) };
        assert!(reason.starts_with(&format!("{}: ", path.display())), "{reason}");
    }
}
