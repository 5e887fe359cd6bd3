//! `cargo xtask bless`: writes expected outputs anew.

use std::process::Command;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::project;

/// Expected outputs that one test compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Reports: tests/ui
    Ui,
    /// The schema of JSON reports, from the types: docs/check.schema.json
    Schema,
    /// Figures and findings of the scenarios in tests/find, tests/hold and tests/undecided
    Cases,
    /// Findings of each --tlb and memory model: scenarios/tlb/policies.txt
    Policies,
    /// Errors about damaged litmus tests: tests/litmus-errors
    LitmusErrors,
    /// Final states of tests/litmus, which come from the axioms, never from the machine
    Litmus,
    /// Pages of `lamprey help`
    Pages,
    /// Samples in README.md and docs/
    Docs,
}

impl What {
    /// Package and name of the test that writes them.
    fn test(self) -> (&'static str, &'static str) {
        match self {
            What::Ui => ("report", "ui"),
            What::Schema => ("report", "schema"),
            What::Cases => ("check", "cases"),
            What::Policies => ("check", "policies"),
            What::LitmusErrors => ("litmus", "errors"),
            What::Litmus => ("litmus", "corpus"),
            What::Pages => ("lamprey-cli", "flags"),
            What::Docs => ("lamprey-cli", "docs"),
        }
    }
}

/// Runs the tests of `what`, or of all if it is empty, so that they write their files.
///
/// # Errors
///
/// If a test fails for another reason than a difference. The others are run all the same.
pub(crate) fn run(what: &[What]) -> anyhow::Result<()> {
    let what = if what.is_empty() { What::value_variants() } else { what };
    let mut failed = Vec::new();
    for what in what {
        let (package, test) = what.test();
        let status = Command::new(project::cargo())
            .args(["test", "--quiet", "--package", package, "--test", test])
            .env("SNAPSHOTS", "overwrite")
            .current_dir(project::root())
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            failed.push(what.to_possible_value().expect("none is hidden").get_name().to_owned());
        }
    }
    ensure!(failed.is_empty(), "not written, or not whole: {}", failed.join(", "));
    println!("written; `git diff` shows what changed");
    Ok(())
}
