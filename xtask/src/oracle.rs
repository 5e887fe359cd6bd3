//! Random programs on the searched machine and on the naive one, at length.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use oracle::{Class, Compared, Limits, Mode, compare, generate, show_disagreement, shrink};

use crate::{mutants, project};

/// What is run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only programs of this class
    #[arg(long)]
    class: Option<String>,
    /// Programs of each class
    #[arg(long, default_value_t = 10_000)]
    programs: u64,
    /// Number of the first program
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The first disagreement ends it, and large programs are left out
    #[arg(long)]
    quick: bool,
    /// Compare on each machine that tests/mutants breaks; see that those are noticed that are listed in
    /// tests/mutants/oracle.txt, by their class, and try all classes on what is not listed
    #[arg(long)]
    mutants: bool,
    /// Only mutants whose name, machine/… or explore/…, contains one of these, separated by commas
    #[arg(long, requires = "mutants")]
    filter: Option<String>,
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
    let mut disagreed = 0;
    for class in classes {
        let start = Instant::now();
        let tally = one_class(class, arguments);
        disagreed += tally.disagreed;
        if arguments.quick {
            ensure!(disagreed == 0, "one is enough");
            continue;
        }
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
    ensure!(disagreed == 0, "{disagreed} disagreements");
    Ok(())
}

fn one_class(class: Class, arguments: &Arguments) -> Tally {
    let quick = Limits { naive: 4_000, search: 20_000 };
    let limits = if arguments.quick { quick } else { Limits::default() };
    let mut tally = Tally::default();
    for seed in arguments.seed..arguments.seed + arguments.programs {
        let program = generate(class, seed);
        match compare(&program, &Mode::of(seed), limits) {
            Compared::Agreed(outcome) => {
                tally.compared += 1;
                tally.bad += u64::from(!outcome.bad.is_empty());
            }
            Compared::Skipped(why) => *tally.skipped.entry(why).or_default() += 1,
            Compared::Disagreed(disagreement) => {
                tally.disagreed += 1;
                if arguments.quick {
                    println!("{} program {seed} disagrees", class.name());
                    return tally;
                }
                // A few are enough to read.
                if tally.disagreed <= 3 {
                    let small = shrink(&program, disagreement.mode, limits);
                    if let Compared::Disagreed(smaller) =
                        compare(&small, &[disagreement.mode], limits)
                    {
                        let text = show_disagreement(&small, &smaller);
                        println!("{} program {seed}, made smaller:\n{text}", class.name());
                    }
                }
            }
        }
    }
    tally
}

/// Breaks a copy of the tree in one place at a time and runs the quick form there.
fn on_mutants(arguments: &Arguments) -> anyhow::Result<()> {
    let copy = tempfile::tempdir().context("no folder for a copy")?;
    mutants::copy_tree(&project::root(), copy.path())?;
    let known = list()?;
    let (mut number, mut missed) = (0, 0);
    for folder in ["machine", "explore"] {
        let mut all = mutants::read_all(folder)?;
        let filter = arguments.filter.as_deref().unwrap_or("");
        all.retain(|mutant| filter.split(',').any(|part| mutant.name.contains(part)));
        for mutant in all {
            let class = match known.get(&mutant.name) {
                Some(Listed::Cannot(why)) => {
                    println!("left out {:48} {why}", mutant.name);
                    continue;
                }
                Some(Listed::Noticed(class)) => Some(class.as_str()),
                None => arguments.class.as_deref(),
            };
            number += 1;
            let path = copy.path().join(&mutant.file);
            let whole = fs::read_to_string(&path)?;
            fs::write(&path, whole.replace(&mutant.from, &mutant.to))?;
            let noticed = notice(copy.path(), arguments, class);
            fs::write(&path, whole)?;
            match noticed.with_context(|| mutant.name.clone())? {
                Some(by) => println!("noticed  {:48} by {by}", mutant.name),
                None => {
                    println!("MISSED   {}", mutant.name);
                    missed += 1;
                }
            }
        }
    }
    println!("{missed} of {number} mutants are missed");
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

/// The first program that disagrees there, if one does.
fn notice(
    copy: &Path,
    arguments: &Arguments,
    class: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let target = project::target().join("mutants");
    let build = Command::new("cargo")
        .args(["build", "-q", "-p", "xtask"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .context("cannot run cargo")?;
    ensure!(build.status.success(), "does not build:\n{}", String::from_utf8_lossy(&build.stderr));
    let mut command = Command::new("timeout");
    command.arg("900").arg(target.join("debug/xtask")).args(["oracle", "--quick"]);
    command.args(["--programs", &arguments.programs.to_string()]);
    command.args(["--seed", &arguments.seed.to_string()]);
    command.args(class.iter().flat_map(|class| ["--class", class]));
    let output = command.current_dir(copy).output().context("cannot run timeout")?;
    let out = String::from_utf8_lossy(&output.stdout);
    let by = out.lines().find(|line| line.ends_with(" disagrees")).map(str::to_owned);
    Ok(match output.status.code() {
        // That there is no time for more programs says nothing of the mutant.
        Some(0 | 124) => None,
        _ => Some(by.unwrap_or_else(|| "a search that dies".into())),
    })
}
