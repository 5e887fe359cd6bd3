//! Breaks one place at a time, as the files of `tests/mutants/` say: it must be noticed.
//!
//! A mutant that survives shows a check that nothing needs, or a scenario or test that is missing.
//!
//! The copy of the tree that is broken stays in the target folder, with all that was built of it: only
//! files that differ are written again. So one `cargo xtask mutants` or `oracle --mutants` at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::project;

/// One change: in `file`, `from` becomes `to`.
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What is broken, and who must notice.
struct Subject {
    /// In `tests/mutants/`.
    folder: &'static str,
    /// Who notices, in a copy of the tree at this path; none if nobody does.
    notice: fn(&Path) -> anyhow::Result<Option<String>>,
}

const SUBJECTS: [Subject; 3] = [
    Subject { folder: "aspace", notice: scenarios_of_aspace },
    Subject { folder: "explore", notice: tests_of_the_search },
    Subject { folder: "machine", notice: tests_of_the_machine },
];

/// Those whose name, `aspace/…`, `explore/…` or `machine/…`, contains `filter`.
pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let copy = kept_copy()?;
    let mut results = Results::default();
    let mut selected = Vec::new();
    for subject in SUBJECTS {
        let mut mutants = read_all(subject.folder)?;
        mutants.retain(|mutant| filter.is_none_or(|filter| mutant.name.contains(filter)));
        selected.push((subject, mutants));
    }
    // Before hours are spent on the others.
    for mutant in selected.iter().flat_map(|(_, mutants)| mutants) {
        mutant.broken(&copy).with_context(|| mutant.name.clone())?;
    }
    for (subject, mutants) in selected {
        if mutants.is_empty() {
            continue;
        }
        if let Some(by) = (subject.notice)(&copy)? {
            bail!("{by} fails without any mutation");
        }
        for mutant in &mutants {
            results.add(mutant, is_noticed(mutant, subject.notice, &copy));
        }
    }
    results.conclude()
}

/// What came of the mutants.
#[derive(Default)]
struct Results {
    number: usize,
    /// Who noticed how many.
    noticed: BTreeMap<String, usize>,
    survivors: Vec<String>,
    /// Those of which nothing can be said.
    failures: Vec<String>,
}

impl Results {
    fn add(&mut self, mutant: &Mutant, noticed: anyhow::Result<Option<String>>) {
        let name = &mutant.name;
        self.number += 1;
        match noticed {
            Ok(Some(by)) => {
                println!("killed   {name:42} by {by}");
                let test = by.split(": ").take(2).collect::<Vec<_>>().join(": ");
                *self.noticed.entry(test).or_default() += 1;
            }
            Ok(None) => {
                println!("SURVIVES {name}");
                self.survivors.push(name.clone());
            }
            Err(error) => {
                println!("FAILS    {name:42} {error:#}");
                self.failures.push(name.clone());
            }
        }
    }

    /// Says by whom mutants were noticed, and which were not.
    fn conclude(self) -> anyhow::Result<()> {
        let Results { number, noticed, survivors, failures } = self;
        ensure!(number > 0, "no mutant is selected");
        for (test, count) in noticed {
            println!("{count:4} by {test}");
        }
        ensure!(
            survivors.is_empty() && failures.is_empty(),
            "of {number}, {} survive: {survivors:?}; {} could not be tried: {failures:?}",
            survivors.len(),
            failures.len()
        );
        println!("all {number} mutants are noticed");
        Ok(())
    }
}

impl Mutant {
    /// The file as it is in this tree, and broken.
    pub(crate) fn broken(&self, tree: &Path) -> anyhow::Result<(String, String)> {
        let whole = fs::read_to_string(tree.join(&self.file)).with_context(|| self.file.clone())?;
        let places = whole.matches(&self.from).count();
        ensure!(places == 1, "its text stands in {} {places} times", self.file);
        let broken = whole.replace(&self.from, &self.to);
        ensure!(broken != whole, "it changes nothing");
        Ok((whole, broken))
    }
}

/// Breaks the copy, asks, and mends it.
pub(crate) fn is_noticed(
    mutant: &Mutant,
    notice: impl FnOnce(&Path) -> anyhow::Result<Option<String>>,
    copy: &Path,
) -> anyhow::Result<Option<String>> {
    let (whole, broken) = mutant.broken(copy)?;
    let path = copy.join(&mutant.file);
    fs::write(&path, broken)?;
    let noticed = notice(copy);
    fs::write(&path, whole)?;
    noticed
}

/// Checks the scenarios of `aspace`; the first that fails, if one does.
fn scenarios_of_aspace(copy: &Path) -> anyhow::Result<Option<String>> {
    let output = Command::new(project::lamprey()?)
        .args(["check", "aspace", "--fail-fast", "-j", "1", "--format", "json", "--time", "120s"])
        .arg("--manifest-path")
        .arg(copy.join("scenarios/Cargo.toml"))
        .stderr(Stdio::piped())
        .output()
        .context("cannot run lamprey")?;
    match output.status.code() {
        Some(0) => return Ok(None),
        Some(1) => {}
        _ => bail!("lamprey: {}", String::from_utf8_lossy(&output.stderr)),
    }
    let failed = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|outcome| outcome["verdict"] == "fail")
        .map(|outcome| format!("{}: {}", text(&outcome["name"]), text(&outcome["property"])));
    Ok(Some(failed.unwrap_or_else(|| "?".into())))
}

/// Runs the tests of the machine and of what it is made of; but for those of `interrupts`, whose rules some
/// verdict must need.
fn tests_of_the_machine(copy: &Path) -> anyhow::Result<Option<String>> {
    first_noticed(
        &[&["mmu"], &["memory"], &["registers"], &["machine"], &["litmus"], &["check"]],
        copy,
    )
}

/// Runs the tests of the search but those that pin how much is searched, and the guests of which the
/// verdict is known.
fn tests_of_the_search(copy: &Path) -> anyhow::Result<Option<String>> {
    let tests = ["tables", "contract", "late", "switches", "random", "simplest"];
    let mut verdicts = vec!["explore", "--lib"];
    verdicts.extend(tests.iter().flat_map(|test| ["--test", test]));
    first_noticed(&[&verdicts, &["check", "--test", "cases"]], copy)
}

/// The first test that fails, if one does, of these packages, the quickest first; some with further
/// arguments.
fn first_noticed(packages: &[&[&str]], copy: &Path) -> anyhow::Result<Option<String>> {
    for package in packages {
        let noticed = tests_of(package, copy)?;
        if noticed.is_some() {
            return Ok(noticed);
        }
    }
    Ok(None)
}

/// A broken machine may run for ever, which is noticed, too. How much was searched is no verdict, and
/// not compared.
fn tests_of(arguments: &[&str], copy: &Path) -> anyhow::Result<Option<String>> {
    let package = arguments[0];
    let output = Command::new("timeout")
        .args(["600", "cargo", "test", "-p"])
        .args(arguments)
        .current_dir(copy)
        .env("COMPARE", "verdicts")
        .env("CASES", "first")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", built())
        .output()
        .context("cannot run timeout")?;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(!err.contains("could not compile"), "does not compile:\n{err}");
    let failed = |line: &str| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(format!("{package}: {name}"))
    };
    Ok(match output.status.code() {
        Some(0) => None,
        Some(124) => Some(format!("{package}: its tests do not end")),
        _ => {
            let test = out.lines().find_map(failed);
            let test = test.unwrap_or_else(|| format!("{package}: a test that died"));
            // Tests of many cases say which.
            let folders = ["find::", "hold::", "undecided::"];
            let is_case = |line: &&str| folders.iter().any(|folder| line.starts_with(folder));
            let case = out.lines().find(is_case).and_then(|line| line.split(": ").next());
            Some(case.map_or(test.clone(), |case| format!("{test}: {case}")))
        }
    })
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("?")
}

pub(crate) fn read_all(subject: &str) -> anyhow::Result<Vec<Mutant>> {
    let folder = project::root().join("tests/mutants").join(subject);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "mutant"))
        .map(|path| read(subject, path))
        .collect()
}

/// A line `file: PATH`, then the text, a line `=====`, and what it becomes. Lines before are comments.
fn read(subject: &str, path: &Path) -> anyhow::Result<Mutant> {
    let text = fs::read_to_string(path)?;
    let name = format!("{subject}/{}", path.file_stem().unwrap_or_default().display());
    let shape = || format!("{name}: wanted `file: PATH`, a text, `=====`, its replacement");
    let (_, rest) = text.split_once("file: ").with_context(shape)?;
    let (file, rest) = rest.split_once('\n').with_context(shape)?;
    let (from, to) = rest.split_once("=====\n").with_context(shape)?;
    Ok(Mutant { file: file.trim().into(), from: from.into(), to: to.into(), name })
}

/// The copy of the tree that is broken, as this tree is now.
pub(crate) fn kept_copy() -> anyhow::Result<PathBuf> {
    let copy = built().join("tree");
    sync_tree(&project::root(), &copy)?;
    Ok(copy)
}

/// Where all that is built of the copy goes.
pub(crate) fn built() -> PathBuf {
    project::target().join("mutants")
}

/// Makes `to` the same as `from`, but for what is built. What is the same already is left alone, and so
/// is what was built of it.
fn sync_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let wanted = entries(from)?;
    for name in entries(to)?.difference(&wanted) {
        let path = to.join(name);
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    for name in wanted {
        let (source, target) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            sync_tree(&source, &target)?;
        } else if fs::read(&target).ok() != Some(fs::read(&source)?) {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// What there is in a folder, but for what is built and for the history.
fn entries(folder: &Path) -> anyhow::Result<BTreeSet<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<anyhow::Result<BTreeSet<_>>>()?;
    Ok(names.into_iter().filter(|name| name != "target" && name != ".git").collect())
}
