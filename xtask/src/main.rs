//! Project tasks: `cargo xtask <task>`.

#![forbid(unsafe_code)]

mod bench;
mod bless;
mod cross_check;
mod diff_insn;
mod fuzz;
mod man;
mod mutants;
mod oracle;
mod project;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Hold the interpreter against this processor, at length
    DiffInsn {
        /// Random instances per instruction form
        #[arg(long, default_value_t = 20_000)]
        count: u32,
        /// Seed of the generator
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run guest/bare on other machines and on Lamprey: all must print the same
    CrossCheck {
        /// Only on these
        #[arg(long = "machine", default_values = ["qemu", "bochs", "lamprey"])]
        machines: Vec<cross_check::Machine>,
    },
    /// Write the files that tests compare with anew, from what the program says now
    Bless {
        /// Only these [default: all]
        what: Vec<bless::What>,
    },
    /// Write the manual pages of lamprey and its commands
    Man {
        /// Folder they are written to [default: target/man]
        folder: Option<std::path::PathBuf>,
    },
    /// Run the readers of untrusted files under a coverage-guided fuzzer
    Fuzz(fuzz::Arguments),
    /// Measure speed and memory of the search
    Bench {
        /// Runs of each measurement; the median is reported
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// Break aspace and the machine in one place at a time: scenarios and tests must notice
    Mutants {
        /// Only those whose name, aspace/… or machine/…, contains this
        filter: Option<String>,
    },
    /// Hold the search against a naive enumerator on random programs, at length
    Oracle(oracle::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::DiffInsn { count, seed } => diff_insn::run(count, seed),
        Task::CrossCheck { machines } => cross_check::run(&machines),
        Task::Bless { what } => bless::run(&what),
        Task::Man { folder } => man::run(folder.as_deref()),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Bench { runs } => bench::run(runs),
        Task::Mutants { filter } => mutants::run(filter.as_deref()),
        Task::Oracle(arguments) => oracle::run(&arguments),
    }
}
