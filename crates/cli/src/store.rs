//! What is kept of a check, so that `show` and `replay` work later.
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

/// Version of the kept outcomes; others are refused.
const VERSION: u64 = 2;

/// A folder of results.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

/// A kept outcome.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) outcome: Outcome,
    /// Name of its trail.
    pub(crate) trail: Option<String>,
    /// Milliseconds since 1970.
    when: u64,
}

/// The last outcome of each scenario.
#[derive(Debug, Default)]
struct Last {
    records: Vec<Record>,
    broken: Vec<Broken>,
}

/// A file that cannot be read, or is not what was written there.
#[derive(Debug)]
struct Broken {
    /// Its name without the ending.
    name: String,
    /// When it was written, as [`Record::when`].
    when: u64,
    error: StoreError,
}

/// A result cannot be kept, or not be found again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// a file cannot be written
    #[error("{}: cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// a file cannot be read
    #[error("{}: cannot be read: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// a file is not what was written there
    #[error("{}: not a result that this version kept ({reason}); check again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// nothing was found yet
    #[error("no finding is kept in {}; `check` keeps them", .0.display())]
    NoFinding(PathBuf),
    /// no result has this name
    #[error("{name}: neither a trail nor a scenario with a result in {}{}", root.display(), among(names))]
    NoSuch {
        /// What was asked for.
        name: String,
        /// Where.
        root: PathBuf,
        /// Names like it.
        names: Vec<String>,
    },
    /// the last result of a scenario has no trail
    #[error("{scenario}: its last result has no trail; a check that finds something keeps one")]
    NoTrail {
        /// The scenario.
        scenario: String,
    },
    /// a file that is a trail, and not one of those kept here
    #[error(
        "{}: no result is kept of a trail in this place; `lamprey replay {}` runs it again",
        .0.display(),
        crate::commands::quoted(.0)
    )]
    OnlyTrail(PathBuf),
    /// a file that is no trail
    #[error("{}: {reason}", path.display())]
    NotATrail {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: TrailError,
    },
    /// several scenarios have this in their name
    #[error(
        "{name}: several scenarios with results have this in their name; give one's full name:\n  {}",
        names.join("\n  ")
    )]
    Several {
        /// What was asked for.
        name: String,
        /// All it could mean.
        names: Vec<String>,
    },
}

impl Store {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Keeps an outcome and its trail, given by name and text.
    pub(crate) fn keep(
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

    /// Path and text of a trail: by its name, by its path where there is such a file, or by the
    /// scenario whose last result it belongs to, as in [`Store::find`].
    pub(crate) fn find_trail(&self, name: &str) -> Result<(PathBuf, String), StoreError> {
        let path = match Path::new(name) {
            path if path.is_file() => path.to_owned(),
            _ if name.contains('/') => PathBuf::from(name),
            _ if self.trail(stem(name)).is_file() => self.trail(stem(name)),
            _ => {
                let Record { outcome, trail, .. } = self.find_last(name)?;
                let scenario = outcome.scenario;
                self.trail(&trail.ok_or(StoreError::NoTrail { scenario })?)
            }
        };
        match input::text(&path, input::LONG) {
            Ok(text) => Ok((path, text)),
            Err(reason) => Err(StoreError::Read { path, reason }),
        }
    }

    /// Name of the trail at `path`, if it is one of this store's.
    pub(crate) fn name_of(&self, path: &Path) -> Option<String> {
        let folder = path.parent()?.canonicalize().ok()?;
        let ours = folder == self.trails().canonicalize().ok()?;
        ours.then(|| stem(&path.to_string_lossy()).to_owned())
    }

    /// Is the outcome of the trail `name` kept?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.record(name).is_file()
    }

    /// The record that `name` means: a trail's name or path, a scenario's name or a part of it.
    pub(crate) fn find(&self, name: &str) -> Result<Record, StoreError> {
        let path = Path::new(name);
        // A trail elsewhere may have the name of one that is kept, and be another.
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

    /// The last record of the scenario that has this name, or alone has it in its name.
    fn find_last(&self, name: &str) -> Result<Record, StoreError> {
        let Last { records, broken } = self.all_last();
        let part: Vec<&Record> =
            records.iter().filter(|record| record.outcome.scenario.contains(name)).collect();
        let exact = part.iter().find(|record| record.outcome.scenario == name);
        if let Some(record) = exact {
            return Ok((*record).clone());
        }
        // It may be the one that is meant.
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

    /// The newest outcome that has a finding.
    pub(crate) fn newest_finding(&self) -> Result<Record, StoreError> {
        let Last { mut records, broken } = self.all_last();
        records.retain(|record| record.outcome.finding.is_some());
        let newest = records.into_iter().max_by_key(|record| record.when);
        // What cannot be read may be the one that is meant.
        let known = newest.as_ref().map_or(0, |record| record.when);
        match broken.into_iter().find(|broken| broken.when >= known) {
            Some(broken) => Err(broken.error),
            None => newest.ok_or_else(|| StoreError::NoFinding(self.root.clone())),
        }
    }

    /// The last outcomes.
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

    /// The outcome of a trail.
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

/// A trail's name without its folder and ending.
fn stem(name: &str) -> &str {
    let base = name.rsplit_once('/').map_or(name, |(_, base)| base);
    base.strip_suffix(".trail").unwrap_or(base)
}

/// `a::b` as `a.b`; what no file should be called is replaced.
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

fn read(path: &Path) -> Result<Record, StoreError> {
    let text = input::text(path, input::LONG)
        .map_err(|reason| StoreError::Read { path: path.to_owned(), reason })?;
    let broken = |reason: String| StoreError::Broken { path: path.to_owned(), reason };
    let mut value: Value =
        serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    if value["version"] != VERSION {
        return Err(broken(format!("version {}", value["version"])));
    }
    let outcome = serde_json::from_value(value["outcome"].take());
    Ok(Record {
        outcome: outcome.map_err(|error| broken(error.to_string()))?,
        trail: value["trail"].as_str().map(str::to_owned),
        when: value["when"].as_u64().unwrap_or(0),
    })
}

fn now() -> u64 {
    milliseconds(SystemTime::now())
}

/// Since 1970.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

fn among(names: &[String]) -> String {
    match names {
        [] => "; `check` keeps them".to_owned(),
        names => format!("; there are, among others:\n  {}", names.join("\n  ")),
    }
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
