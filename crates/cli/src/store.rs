//! Saved results of checks, for `show` and `replay`.
//!
//! ```text
//! ROOT/trails/NAME.trail   the trail
//! ROOT/trails/NAME.json    the outcome it belongs to
//! ROOT/last/SCENARIO.json  the last outcome of each scenario
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use check::{Trail, TrailError};
use outcome::Outcome;
use serde_json::{Value, json};

use crate::atomic;
use crate::input;

/// Version of saved outcomes; others are refused.
const VERSION: u64 = 2;

/// A folder of saved results.
#[derive(Clone, Debug)]
pub(crate) struct ResultStore {
    root: PathBuf,
}

/// A saved outcome.
#[derive(Clone, Debug)]
pub(crate) struct ResultRecord {
    pub(crate) outcome: Outcome,
    /// Name of its trail.
    pub(crate) trail: Option<String>,
    /// Time of the check, in milliseconds since 1970.
    when: u64,
}

/// The last outcome of each scenario.
#[derive(Debug, Default)]
struct Last {
    records: Vec<ResultRecord>,
    broken: Vec<Broken>,
}

/// A file that cannot be read, or does not contain a saved result.
#[derive(Debug)]
struct Broken {
    /// Its name without the extension.
    name: String,
    /// Time of its last change, as in [`ResultRecord::when`].
    when: u64,
    error: StoreError,
}

/// The reason why a result cannot be saved or found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// a file cannot be written
    #[error("{}: cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// a file cannot be read
    #[error("{}: cannot be read: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// a file does not contain a saved result
    #[error("{}: not a result of this version ({reason}); check again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// no finding is saved
    #[error("no finding is saved in {}; `check` saves them", .0.display())]
    NoFinding(PathBuf),
    /// no result has this name
    #[error("{name}: neither a trail nor a scenario with a result in {}{}", root.display(), among(names))]
    NoSuch {
        /// The requested name.
        name: String,
        /// The folder of results.
        root: PathBuf,
        /// Similar names.
        names: Vec<String>,
    },
    /// the last result of a scenario has no trail
    #[error("{scenario}: its last result has no trail; a check that finds something saves one")]
    NoTrail {
        /// The scenario.
        scenario: String,
    },
    /// a file is a trail, but not one that is saved here
    #[error(
        "{}: no result is saved for this trail; `lamprey replay {}` runs it again",
        .0.display(),
        crate::commands::quoted(.0)
    )]
    OnlyTrail(PathBuf),
    /// a file is not a trail
    #[error("{}: {reason}", path.display())]
    NotATrail {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: TrailError,
    },
    /// several scenarios have this in their names
    #[error(
        "{name}: several scenarios with results have this in their names; give a full name:\n  {}",
        names.join("\n  ")
    )]
    Several {
        /// The requested name.
        name: String,
        /// All scenarios that it could mean.
        names: Vec<String>,
    },
}

impl ResultStore {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Saves an outcome and its trail, given by name and text.
    pub(crate) fn save(
        &self,
        outcome: &Outcome,
        trail: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let name = trail.map(|(name, _)| name);
        let record = json!({
            "version": VERSION, "when": now(), "trail": name, "outcome": outcome,
        });
        let record = format!("{record:#}\n");
        if let Some((name, text)) = trail {
            write(&self.trail(name), text)?;
            write(&self.record(name), &record)?;
        }
        write(&self.last().join(format!("{}.json", file_name(&outcome.scenario))), &record)
    }

    /// Returns path and text of a trail: by its name, by its path if there is such a file, or by the
    /// scenario whose last result it belongs to, as in [`ResultStore::find`].
    pub(crate) fn find_trail(&self, name: &str) -> Result<(PathBuf, String), StoreError> {
        let path = match Path::new(name) {
            path if path.is_file() => path.to_owned(),
            _ if name.contains('/') => PathBuf::from(name),
            _ if self.trail(stem(name)).is_file() => self.trail(stem(name)),
            _ => {
                let ResultRecord { outcome, trail, .. } = self.find_last(name)?;
                let scenario = outcome.scenario;
                self.trail(&trail.ok_or(StoreError::NoTrail { scenario })?)
            }
        };
        match input::text(&path, input::LONG) {
            Ok(text) => Ok((path, text)),
            Err(reason) => Err(StoreError::Read { path, reason }),
        }
    }

    /// Returns the name of the trail at `path`, if it is in this store.
    pub(crate) fn name_of(&self, path: &Path) -> Option<String> {
        let folder = path.parent()?.canonicalize().ok()?;
        let ours = folder == self.trails().canonicalize().ok()?;
        ours.then(|| stem(&path.to_string_lossy()).to_owned())
    }

    /// Returns whether the outcome of the trail `name` is saved.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.record(name).is_file()
    }

    /// Returns the record that `name` means: the name or path of a trail, or the name of a scenario
    /// or a part of it.
    pub(crate) fn find(&self, name: &str) -> Result<ResultRecord, StoreError> {
        let path = Path::new(name);
        // A trail elsewhere may have the name of a saved one without being the same.
        let is_path = name.contains('/') && self.name_of(path).is_none();
        if !is_path && self.has(stem(name)) {
            return read(&self.record(stem(name)));
        }
        if name.contains('/') || path.is_file() {
            let path = path.to_owned();
            return Err(match input::text(&path, input::LONG) {
                Err(reason) => StoreError::Read { path, reason },
                Ok(text) => match Trail::parse(&text) {
                    Ok(_) => StoreError::OnlyTrail(path),
                    Err(reason) => StoreError::NotATrail { path, reason },
                },
            });
        }
        self.find_last(name)
    }

    /// Returns the last record of the scenario with this name, or of the only scenario whose name contains it.
    fn find_last(&self, name: &str) -> Result<ResultRecord, StoreError> {
        let Last { records, broken } = self.all_last();
        let part: Vec<&ResultRecord> =
            records.iter().filter(|record| record.outcome.scenario.contains(name)).collect();
        let exact = part.iter().find(|record| record.outcome.scenario == name);
        if let Some(record) = exact {
            return Ok((*record).clone());
        }
        // The broken file may be the one that is meant.
        let name_of_file = file_name(name);
        if let Some(broken) = broken.into_iter().find(|one| one.name.contains(&name_of_file)) {
            return Err(broken.error);
        }
        match part.as_slice() {
            [record] => Ok((*record).clone()),
            [] => Err(self.no_such(name)),
            several => {
                let names = several.iter().map(|record| record.outcome.scenario.clone()).collect();
                Err(StoreError::Several { name: name.to_owned(), names })
            }
        }
    }

    /// Returns the newest outcome with a finding.
    pub(crate) fn newest_finding(&self) -> Result<ResultRecord, StoreError> {
        let Last { mut records, broken } = self.all_last();
        records.retain(|record| record.outcome.finding.is_some());
        let newest = records.into_iter().max_by_key(|record| record.when);
        // A file that cannot be read may be the one that is meant.
        let known = newest.as_ref().map_or(0, |record| record.when);
        match broken.into_iter().find(|broken| broken.when >= known) {
            Some(broken) => Err(broken.error),
            None => newest.ok_or_else(|| StoreError::NoFinding(self.root.clone())),
        }
    }

    /// Returns the last outcome of each scenario.
    fn all_last(&self) -> Last {
        let files = fs::read_dir(self.last()).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let mut last = Last::default();
        for path in paths {
            match read(&path) {
                Ok(record) => last.records.push(record),
                Err(error) => {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    let written = path.metadata().and_then(|data| data.modified());
                    let when = written.map_or(u64::MAX, milliseconds);
                    last.broken.push(Broken { name, when, error });
                }
            }
        }
        last
    }

    fn no_such(&self, name: &str) -> StoreError {
        let Last { records, .. } = self.all_last();
        let trails = records.iter().filter_map(|record| record.trail.as_deref());
        let names: Vec<&str> =
            trails.chain(records.iter().map(|record| record.outcome.scenario.as_str())).collect();
        let names = crate::select::like(&names, &[name.to_owned()]);
        StoreError::NoSuch { name: name.to_owned(), root: self.root.clone(), names }
    }

    fn trail(&self, name: &str) -> PathBuf {
        self.trails().join(format!("{}.trail", file_name(name)))
    }

    /// Returns the path of the outcome of a trail.
    fn record(&self, name: &str) -> PathBuf {
        self.trails().join(format!("{}.json", file_name(name)))
    }

    fn trails(&self) -> PathBuf {
        self.root.join("trails")
    }

    fn last(&self) -> PathBuf {
        self.root.join("last")
    }
}

/// Returns the name of a trail without folder and extension.
fn stem(name: &str) -> &str {
    let base = name.rsplit_once('/').map_or(name, |(_, base)| base);
    base.strip_suffix(".trail").unwrap_or(base)
}

/// Returns the name of a file: `a.b` for `a::b`, with other special characters replaced.
fn file_name(name: &str) -> String {
    let keep = |c: char| match c {
        '-' | '_' | '.' => c,
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    };
    let safe: String = name.replace("::", ".").chars().map(keep).collect();
    if safe.starts_with('.') { format!("_{safe}") } else { safe }
}

fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| atomic::write(path, text))
        .map_err(|reason| StoreError::Write { path: path.to_owned(), reason })
}

fn read(path: &Path) -> Result<ResultRecord, StoreError> {
    let text = input::text(path, input::LONG)
        .map_err(|reason| StoreError::Read { path: path.to_owned(), reason })?;
    let broken = |reason: String| StoreError::Broken { path: path.to_owned(), reason };
    let mut value: Value =
        serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    if value["version"] != VERSION {
        return Err(broken(format!("version {}", value["version"])));
    }
    let outcome = serde_json::from_value(value["outcome"].take());
    Ok(ResultRecord {
        outcome: outcome.map_err(|error| broken(error.to_string()))?,
        trail: value["trail"].as_str().map(str::to_owned),
        when: value["when"].as_u64().unwrap_or(0),
    })
}

fn now() -> u64 {
    milliseconds(SystemTime::now())
}

/// Returns the milliseconds since 1970.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

fn among(names: &[String]) -> String {
    match names {
        [] => "; `check` saves them".to_owned(),
        names => format!("; there are, among others:\n  {}", names.join("\n  ")),
    }
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
