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
    /// Run the tests of crates/oracle on each machine that tests/mutants breaks; list those not noticed
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
    let mut missed = Vec::new();
    let mut number = 0;
    for folder in ["machine", "explore"] {
        if !project::root().join("tests/mutants").join(folder).exists() {
            continue;
        }
        let mut all = mutants::read_all(folder)?;
        let filter = arguments.filter.as_deref().unwrap_or("");
        all.retain(|mutant| filter.split(',').any(|part| mutant.name.contains(part)));
        for mutant in all {
            number += 1;
            let path = copy.path().join(&mutant.file);
            let whole = fs::read_to_string(&path)?;
            fs::write(&path, whole.replace(&mutant.from, &mutant.to))?;
            let noticed = notice(copy.path(), arguments).with_context(|| mutant.name.clone());
            fs::write(&path, whole)?;
            match noticed? {
                Some(by) => println!("noticed  {:48} by {by}", mutant.name),
                None => {
                    println!("MISSED   {}", mutant.name);
                    missed.push(mutant.name);
                }
            }
        }
    }
    println!("{} of {number} mutants are missed", missed.len());
    Ok(())
}

/// The first program that disagrees there, if one does.
fn notice(copy: &Path, arguments: &Arguments) -> anyhow::Result<Option<String>> {
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
    if let Some(class) = &arguments.class {
        command.args(["--class", class]);
    }
    let output = command.current_dir(copy).output().context("cannot run timeout")?;
    let out = String::from_utf8_lossy(&output.stdout);
    let by = out.lines().find(|line| line.ends_with(" disagrees")).map(str::to_owned);
    Ok(match output.status.code() {
        Some(0) => None,
        Some(124) => Some("a search that does not end within 15 minutes".into()),
        _ => Some(by.unwrap_or_else(|| "a search that dies".into())),
    })
}
