//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer.
//!
//! `cargo fuzz` would ask for a nightly toolchain, for its sanitizers. Coverage needs none: LLVM's pass can be
//! asked for on the stable one, and the code has no unsafe blocks that a sanitizer could watch.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use crate::project;

/// Instruments for libFuzzer, and keeps what only debug builds assert.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on --cfg fuzzing";

/// With `--target`, flags are not those of build scripts.
const HOST: &str = "x86_64-unknown-linux-gnu";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these [default: all]
    targets: Vec<Target>,
    /// Seconds for each
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Run this one input again, on the one target named, in place of fuzzing
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// A reader of files that may be damaged or hostile: a binary of `fuzz/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// ELF and DWARF
    Image,
    /// Trails, as they are kept and edited
    Trail,
    /// Kept outcomes, and every form of report
    Outcome,
    /// Litmus tests, read and run within a small budget
    Litmus,
}

impl Target {
    fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// Copies its first inputs, from the project's tests, to `corpus`.
    fn seed(self, corpus: &Path) -> anyhow::Result<()> {
        let root = project::root();
        match self {
            Target::Image => {
                for (name, options) in
                    [("dwarf4", ["-gdwarf-4", "-gz=none"]), ("dwarf5", ["-gdwarf-5", "-gz=zlib"])]
                {
                    compile(&root.join("crates/image/tests/data"), &corpus.join(name), &options)?;
                }
                Ok(())
            }
            Target::Trail => copy(&root.join("fuzz/seeds/trail"), "trail", corpus),
            Target::Outcome => copy(&root.join("tests/ui"), "outcome.json", corpus),
            Target::Litmus => {
                copy(&root.join("tests/litmus"), "litmus", corpus)?;
                copy(&root.join("tests/litmus-errors"), "litmus", corpus)
            }
        }
    }
}

/// Fuzzes each target for its time.
///
/// # Errors
///
/// If a target does not build, or fails on an input, which is kept and named.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = Target::value_variants();
    let targets = if arguments.targets.is_empty() { all } else { &arguments.targets };
    ensure!(
        arguments.input.is_none() || arguments.targets.len() == 1,
        "--input is for one target: cargo xtask fuzz {} --input FILE",
        targets.first().map_or_else(String::new, |target| target.name()),
    );
    let binaries = build()?;
    let mut failed = Vec::new();
    for target in targets {
        let name = target.name();
        let binary = binaries.join(&name);
        if let Some(input) = &arguments.input {
            let status = Command::new(&binary).arg(input).status().context(name.clone())?;
            ensure!(status.success(), "{name} fails on {}", input.display());
            continue;
        }
        let folder = project::target().join("fuzz").join(&name);
        let (corpus, found) = (folder.join("corpus"), folder.join("found"));
        for folder in [&corpus, &found] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        target.seed(&corpus)?;
        let log = folder.join("log");
        let (out, err) = {
            let file =
                File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
            (file.try_clone()?, file)
        };
        let status = Command::new(&binary)
            .arg(&corpus)
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args(["-rss_limit_mb=4096", "-timeout=30", "-print_final_stats=1"])
            .stdout(out)
            .stderr(err)
            .status()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let said =
            fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        println!("{name}: {}", summary(&said));
        if !status.success() {
            let lines: Vec<&str> = said.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            failed.push(name);
        }
    }
    let kept = project::target().join("fuzz");
    match failed.first() {
        None => Ok(()),
        Some(first) => bail!(
            "{} failed; the input is in {}/{first}/found, and \
             `cargo xtask fuzz {first} --input FILE` runs it again",
            failed.join(", "),
            kept.display()
        ),
    }
}

/// Inputs run and edges reached, of what libFuzzer printed.
fn summary(log: &str) -> String {
    let after = |line: &str, key: &str| {
        let rest = line.split_once(key)?.1.trim_start();
        Some(rest.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let last = |key| log.lines().rev().find_map(|line| after(line, key));
    let inputs = last("number_of_executed_units:").unwrap_or_else(|| "no".to_owned());
    let edges = last(" cov:").unwrap_or_else(|| "no".to_owned());
    format!("{inputs} inputs, {edges} edges")
}

/// Builds all targets; the folder they are in.
fn build() -> anyhow::Result<PathBuf> {
    let target = project::target().join("fuzz/build");
    let status = Command::new(project::cargo())
        .args(["build", "--quiet", "--release", "--locked", "--target", HOST, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(project::root().join("fuzz"))
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the targets do not build; libFuzzer wants a C++ compiler (Debian: g++)"
    );
    Ok(target.join(HOST).join("release"))
}

/// Links the guest in C that tests of `image` read.
fn compile(data: &Path, to: &Path, options: &[&str]) -> anyhow::Result<()> {
    let script = format!("-Wl,-T,{}", data.join("guest.ld").display());
    let status = Command::new("cc")
        .args(["-O2", "-mcmodel=kernel", "-mno-red-zone", "-fno-pie", "-ffreestanding"])
        .args(["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", &script])
        .args(options)
        .arg(data.join("kernel.c"))
        .arg("-o")
        .arg(to)
        .status()
        .context("cannot run cc")?;
    ensure!(status.success(), "cc does not link {}", to.display());
    Ok(())
}

/// Copies the files below `folder` whose name ends in `end`, under names of their own.
fn copy(folder: &Path, end: &str, corpus: &Path) -> anyhow::Result<()> {
    let cannot = |what: &str, path: &Path| format!("cannot {what} {}", path.display());
    for entry in fs::read_dir(folder).with_context(|| cannot("read", folder))? {
        let path = entry?.path();
        if path.is_dir() {
            copy(&path, end, corpus)?;
        } else if path.to_string_lossy().ends_with(end) {
            let parent = folder.file_name().unwrap_or_default().to_string_lossy();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let to = corpus.join(format!("{parent}-{file}"));
            fs::copy(&path, &to).with_context(|| cannot("write", &to))?;
        }
    }
    Ok(())
}
