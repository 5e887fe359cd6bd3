//! Breaks `aspace` in one place at a time, as `tests/mutants/aspace/` says: the scenarios must notice.
//!
//! A mutant that survives shows a check that nothing needs, or a scenario that is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::project;

/// One change: in `file`, `from` becomes `to`.
struct Mutant {
    name: String,
    file: String,
    from: String,
    to: String,
}

pub(crate) fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let lamprey = project::lamprey()?;
    let copy = tempfile::tempdir().context("no folder for a copy")?;
    copy_tree(&project::root(), copy.path())?;
    let mutants: Vec<Mutant> =
        read_all()?.into_iter().filter(|m| filter.is_none_or(|f| m.name.contains(f))).collect();
    ensure!(!mutants.is_empty(), "no mutant is selected");
    check(&lamprey, copy.path()).and_then(|noticed| match noticed {
        None => Ok(()),
        Some(by) => bail!("{by} fails without any mutation"),
    })?;
    let mut survivors = Vec::new();
    for mutant in &mutants {
        let path = copy.path().join(&mutant.file);
        let whole = fs::read_to_string(&path).with_context(|| mutant.file.clone())?;
        let places = whole.matches(&mutant.from).count();
        ensure!(places == 1, "{}: its text stands in {} {places} times", mutant.name, mutant.file);
        fs::write(&path, whole.replace(&mutant.from, &mutant.to))?;
        match check(&lamprey, copy.path())? {
            Some(by) => println!("killed   {:32} by {by}", mutant.name),
            None => {
                println!("SURVIVES {}", mutant.name);
                survivors.push(mutant.name.clone());
            }
        }
        fs::write(&path, whole)?;
    }
    ensure!(survivors.is_empty(), "{} of {} survive", survivors.len(), mutants.len());
    println!("all {} mutants are noticed", mutants.len());
    Ok(())
}

/// Checks the copy's scenarios of `aspace`; the first that fails, if one does.
fn check(lamprey: &Path, copy: &Path) -> anyhow::Result<Option<String>> {
    let output = Command::new(lamprey)
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

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn read_all() -> anyhow::Result<Vec<Mutant>> {
    let folder = project::root().join("tests/mutants/aspace");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "mutant"))
        .map(|path| read(path))
        .collect()
}

/// A line `file: PATH`, then the text, a line `=====`, and what it becomes. Lines before are comments.
fn read(path: &Path) -> anyhow::Result<Mutant> {
    let text = fs::read_to_string(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let shape = || format!("{name}: wanted `file: PATH`, a text, `=====`, its replacement");
    let (_, rest) = text.split_once("file: ").with_context(shape)?;
    let (file, rest) = rest.split_once('\n').with_context(shape)?;
    let (from, to) = rest.split_once("=====\n").with_context(shape)?;
    Ok(Mutant { file: file.trim().into(), from: from.into(), to: to.into(), name })
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
