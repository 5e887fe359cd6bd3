//! Speed and memory of the search, as ratios of one run: states, steps and instructions per second,
//! bytes per state; what store buffers and TLBs cost. Nothing here passes or fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::project;

/// What is measured: a filter, and the workspace it is in.
const CASES: &[(&str, &str, &str)] = &[
    ("seed, 2 and 3 CPUs", "seed", "scenarios/Cargo.toml"),
    ("seed, 3 CPUs, merged", "seed::merged::two_lazy_kthreads", "scenarios/Cargo.toml"),
    ("aspace, 3 CPUs", "aspace_scenarios::lam::two_lazy_kthreads", "scenarios/Cargo.toml"),
    ("private instructions", "bench::", "benches/guest/Cargo.toml"),
];

/// What the machine has, and the flags for it; the first is what the others are compared with.
const MODELS: &[(&str, [&str; 4])] = &[
    ("TSO, any TLB", ["--model", "tso", "--tlb", "adversarial"]),
    ("TSO, TLB of accesses", ["--model", "tso", "--tlb", "retain"]),
    ("TSO, no TLB", ["--model", "tso", "--tlb", "eager"]),
    ("SC, any TLB", ["--model", "sc", "--tlb", "adversarial"]),
    ("SC, no TLB", ["--model", "sc", "--tlb", "eager"]),
];

#[derive(Clone, Copy, Default)]
struct Figures {
    states: f64,
    transitions: f64,
    instructions: f64,
    seconds: f64,
    graph_bytes: f64,
    peak_bytes: f64,
}

pub(crate) fn run(runs: usize) -> anyhow::Result<()> {
    let lamprey = project::lamprey()?;
    let runs = runs.max(1);
    println!("{}; {} CPUs; median of {runs} runs", processor(), cpu_count());
    speed(&lamprey, runs)?;
    models(&lamprey, runs)?;
    litmus(&lamprey, runs)
}

fn speed(lamprey: &Path, runs: usize) -> anyhow::Result<()> {
    println!(
        "\n{:24} {:>9} {:>9} {:>12} {:>9} {:>11} {:>11}",
        "one thread", "seconds", "states", "steps/s", "Minstr/s", "B/state", "peak MiB"
    );
    for (name, filter, manifest) in CASES {
        let mut all = Vec::new();
        for _ in 0..runs {
            all.push(measure(lamprey, filter, manifest)?);
        }
        all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let f = all[all.len() / 2];
        println!(
            "{name:24} {:>9.2} {:>9} {:>12.0} {:>9.1} {:>11.0} {:>11.0}",
            f.seconds,
            f.states,
            f.transitions / f.seconds,
            f.instructions / f.seconds / 1e6,
            f.graph_bytes / f.states,
            f.peak_bytes / 1024.0 / 1024.0,
        );
    }
    Ok(())
}

fn measure(lamprey: &Path, filter: &str, manifest: &str) -> anyhow::Result<Figures> {
    let mut sum = Figures::default();
    for outcome in check(lamprey, manifest, &[filter])? {
        sum.states += number(&outcome, "states")?;
        sum.transitions += number(&outcome, "transitions_all")?;
        sum.instructions += number(&outcome, "instructions")?;
        sum.seconds += number(&outcome, "seconds")?;
        sum.graph_bytes += number(&outcome, "bytes_per_state")? * number(&outcome, "states")?;
        sum.peak_bytes = sum.peak_bytes.max(number(&outcome, "peak_memory")?);
    }
    Ok(sum)
}

/// The scenarios that pass under every model: where something is found, the search ends early.
fn models(lamprey: &Path, runs: usize) -> anyhow::Result<()> {
    let mut tables = Vec::new();
    for (name, flags) in MODELS {
        let mut all = Vec::new();
        for _ in 0..runs {
            all.push(passing(lamprey, flags)?);
        }
        all.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        tables.push((name, all.swap_remove(all.len() / 2)));
    }
    let everywhere = |name: &&String| tables.iter().all(|(_, passing)| passing.contains_key(*name));
    let (_, first) = &tables[0];
    for folder in ["seed::", "aspace_scenarios::", "tlb::"] {
        let names: Vec<&String> =
            first.keys().filter(|name| name.starts_with(folder)).filter(everywhere).collect();
        let folder = folder.trim_end_matches("::");
        println!(
            "\n{:24} {:>9} {:>9} {:>9} {:>9}",
            format!("{folder}: {} pass", names.len()),
            "seconds",
            "ratio",
            "states",
            "ratio"
        );
        let sum = |passing: &BTreeMap<String, [f64; 2]>, of: usize| {
            names.iter().map(|name| passing[*name][of]).sum::<f64>()
        };
        for (name, passing) in &tables {
            println!(
                "{name:24} {:>9.2} {:>9.2} {:>9} {:>9.2}",
                sum(passing, 1),
                sum(passing, 1) / sum(first, 1),
                sum(passing, 0),
                sum(passing, 0) / sum(first, 0),
            );
        }
    }
    Ok(())
}

/// States and seconds of each scenario that passes.
fn passing(lamprey: &Path, flags: &[&str]) -> anyhow::Result<BTreeMap<String, [f64; 2]>> {
    let outcomes = check(lamprey, "scenarios/Cargo.toml", flags)?;
    let passing = outcomes.iter().filter(|outcome| outcome["verdict"] == "pass");
    let figures = |outcome: &Value| {
        let name = outcome["name"].as_str().context("no name in the JSON form")?;
        Ok((name.to_owned(), [number(outcome, "states")?, number(outcome, "seconds")?]))
    };
    passing.map(figures).collect()
}

fn seconds(passing: &BTreeMap<String, [f64; 2]>) -> f64 {
    passing.values().map(|[_, seconds]| seconds).sum()
}

/// The tests of `tests/litmus`, on every processor.
fn litmus(lamprey: &Path, runs: usize) -> anyhow::Result<()> {
    println!("\n{:24} {:>9} {:>9}", "litmus, all processors", "seconds", "tests");
    for model in ["tso", "sc"] {
        let mut all = Vec::new();
        let mut tests = 0;
        for _ in 0..runs {
            let began = Instant::now();
            let output = Command::new(lamprey)
                .args(["litmus", "--quiet", "--model", model])
                .arg(project::root().join("tests/litmus"))
                .output()
                .context("cannot run lamprey")?;
            all.push(began.elapsed().as_secs_f64());
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            tests = String::from_utf8(output.stdout)?.lines().count();
        }
        all.sort_by(f64::total_cmp);
        println!("{model:24} {:>9.2} {tests:>9}", all[all.len() / 2]);
    }
    Ok(())
}

/// The outcomes of a check on one thread.
fn check(lamprey: &Path, manifest: &str, words: &[&str]) -> anyhow::Result<Vec<Value>> {
    let output = Command::new(lamprey)
        .args(["check", "--format", "json", "-j", "1", "--manifest-path"])
        .arg(project::root().join(manifest))
        .args(words)
        .output()
        .context("cannot run lamprey")?;
    // 1: something is found, or, with a smaller model, no longer found.
    ensure!(
        matches!(output.status.code(), Some(0 | 1)),
        "lamprey: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn number(outcome: &Value, key: &str) -> anyhow::Result<f64> {
    outcome[key].as_f64().with_context(|| format!("no number `{key}` in the JSON form"))
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, name)| name.trim().into())
}

fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
