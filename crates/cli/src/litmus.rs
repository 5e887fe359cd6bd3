//! `litmus`: runs litmus tests, prints their final states, and compares these with the expected ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use litmus::{Final, Log, Report, SearchBudget, StateDifference, Test, UndecidedReason};
use serde_json::{Value, json};

use crate::args::{BudgetArgs, Format, LitmusArgs, ModelArg};
use crate::commands::quoted;
use crate::error::{Error, LitmusError};
use crate::exit::Exit;
use crate::input;
use crate::interrupt;
use crate::memory;
use crate::ordered;
use crate::ui::Ui;

/// The result of a litmus test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TestVerdict {
    Agrees,
    Differs,
    /// It ran, and there was nothing to compare it with.
    Ran,
    Undecided,
    /// The file is not a litmus test.
    Refused,
    Interrupted,
    /// Not a test: the log lists none of the tests that were run.
    Unmatched,
}

impl TestVerdict {
    const ALL: [TestVerdict; 6] = [
        TestVerdict::Agrees,
        TestVerdict::Differs,
        TestVerdict::Ran,
        TestVerdict::Undecided,
        TestVerdict::Refused,
        TestVerdict::Interrupted,
    ];

    fn exit(self) -> Exit {
        match self {
            TestVerdict::Agrees | TestVerdict::Ran => Exit::Passed,
            TestVerdict::Differs => Exit::Violated,
            TestVerdict::Undecided => Exit::Undecided,
            TestVerdict::Refused => Exit::Refused,
            TestVerdict::Interrupted => Exit::Interrupted,
            TestVerdict::Unmatched => Exit::Nothing,
        }
    }

    fn name(self) -> &'static str {
        match self {
            TestVerdict::Agrees => "agrees",
            TestVerdict::Differs => "differs",
            TestVerdict::Ran => "ran",
            TestVerdict::Undecided => "undecided",
            TestVerdict::Refused => "refused",
            TestVerdict::Interrupted => "interrupted",
            TestVerdict::Unmatched => "of other tests",
        }
    }

    /// Returns the words of the summary after the number of tests.
    fn words(self) -> &'static str {
        match self {
            TestVerdict::Agrees => "agree",
            TestVerdict::Differs => "differ",
            TestVerdict::Ran => "with nothing to compare with",
            TestVerdict::Undecided => "undecided",
            TestVerdict::Refused => "not readable",
            TestVerdict::Interrupted => "interrupted",
            TestVerdict::Unmatched => "of other tests",
        }
    }
}

/// The output for one test.
struct TestOutput {
    verdict: TestVerdict,
    /// Name of the test; empty if the file is not a litmus test.
    name: String,
    /// Text for standard output.
    out: String,
    /// Lines for standard error.
    errors: Vec<String>,
}

/// Runs `litmus`.
pub(crate) fn litmus(args: &LitmusArgs, ui: &mut Ui) -> Result<Exit, Error> {
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
        && let Err(error) = warn_of_unmatched(log, &names, path, ui)
    {
        // A log of other tests does not hide a difference, or a file that is not a test.
        ui.error(error.to_string());
        verdicts.push(TestVerdict::Unmatched);
    }
    verdicts.sort_by_key(|verdict| *verdict == TestVerdict::Unmatched);
    let run = verdicts.iter().filter(|verdict| **verdict != TestVerdict::Unmatched).count();
    let summary = summary(&verdicts[..run], args.model, began.elapsed().as_secs_f64());
    ui.state("Summary", &summary);
    let order = [Exit::Refused, Exit::Violated, Exit::Nothing, Exit::Undecided];
    let verdict = |exit: &Exit| verdicts.iter().any(|verdict| verdict.exit() == *exit);
    Ok(worst.or_else(|| order.into_iter().find(verdict)).unwrap_or(Exit::Passed))
}

/// Returns the budget of each search. Concurrent searches share the memory.
fn budget(flags: &BudgetArgs, threads: usize) -> SearchBudget {
    let memory = flags.memory.unwrap_or_else(memory::default_budget);
    let unlimited = SearchBudget::default();
    SearchBudget {
        states: flags.states.unwrap_or(unlimited.states),
        bytes: memory / threads.max(1) as u64,
        seconds: flags.time.unwrap_or(unlimited.seconds),
    }
}

/// Returns `312 tests under tso: 310 agree, 2 differ  [0.41s]`.
fn summary(verdicts: &[TestVerdict], model: ModelArg, seconds: f64) -> String {
    let number = |verdict: TestVerdict| verdicts.iter().filter(|other| **other == verdict).count();
    let parts: Vec<String> = TestVerdict::ALL
        .into_iter()
        .filter(|verdict| number(*verdict) > 0)
        .map(|verdict| format!("{} {}", number(verdict), verdict.words()))
        .collect();
    let tests = report::count(verdicts.len() as u64, "test");
    let model = memory_model(model).name();
    format!("{tests} under {model}: {}  [{seconds:.2}s]", parts.join(", "))
}

fn memory_model(model: ModelArg) -> litmus::LitmusModel {
    match model {
        ModelArg::Sc => litmus::LitmusModel::Sc,
        ModelArg::Tso => litmus::LitmusModel::Tso,
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

/// Returns the tests in these files, indexes and folders. Those of a folder are sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LitmusError> {
    let mut files = Vec::new();
    collect(paths, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// Adds the tests in `paths` to `files`. `open` has the indexes that lead here.
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

/// Reads an index, such as herd's `@all`: one path per line, relative to the index's folder; `#`
/// starts a comment.
fn in_index(
    index: &Path,
    open: &mut Vec<PathBuf>,
    all: &mut Vec<PathBuf>,
) -> Result<(), LitmusError> {
    let unreadable = |reason| LitmusError::Unreadable { path: index.to_owned(), reason };
    let whole = fs::canonicalize(index).map_err(unreadable)?;
    if open.contains(&whole) {
        return Err(unreadable(io::Error::other(
            "the index names itself, or an index that names it",
        )));
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

/// Warns about tests of the log that were not run, and about tests that the log does not list.
fn warn_of_unmatched(
    log: &Log,
    names: &BTreeSet<String>,
    path: &Path,
    ui: &mut Ui,
) -> Result<(), LitmusError> {
    let listed: BTreeSet<String> = log.tests.keys().cloned().collect();
    if listed.is_disjoint(names) && !interrupt::is_requested() {
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

/// The settings with which tests run.
struct Runner<'a> {
    args: &'a LitmusArgs,
    budget: SearchBudget,
    log: Option<&'a Log>,
    quiet: bool,
}

impl Runner<'_> {
    fn run(&self, path: &Path) -> TestOutput {
        let file = path.display().to_string();
        let parsed = read(path, input::SHORT)
            .map_err(|error| error.to_string())
            .and_then(|text| litmus::parse(&file, &text).map_err(|error| error.to_string()));
        let test = match parsed {
            Ok(test) => test,
            Err(error) => {
                return self.without_states(&file, String::new(), TestVerdict::Refused, error);
            }
        };
        let model = memory_model(self.args.model);
        match litmus::run(&test, model, &self.budget, &interrupt::is_requested) {
            Ok(found) => self.compared(&file, &test, &found),
            Err(why) => {
                let verdict = match why {
                    UndecidedReason::Interrupted => TestVerdict::Interrupted,
                    _ => TestVerdict::Undecided,
                };
                self.without_states(&file, test.name.clone(), verdict, why.to_string())
            }
        }
    }

    fn without_states(
        &self,
        file: &str,
        name: String,
        verdict: TestVerdict,
        reason: String,
    ) -> TestOutput {
        let error = match verdict {
            // The error starts with the file and the line.
            TestVerdict::Refused => reason.clone(),
            TestVerdict::Interrupted => format!("{file}: {name}: {reason}"),
            _ => format!("{file}: {name}: {}: {reason}", verdict.name()),
        };
        let out = match self.args.format {
            Format::Text => String::new(),
            Format::Json => self.line(file, &name, verdict, json!({ "reason": reason })),
        };
        TestOutput { verdict, name, out, errors: vec![error] }
    }

    fn compared(&self, file: &str, test: &Test, found: &Final) -> TestOutput {
        let report = Report::new(test, &found.states);
        let differences = self.differences(test, found);
        let verdict = match &differences[..] {
            [] => TestVerdict::Ran,
            all if all.iter().all(|(_, difference)| difference.is_none()) => TestVerdict::Agrees,
            _ => TestVerdict::Differs,
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
                let lines = |of: fn(&StateDifference) -> &Vec<String>| {
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
        TestOutput { verdict, name: test.name.clone(), out, errors: errors.collect() }
    }

    /// Returns the differences, each with the name of what the states were compared with.
    fn differences(&self, test: &Test, found: &Final) -> Vec<(String, StateDifference)> {
        let model = memory_model(self.args.model);
        let own = test.expected.iter().filter(|expected| expected.models.contains(&model));
        let mut all: Vec<(String, StateDifference)> = own
            .map(|expected| {
                let difference = StateDifference::of_states(test, &found.states, &expected.states);
                ("the states in the file".to_owned(), difference)
            })
            .collect();
        if let Some(result) = test.result.filter(|_| model == litmus::LitmusModel::Tso) {
            let difference =
                StateDifference::of_observation(test, &found.states, "the file says", result);
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

    /// Returns the JSON object of a test, on one line.
    fn line(&self, file: &str, name: &str, verdict: TestVerdict, mut object: Value) -> String {
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

/// Returns a difference as lines of text, each after a newline.
fn lines(difference: &StateDifference) -> String {
    let StateDifference { missing, extra, other } = difference;
    let mut text: String = other.iter().map(|other| format!("\n  {other}")).collect();
    let mut say = |words: &str, line: &str| {
        write!(text, "\n  {words}  {line}").expect("a text can be written to");
    };
    missing.iter().for_each(|line| say("expected, but not reached", line));
    extra.iter().for_each(|line| say("reached, but not expected", line));
    text
}
