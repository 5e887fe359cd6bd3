//! Random programs on the searched machine and on the naive one, at length.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use oracle::{
    Class, Compared, Limits, Mode, Program, compare, generate, show_disagreement, shrink,
};

use crate::{mutants, project};

/// What is run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only programs of this class
    #[arg(long)]
    class: Option<String>,
    /// Programs of each class [default: 10000, or 300 on each mutant]
    #[arg(long)]
    programs: Option<u64>,
    /// Number of the first program
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Compare on each machine and search that tests/mutants breaks: those that tests/mutants/oracle.txt
    /// lists must be noticed by their class, and all must be listed; what is not is tried on all classes
    #[arg(long)]
    mutants: bool,
    /// Only mutants whose name, machine/… or explore/…, contains one of these, separated by commas
    #[arg(long, requires = "mutants")]
    filter: Option<String>,
}

impl Arguments {
    fn programs(&self) -> u64 {
        self.programs.unwrap_or(if self.mutants { 300 } else { 10_000 })
    }
}

/// What became of the programs of a class.
#[derive(Default)]
struct Tally {
    compared: u64,
    /// Of these, by what went wrong in some run: no whole set of final states was compared.
    bad: u64,
    skipped: BTreeMap<String, u64>,
    disagreed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.mutants {
        return on_mutants(arguments);
    }
    let mut classes = Class::ALL.to_vec();
    if let Some(name) = &arguments.class {
        classes.retain(|class| class.name() == name);
        ensure!(!classes.is_empty(), "no class {name}");
    }
    let workers = Workers { todo: AtomicUsize::new(0), disagreed: AtomicU64::new(0) };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(classes.len()) {
            scope.spawn(|| workers.work(&classes, arguments));
        }
    });
    let disagreed = workers.disagreed.into_inner();
    ensure!(disagreed == 0, "{disagreed} disagreements");
    Ok(())
}

/// Several threads that go through the classes.
struct Workers {
    /// The next class.
    todo: AtomicUsize,
    disagreed: AtomicU64,
}

impl Workers {
    fn work(&self, classes: &[Class], arguments: &Arguments) {
        while let Some(&class) = classes.get(self.todo.fetch_add(1, Relaxed)) {
            let start = Instant::now();
            let tally = self.one_class(class, arguments);
            println!(
                "{:12} {} programs compared, {} of them with violations, {} skipped, {} disagreements, {:.0} s",
                class.name(),
                tally.compared,
                tally.bad,
                tally.skipped.values().sum::<u64>(),
                tally.disagreed,
                start.elapsed().as_secs_f64(),
            );
            for (why, number) in &tally.skipped {
                println!("             skipped {number}: {why}");
            }
        }
    }

    fn one_class(&self, class: Class, arguments: &Arguments) -> Tally {
        let limits = Limits::default();
        let mut tally = Tally::default();
        for seed in arguments.seed..arguments.seed + arguments.programs() {
            let program = generate(class, seed);
            match compare(&program, &Mode::of(seed), limits) {
                Compared::Agreed(outcome) => {
                    tally.compared += 1;
                    tally.bad += u64::from(!outcome.bad.is_empty());
                }
                Compared::Skipped(why) => *tally.skipped.entry(why).or_default() += 1,
                Compared::Disagreed(disagreement) => {
                    tally.disagreed += 1;
                    self.disagreed.fetch_add(1, Relaxed);
                    // A few are enough to read.
                    if tally.disagreed <= 3 {
                        tell((class, seed), &program, disagreement.mode, limits);
                    }
                }
            }
        }
        tally
    }
}

/// Prints the smallest program made of this one that disagrees.
fn tell((class, seed): (Class, u64), program: &Program, mode: Mode, limits: Limits) {
    let small = shrink(program, mode, limits);
    if let Compared::Disagreed(smaller) = compare(&small, &[mode], limits) {
        let text = show_disagreement(&small, &smaller);
        println!("{} program {seed}, made smaller:\n{text}", class.name());
    }
}

/// Breaks the kept copy of the tree in one place at a time and looks for a disagreement there.
fn on_mutants(arguments: &Arguments) -> anyhow::Result<()> {
    let copy = mutants::kept_copy()?;
    let known = list()?;
    let mut all = mutants::read_all("explore")?;
    all.extend(mutants::read_all("machine")?);
    let filter = arguments.filter.as_deref().unwrap_or("");
    all.retain(|mutant| filter.split(',').any(|part| mutant.name.contains(part)));
    // Before an hour is spent on the others.
    for mutant in &all {
        mutant.broken(&copy).with_context(|| mutant.name.clone())?;
    }
    if let Some(by) = notice(&copy, (arguments.seed, 20), None)? {
        bail!("without any mutation, {by}");
    }
    let range = (arguments.seed, arguments.programs());
    let (mut number, mut wrong) = (0, Vec::new());
    for mutant in &all {
        let class = match known.get(&mutant.name) {
            Some(Listed::Cannot(why)) => {
                println!("left out {:48} {why}", mutant.name);
                continue;
            }
            Some(Listed::Noticed(class)) => Some(class.as_str()),
            None => arguments.class.as_deref(),
        };
        number += 1;
        let noticed = mutants::is_noticed(mutant, |copy| notice(copy, range, class), &copy);
        let noticed = noticed.with_context(|| mutant.name.clone())?;
        let listed = known.contains_key(&mutant.name);
        let what = match (&noticed, listed) {
            (Some(_), true) => "noticed ",
            (Some(_), false) => "UNLISTED",
            (None, _) => "MISSED  ",
        };
        println!("{what} {:48} by {}", mutant.name, noticed.as_deref().unwrap_or("nothing"));
        if noticed.is_none() || !listed {
            wrong.push(mutant.name.clone());
        }
    }
    ensure!(
        wrong.is_empty(),
        "of {number} mutants, {} are not noticed as tests/mutants/oracle.txt says: {wrong:?}",
        wrong.len()
    );
    println!("all {number} mutants are noticed as listed");
    Ok(())
}

/// What tests/mutants/oracle.txt says of a mutant.
enum Listed {
    /// It is noticed by programs of this class.
    Noticed(String),
    /// Why no program can notice it.
    Cannot(String),
}

/// That file, by the names of mutants.
fn list() -> anyhow::Result<BTreeMap<String, Listed>> {
    let text = fs::read_to_string(project::root().join("tests/mutants/oracle.txt"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let list = lines.map(|line| {
        let (name, what) = line.split_once(' ').with_context(|| format!("`{line}`"))?;
        let file = project::root().join("tests/mutants").join(format!("{name}.mutant"));
        ensure!(file.exists(), "{name}: no such mutant");
        let listed = match what.strip_prefix("- ") {
            Some(why) => Listed::Cannot(why.into()),
            None => {
                let is_class = Class::ALL.iter().any(|class| class.name() == what);
                ensure!(is_class, "{name}: no class {what}");
                Listed::Noticed(what.into())
            }
        };
        Ok((name.to_owned(), listed))
    });
    list.collect()
}

/// A program that disagrees there, if one does, of so many from that number on of each class, or of this one.
fn notice(
    copy: &Path,
    (first, programs): (u64, u64),
    class: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let build = Command::new("cargo")
        .args(["build", "-q", "--release", "-p", "oracle", "--example", "quick"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", mutants::built())
        // What is built once for each mutant.
        .envs([("CARGO_INCREMENTAL", "1"), ("CARGO_PROFILE_RELEASE_DEBUG", "0")])
        .output()
        .context("cannot run cargo")?;
    ensure!(build.status.success(), "does not build:\n{}", String::from_utf8_lossy(&build.stderr));
    let mut command = Command::new("timeout");
    command.arg("900").arg(mutants::built().join("release/examples/quick"));
    command.args([programs.to_string(), first.to_string()]);
    command.args(class);
    let output = command.current_dir(copy).output().context("cannot run timeout")?;
    let out = String::from_utf8_lossy(&output.stdout);
    let by = out.lines().find(|line| line.ends_with(" disagrees")).map(str::to_owned);
    Ok(match output.status.code() {
        // That there is no time for more programs says nothing of the mutant.
        Some(0 | 124) => None,
        _ => Some(by.unwrap_or_else(|| "a search that dies".into())),
    })
}
