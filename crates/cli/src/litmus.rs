//! `litmus`: runs litmus tests, tells in which states they end, and compares these with what is expected.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use litmus::{Budget, Difference, Final, Log, Report, Test, Undecided};
use serde_json::{Value, json};

use crate::args::{self, Format, Litmus, Model};
use crate::commands::quoted;
use crate::error::{Error, LitmusError};
use crate::exit::Exit;
use crate::input;
use crate::interrupt;
use crate::memory;
use crate::ordered;
use crate::ui::Ui;

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Agrees,
    Differs,
    /// There is nothing to compare it with.
    Ran,
    Undecided,
    /// The file is no test.
    Refused,
    Interrupted,
    /// No test: the log lists none of those that were run.
    Unmatched,
}

impl Verdict {
    const ALL: [Verdict; 6] = [
        Verdict::Agrees,
        Verdict::Differs,
        Verdict::Ran,
        Verdict::Undecided,
        Verdict::Refused,
        Verdict::Interrupted,
    ];

    fn exit(self) -> Exit {
        match self {
            Verdict::Agrees | Verdict::Ran => Exit::Passed,
            Verdict::Differs => Exit::Violated,
            Verdict::Undecided => Exit::Undecided,
            Verdict::Refused => Exit::Refused,
            Verdict::Interrupted => Exit::Interrupted,
            Verdict::Unmatched => Exit::Nothing,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Verdict::Agrees => "agrees",
            Verdict::Differs => "differs",
            Verdict::Ran => "ran",
            Verdict::Undecided => "undecided",
            Verdict::Refused => "refused",
            Verdict::Interrupted => "interrupted",
            Verdict::Unmatched => "of other tests",
        }
    }

    /// In the summary, after the number of tests.
    fn words(self) -> &'static str {
        match self {
            Verdict::Agrees => "agree",
            Verdict::Differs => "differ",
            Verdict::Ran => "with nothing to compare with",
            Verdict::Undecided => "undecided",
            Verdict::Refused => "not readable",
            Verdict::Interrupted => "interrupted",
            Verdict::Unmatched => "of other tests",
        }
    }
}

/// What is said of a test.
struct Told {
    verdict: Verdict,
    /// Empty if the file is no test.
    name: String,
    /// For standard output.
    out: String,
    /// For standard error.
    errors: Vec<String>,
}

/// Carries out `litmus`.
pub(crate) fn litmus(args: &Litmus, ui: &mut Ui) -> Result<Exit, Error> {
    let began = Instant::now();
    let log_path = args.expect.as_ref().or(args.expect_subset.as_ref());
    let log = log_path.map(|path| read_log(path)).transpose()?;
    let files = files(&args.paths)?;
    if files.is_empty() {
        return Err(LitmusError::Nothing.into());
    }
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let threads = args.jobs.map_or_else(processors, usize::from).min(files.len());
    let budget = budget(&args.budget, threads);
    let runner = Runner { args, budget, log: log.as_ref(), quiet: ui.quiet() };
    let mut verdicts = Vec::new();
    let mut names = BTreeSet::new();
    let mut worst = None;
    let name = |file: &PathBuf| file.display().to_string();
    ordered::run(
        &files,
        threads,
        name,
        |file| runner.run(file),
        |number, told| {
            let Some(told) = told else {
                ui.error(format!("{}: no verdict", files[number].display()));
                worst = Some(Exit::Bug);
                return Ok(());
            };
            told.errors.iter().for_each(|error| ui.error(error));
            verdicts.push(told.verdict);
            names.insert(told.name);
            ui.print(&told.out)
        },
    )?;
    if let (Some(log), Some(path)) = (&log, log_path)
        && let Err(error) = tell_unmatched(log, &names, path, ui)
    {
        // A file that is no test, or a difference, is not hidden by a log of other tests.
        ui.error(error.to_string());
        verdicts.push(Verdict::Unmatched);
    }
    verdicts.sort_by_key(|verdict| *verdict == Verdict::Unmatched);
    let run = verdicts.iter().filter(|verdict| **verdict != Verdict::Unmatched).count();
    let summary = summary(&verdicts[..run], args.model, began.elapsed().as_secs_f64());
    ui.state("Summary", &summary);
    let order = [Exit::Refused, Exit::Violated, Exit::Nothing, Exit::Undecided];
    let verdict = |exit: &Exit| verdicts.iter().any(|verdict| verdict.exit() == *exit);
    Ok(worst.or_else(|| order.into_iter().find(verdict)).unwrap_or(Exit::Passed))
}

/// Searches that run at once share the memory.
fn budget(flags: &args::Budget, threads: usize) -> Budget {
    let memory = flags.memory.unwrap_or_else(memory::default_budget);
    let unlimited = Budget::default();
    Budget {
        states: flags.states.unwrap_or(unlimited.states),
        bytes: memory / threads.max(1) as u64,
        seconds: flags.time.unwrap_or(unlimited.seconds),
    }
}

/// `312 tests under tso: 310 agree, 2 differ  [0.41s]`
fn summary(verdicts: &[Verdict], model: Model, seconds: f64) -> String {
    let number = |verdict: Verdict| verdicts.iter().filter(|other| **other == verdict).count();
    let parts: Vec<String> = Verdict::ALL
        .into_iter()
        .filter(|verdict| number(*verdict) > 0)
        .map(|verdict| format!("{} {}", number(verdict), verdict.words()))
        .collect();
    let tests = report::count(verdicts.len() as u64, "test");
    let model = memory_model(model).name();
    format!("{tests} under {model}: {}  [{seconds:.2}s]", parts.join(", "))
}

fn memory_model(model: Model) -> litmus::Model {
    match model {
        Model::Sc => litmus::Model::Sc,
        Model::Tso => litmus::Model::Tso,
    }
}

fn read(path: &Path, mebibytes: u64) -> Result<String, LitmusError> {
    input::text(path, mebibytes)
        .map_err(|reason| LitmusError::Unreadable { path: path.to_owned(), reason })
}

fn read_log(path: &Path) -> Result<Log, LitmusError> {
    let text = read(path, input::LONG)?;
    Log::parse(&text).map_err(|reason| LitmusError::Log { path: path.to_owned(), reason })
}

/// The tests in these files, indexes and folders. Those of a folder are sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LitmusError> {
    let mut files = Vec::new();
    collect(paths, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// `open` are the indexes that lead here.
fn collect(
    paths: &[PathBuf],
    open: &mut Vec<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), LitmusError> {
    for path in paths {
        let is_index = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('@'));
        if path.is_dir() {
            in_folder(path, files)?;
        } else if is_index {
            in_index(path, open, files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(())
}

fn in_folder(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LitmusError> {
    let unreadable = |reason| LitmusError::Unreadable { path: folder.to_owned(), reason };
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(unreadable)?.collect();
    let mut paths: Vec<PathBuf> =
        entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            in_folder(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "litmus") {
            files.push(path);
        }
    }
    Ok(())
}

/// herd's `@all`: a path per line, from the folder of the index; `#` begins a comment.
fn in_index(
    index: &Path,
    open: &mut Vec<PathBuf>,
    all: &mut Vec<PathBuf>,
) -> Result<(), LitmusError> {
    let unreadable = |reason| LitmusError::Unreadable { path: index.to_owned(), reason };
    let whole = fs::canonicalize(index).map_err(unreadable)?;
    if open.contains(&whole) {
        return Err(unreadable(io::Error::other("the index names itself, or one that names it")));
    }
    let folder = index.parent().unwrap_or(Path::new(""));
    let text = read(index, input::SHORT)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let paths: Vec<PathBuf> =
        lines.filter(|line| !line.is_empty()).map(|line| folder.join(line)).collect();
    open.push(whole);
    collect(&paths, open, all)?;
    open.pop();
    Ok(())
}

/// Tests of the log that were not run, and the other way round.
fn tell_unmatched(
    log: &Log,
    names: &BTreeSet<String>,
    path: &Path,
    ui: &mut Ui,
) -> Result<(), LitmusError> {
    let listed: BTreeSet<String> = log.tests.keys().cloned().collect();
    if listed.is_disjoint(names) && !interrupt::asked() {
        return Err(LitmusError::OtherTests { path: path.to_owned() });
    }
    let mut tell = |names: Vec<&String>, words: &str| {
        let Some(first) = names.first() else { return };
        let others = match names.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        ui.warn(format!("{}: {words}: {first}{others}", path.display()));
    };
    tell(listed.difference(names).collect(), "lists tests that were not run");
    let missing = names.difference(&listed).filter(|name| !name.is_empty());
    tell(missing.collect(), "does not list tests that were run");
    Ok(())
}

/// Runs one test after the other.
struct Runner<'a> {
    args: &'a Litmus,
    budget: Budget,
    log: Option<&'a Log>,
    quiet: bool,
}

impl Runner<'_> {
    fn run(&self, path: &Path) -> Told {
        let file = path.display().to_string();
        let parsed = read(path, input::SHORT)
            .map_err(|error| error.to_string())
            .and_then(|text| litmus::parse(&file, &text).map_err(|error| error.to_string()));
        let test = match parsed {
            Ok(test) => test,
            Err(error) => {
                return self.without_states(&file, String::new(), Verdict::Refused, error);
            }
        };
        let model = memory_model(self.args.model);
        match litmus::run(&test, model, &self.budget, &interrupt::asked) {
            Ok(found) => self.compared(&file, &test, &found),
            Err(why) => {
                let verdict = match why {
                    Undecided::Interrupted => Verdict::Interrupted,
                    _ => Verdict::Undecided,
                };
                self.without_states(&file, test.name.clone(), verdict, why.to_string())
            }
        }
    }

    fn without_states(&self, file: &str, name: String, verdict: Verdict, reason: String) -> Told {
        let error = match verdict {
            // It begins with the file and the line.
            Verdict::Refused => reason.clone(),
            Verdict::Interrupted => format!("{file}: {name}: {reason}"),
            _ => format!("{file}: {name}: {}: {reason}", verdict.name()),
        };
        let out = match self.args.format {
            Format::Text => String::new(),
            Format::Json => self.line(file, &name, verdict, json!({ "reason": reason })),
        };
        Told { verdict, name, out, errors: vec![error] }
    }

    fn compared(&self, file: &str, test: &Test, found: &Final) -> Told {
        let report = Report::new(test, &found.states);
        let differences = self.differences(test, found);
        let verdict = match &differences[..] {
            [] => Verdict::Ran,
            all if all.iter().all(|(_, difference)| difference.is_none()) => Verdict::Agrees,
            _ => Verdict::Differs,
        };
        let wrong = differences.iter().filter(|(_, difference)| !difference.is_none());
        let errors = wrong.map(|(from, difference)| {
            format!("{file}: {}: differs from {from}{}", test.name, lines(difference))
        });
        let out = match (self.args.format, self.quiet) {
            (Format::Text, false) => report.to_string(),
            (Format::Text, true) => report.observation_line() + "\n",
            (Format::Json, _) => {
                let mut object = json!(report.object());
                let lines = |of: fn(&Difference) -> &Vec<String>| {
                    let all = differences.iter().flat_map(|(_, difference)| of(difference));
                    all.cloned().collect::<BTreeSet<String>>()
                };
                object["searched"] = json!(found.searched);
                object["missing"] = json!(lines(|difference| &difference.missing));
                object["extra"] = json!(lines(|difference| &difference.extra));
                let other = differences.iter().find_map(|(_, difference)| difference.other.clone());
                object["reason"] = json!(other);
                self.line(file, &test.name, verdict, object)
            }
        };
        Told { verdict, name: test.name.clone(), out, errors: errors.collect() }
    }

    /// What the states were compared with, and how they differ.
    fn differences(&self, test: &Test, found: &Final) -> Vec<(String, Difference)> {
        let model = memory_model(self.args.model);
        let own = test.expected.iter().filter(|expected| expected.models.contains(&model));
        let mut all: Vec<(String, Difference)> = own
            .map(|expected| {
                let difference = Difference::of_states(test, &found.states, &expected.states);
                ("the states in the file".to_owned(), difference)
            })
            .collect();
        if let Some(result) = test.result.filter(|_| model == litmus::Model::Tso) {
            let difference =
                Difference::of_observation(test, &found.states, "the file says", result);
            all.push(("the result in the file".to_owned(), difference));
        }
        let listed = self.log.and_then(|log| log.tests.get(&test.name));
        let compare = match self.args.expect {
            Some(_) => litmus::compare,
            None => litmus::compare_subset,
        };
        let path = self.args.expect.as_ref().or(self.args.expect_subset.as_ref());
        if let (Some(listed), Some(path)) = (listed, path) {
            let (line, difference) = compare(test, &found.states, listed);
            all.push((format!("{}:{line}", quoted(path)), difference));
        }
        all
    }

    /// The object of a test, on a line.
    fn line(&self, file: &str, name: &str, verdict: Verdict, mut object: Value) -> String {
        const KEYS: [&str; 9] = [
            "condition",
            "holds",
            "observation",
            "positive",
            "negative",
            "states",
            "searched",
            "missing",
            "extra",
        ];
        object["version"] = json!(report::VERSION);
        object["file"] = json!(file);
        object["name"] = json!(name);
        object["model"] = json!(memory_model(self.args.model).name());
        object["verdict"] = json!(verdict.name());
        for key in KEYS {
            if object.get(key).is_none() {
                object[key] = Value::Null;
            }
        }
        format!("{object}\n")
    }
}

/// A difference in lines of its own.
fn lines(difference: &Difference) -> String {
    let Difference { missing, extra, other } = difference;
    let mut text: String = other.iter().map(|other| format!("\n  {other}")).collect();
    let mut say = |words: &str, line: &str| {
        write!(text, "\n  {words}  {line}").expect("a text can be written to");
    };
    missing.iter().for_each(|line| say("expected, never reached  ", line));
    extra.iter().for_each(|line| say("reached, but not expected", line));
    text
}
