//! Flags, with the text of `--help`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Error, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::units;

/// Checks compiled x86-64 kernel code in every interleaving.
///
/// A scenario is an ordinary function of a guest crate that states what each CPU does. `check` builds
/// the guests and runs every scenario on a modelled multiprocessor. It either reports that nothing goes
/// wrong within the stated bounds, or prints the simplest run in which something does.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Pages: help exit-codes, help formats, help model")]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) style: StyleArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check scenarios: the only command that explores
    Check(CheckArgs),
    /// Run one trail again; prints what `check` printed, and exits as `check` would
    Replay(ReplayArgs),
    /// Show the last finding, or the one named, in another form; builds nothing
    Show(ShowArgs),
    /// List scenarios with the properties that they violate and the marks that they declare
    List(ListArgs),
    /// Run litmus tests in herd's format, and compare their final states with the expected ones
    Litmus(LitmusArgs),
    /// Boot a kernel on the modelled machine, on one schedule; its serial line goes to standard output
    Run(RunArgs),
    /// Create a scenario crate that compiles and fails in an instructive way
    New(NewArgs),
    /// Print completions for a shell; `--help` says where they go
    Completions(CompletionsArgs),
    /// Print a page, or the help of a command
    Help(HelpArgs),
}

/// Flags for the style of output.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct StyleArgs {
    /// When to use colour; `auto` depends on NO_COLOR, TERM=dumb and whether the output is a terminal
    #[arg(long, global = true, env = "LAMPREY_COLOR", value_name = "WHEN", default_value = "auto")]
    #[arg(hide_env_values = true)]
    pub(crate) color: Color,
    /// Maximum width of a report's lines; verdict lines and commands are never broken
    #[arg(
        long,
        global = true,
        env = "LAMPREY_WIDTH",
        value_name = "COLUMNS",
        default_value = "79"
    )]
    #[arg(hide_env_values = true, value_parser = clap::value_parser!(u16).range(40..=400))]
    pub(crate) width: u16,
    /// One line per scenario and nothing else: no columns, progress or summary
    #[arg(long, short, global = true, env = "LAMPREY_QUIET")]
    #[arg(hide_env_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Print everything: marks, values before a write, each iteration of a spin loop, figures
    #[arg(long, short, global = true, env = "LAMPREY_VERBOSE")]
    #[arg(hide_env_values = true, value_parser = BoolishValueParser::new())]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// Flags that select guests.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Guests")]
pub(crate) struct GuestArgs {
    /// Manifest of the guests [default: scenarios/Cargo.toml or a Cargo.toml that depends
    /// on `lamprey`, in this directory or the nearest parent that has one]
    #[arg(long, env = "LAMPREY_MANIFEST_PATH", value_name = "FILE", hide_env_values = true)]
    pub(crate) manifest_path: Option<PathBuf>,
    /// A guest that is already built; repeatable; builds nothing
    #[arg(long, env = "LAMPREY_IMAGE", value_name = "FILE", hide_env_values = true)]
    pub(crate) image: Vec<PathBuf>,
    /// Target of guests [default: x86_64-unknown-none, as for kernels, if it is installed]
    #[arg(long, env = "LAMPREY_TARGET", value_name = "TARGET", hide_env_values = true)]
    pub(crate) target: Option<TargetArg>,
    /// `true` if the target was typed. A variable needs no mention in proposed commands, because it
    /// is still set then.
    #[arg(skip)]
    pub(crate) is_target_typed: bool,
}

/// A target of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetArg {
    #[value(name = "x86_64-unknown-none")]
    Bare,
    #[value(name = "x86_64-unknown-linux-gnu")]
    Host,
}

impl Command {
    fn guests(&mut self) -> Option<&mut GuestArgs> {
        match self {
            Command::Check(check) => Some(&mut check.guests),
            Command::Replay(replay) => Some(&mut replay.guests),
            Command::Show(show) => Some(&mut show.guests),
            Command::List(list) => Some(&mut list.guests),
            Command::Litmus(_)
            | Command::Run(_)
            | Command::New(_)
            | Command::Completions(_)
            | Command::Help(_) => None,
        }
    }
}

impl CommandLine {
    /// Resolves conflicts: of two contradictory flags the one that was typed wins over the other's variable.
    /// clap's own `conflicts_with` would refuse that, too. `command` is the definition that parsed the flags.
    pub(crate) fn settle(
        mut self,
        matches: &ArgMatches,
        mut command: clap::Command,
    ) -> Result<Self, Error> {
        let Some((name, matches)) = matches.subcommand() else { return Ok(self) };
        // Fills in what a command has from its parent: its name in the usage.
        command.build();
        let mut refuse = |words: String| {
            let command = command.find_subcommand_mut(name).expect("it was parsed");
            Err(command.error(ErrorKind::ArgumentConflict, words))
        };
        // Asks only for flags that the command has.
        let typed = |id| {
            matches.try_contains_id(id).is_ok()
                && matches.value_source(id) == Some(ValueSource::CommandLine)
        };
        if self.style.quiet && self.style.verbose {
            match (typed("quiet"), typed("verbose")) {
                (true, false) => self.style.verbose = false,
                (false, true) => self.style.quiet = false,
                _ => return refuse("--quiet and --verbose: give one of them, not both".into()),
            }
        }
        let Some(guests) = self.command.guests() else { return Ok(self) };
        guests.is_target_typed = typed("target");
        if guests.manifest_path.is_some() && !guests.image.is_empty() {
            match (typed("manifest_path"), typed("image")) {
                (true, false) => guests.image.clear(),
                (false, true) => guests.manifest_path = None,
                _ => {
                    let words = "--manifest-path and --image: give one of them, not both";
                    return refuse(words.into());
                }
            }
        }
        if guests.is_target_typed && !typed("image") {
            guests.image.clear();
        }
        if guests.is_target_typed && !guests.image.is_empty() {
            let words = "--target is for guests that are built, but --image names one that is already built: give one of \
                         them, not both";
            return refuse(words.into());
        }
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let images: Vec<PathBuf> = guests.image.iter().map(real).collect();
        let twice = (1..images.len()).find(|at| images[..*at].contains(&images[*at]));
        if let Some(at) = twice {
            return refuse(format!("--image {}: it is given twice", guests.image[at].display()));
        }
        Ok(self)
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Check the scenario called FILTER, or else those whose name contains it; several filters select all
    /// that any of them selects
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Scenarios checked at once; they share the memory budget [default: one per processor]
    #[arg(long, short, env = "LAMPREY_JOBS", value_name = "N", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Stop after the first FAIL or LOST
    #[arg(long, env = "LAMPREY_FAIL_FAST", hide_env_values = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) fail_fast: bool,
    /// Exit with 125 instead of 2, 3 and 4, for `git bisect run`; FILTER is then a full name,
    /// or its last parts after a `::`
    #[arg(long, env = "LAMPREY_BISECT", hide_env_values = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) bisect: bool,
    /// Form of the report; see `help formats`
    #[arg(long, env = "LAMPREY_FORMAT", value_name = "FORMAT", default_value = "text")]
    #[arg(hide_env_values = true)]
    pub(crate) format: Format,
    /// Write the report to FILE, whole or not at all; standard output then has the text form
    #[arg(long, short, env = "LAMPREY_OUTPUT", value_name = "FILE", hide_env_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// Memory ordering of the modelled machine; see `help model`
    #[arg(long, env = "LAMPREY_MODEL", value_name = "MODEL", default_value = "tso")]
    #[arg(hide_env_values = true)]
    pub(crate) model: ModelArg,
    /// When translations are cached, in scenarios with page tables; see `help model`
    #[arg(long, env = "LAMPREY_TLB", value_name = "POLICY", default_value = "adversarial")]
    #[arg(hide_env_values = true)]
    pub(crate) tlb: TlbArg,
    /// Search without partial-order reduction: slower, with the same verdicts
    #[arg(long, env = "LAMPREY_NO_REDUCTION", hide_env_values = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) no_reduction: bool,
    /// Keep data below stack pointers even if nothing reads it: slower, with the same verdicts
    #[arg(long, env = "LAMPREY_NO_MASKING", hide_env_values = true)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) no_masking: bool,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
}

/// Flags that limit a search.
#[derive(Debug, Args)]
#[command(next_help_heading = "Budgets")]
pub(crate) struct BudgetArgs {
    /// Time for each search: 60s, 5m, 2h; a bare number is seconds [default: limited only by memory]
    #[arg(long, env = "LAMPREY_TIME", value_name = "DURATION", hide_env_values = true)]
    #[arg(value_parser = units::seconds)]
    pub(crate) time: Option<f64>,
    /// States of each search: 2000000, 2M [default: limited only by memory]
    #[arg(long, env = "LAMPREY_STATES", value_name = "N", hide_env_values = true)]
    #[arg(value_parser = units::count)]
    pub(crate) states: Option<u64>,
    /// Memory for all searches together: 4G, 512M; at least 16M [default: three quarters of the
    /// available memory]
    #[arg(long, env = "LAMPREY_MEMORY", value_name = "SIZE", hide_env_values = true)]
    #[arg(value_parser = units::budget)]
    pub(crate) memory: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For tools: one object per line, for each scenario or test
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelArg {
    /// x86-TSO: every CPU has a store buffer
    Tso,
    /// Sequential consistency
    Sc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlbArg {
    /// At any time, as the manuals allow
    Adversarial,
    /// Only by accesses; nothing is evicted
    Retain,
    /// Never: a control under which no flush is missing
    Eager,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Name of a saved trail, as `check` printed it, path of a trail file, or name of a scenario, for
    /// the trail of its last result
    pub(crate) trail: String,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Name or path of a trail, or name of a scenario [default: the last result with a finding]
    pub(crate) trail: Option<String>,
    #[command(flatten)]
    pub(crate) form: FormArg,
    /// Print addresses instead of source positions
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
}

/// The requested form: one flag for each of [`report::Form::ALL`], of which at most one is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormArg(pub(crate) report::Form);

impl Args for FormArg {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flag = |form: report::Form| {
            let flag = clap::Arg::new(form.name()).long(form.name()).help(form.about());
            flag.action(clap::ArgAction::SetTrue)
        };
        let names = report::Form::ALL.map(report::Form::name);
        command
            .args(report::Form::ALL.map(flag))
            .group(clap::ArgGroup::new("form").args(names).multiple(false))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for FormArg {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let asked = report::Form::ALL.into_iter().find(|form| matches.get_flag(form.name()));
        Ok(FormArg(asked.unwrap_or(report::Form::ALL[0])))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List the scenario called FILTER, or else those whose name contains it; several filters select all
    /// that any of them selects
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LitmusArgs {
    /// Test, folder that contains *.litmus, or index file whose name starts with @
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Memory ordering of the modelled machine
    #[arg(long, env = "LAMPREY_MODEL", value_name = "MODEL", default_value = "tso")]
    #[arg(hide_env_values = true)]
    pub(crate) model: ModelArg,
    /// Compare with this log of herd or litmus7: the sets of final states must be equal
    #[arg(long, env = "LAMPREY_EXPECT", value_name = "LOG", hide_env_values = true)]
    pub(crate) expect: Option<PathBuf>,
    /// Compare with this log of litmus7 on a processor: each of its states must be among the
    /// final states
    #[arg(long, value_name = "LOG", conflicts_with = "expect")]
    pub(crate) expect_subset: Option<PathBuf>,
    /// Form of the report; see `help formats`
    #[arg(long, env = "LAMPREY_FORMAT", value_name = "FORMAT", default_value = "text")]
    #[arg(hide_env_values = true)]
    pub(crate) format: Format,
    /// Tests run at once [default: one per processor]
    #[arg(long, short, env = "LAMPREY_JOBS", value_name = "N", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A kernel: an ELF file for 64-bit mode with the symbols `lamprey_boot64`, where every CPU
    /// starts with its number in RDI, and `boot_page_tables`, its first CR3
    pub(crate) image: PathBuf,
    /// Number of CPUs
    #[arg(long, value_name = "N", default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) cpus: u8,
    /// Physical memory, from address 0: 64M, 1G
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = units::bytes)]
    pub(crate) memory: u64,
    /// Switch between CPUs, and drain their store buffers, at random; equal seeds give equal runs
    /// [default: CPUs take turns]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Total instructions of all CPUs after which the run ends: 200000000, 200M
    #[arg(long, value_name = "N", default_value = "200M", value_parser = units::count)]
    pub(crate) limit: u64,
    /// Print every instruction and delivery to standard error
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Path of the new folder; its last part is the name of the crate
    pub(crate) name: PathBuf,
    /// Folder of the `lamprey` guest library [default: that of the checkout from which this was built]
    #[arg(long, env = "LAMPREY_GUEST", value_name = "FOLDER", hide_env_values = true)]
    pub(crate) guest: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Where to put the script:
  bash        ~/.local/share/bash-completion/completions/lamprey
  zsh         _lamprey, in a folder of $fpath
  fish        ~/.config/fish/completions/lamprey.fish
  elvish      at the end of ~/.config/elvish/rc.elv
  powershell  at the end of the file that $PROFILE names")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete in
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// exit-codes, formats, model, or a command
    pub(crate) topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_accepts_the_definition() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_flag_of_check_has_its_variable() {
        let command = CommandLine::command();
        let check = command.find_subcommand("check").expect("a command");
        for flag in check.get_arguments().filter(|arg| arg.get_long().is_some()) {
            let long = flag.get_long().expect("filtered");
            let variable = format!("LAMPREY_{}", long.to_uppercase().replace('-', "_"));
            let env = flag.get_env().and_then(|env| env.to_str());
            assert!(long == "help" || env == Some(&variable), "--{long}: {env:?}");
        }
    }
}
