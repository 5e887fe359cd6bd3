//! Speed and memory of the search, as ratios of one run: states, steps and instructions per second,
//! bytes per state. Nothing here passes or fails.

use std::process::Command;

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
    println!("{}; {} CPUs; median of {runs} runs", processor(), cpu_count());
    println!(
        "{:24} {:>9} {:>9} {:>12} {:>9} {:>11} {:>11}",
        "", "seconds", "states", "steps/s", "Minstr/s", "B/state", "peak MiB"
    );
    for (name, filter, manifest) in CASES {
        let mut all = Vec::new();
        for _ in 0..runs.max(1) {
            all.push(measure(&lamprey, filter, manifest)?);
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

fn measure(lamprey: &std::path::Path, filter: &str, manifest: &str) -> anyhow::Result<Figures> {
    let output = Command::new(lamprey)
        .args(["check", filter, "--format", "json", "-j", "1", "--manifest-path"])
        .arg(project::root().join(manifest))
        .output()
        .context("cannot run lamprey")?;
    ensure!(output.status.success(), "lamprey: {}", String::from_utf8_lossy(&output.stderr));
    let mut sum = Figures::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        let outcome: Value = serde_json::from_str(line)?;
        let number = |key: &str| {
            outcome[key].as_f64().with_context(|| format!("no number `{key}` in the JSON form"))
        };
        sum.states += number("states")?;
        sum.transitions += number("transitions_all")?;
        sum.instructions += number("instructions")?;
        sum.seconds += number("seconds")?;
        sum.graph_bytes += number("bytes_per_state")? * number("states")?;
        sum.peak_bytes = sum.peak_bytes.max(number("peak_memory")?);
    }
    Ok(sum)
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, name)| name.trim().into())
}

fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
