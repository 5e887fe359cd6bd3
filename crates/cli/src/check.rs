//! `check`: builds guests, checks scenarios, and prints and saves results.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use check::{Config, Fill, MemoryModel};
use outcome::{Outcome, Verdict};
use report::Context;
use unicode_width::UnicodeWidthStr;

use crate::args::{CheckArgs, Format, ModelArg, StyleArgs, TlbArg};
use crate::atomic;
use crate::commands::Commands;
use crate::error::Error;
use crate::exit::Exit;
use crate::guests::{self, Opened, Origin};
use crate::interrupt;
use crate::memory;
use crate::pool::{Allowance, Job, Pool, PoolEvent};
use crate::progress::Meter;
use crate::reporter::{Piece, Reporter, plain};
use crate::select::{Match, select};
use crate::store::ResultStore;
use crate::ui::{OutputError, Ui};

/// Runs `check`.
pub(crate) fn check(
    program: &str,
    args: &CheckArgs,
    style: &StyleArgs,
    ui: &mut Ui,
) -> Result<Exit, Error> {
    if let Some(path) = &args.output {
        // Fails now rather than after an hour.
        let path = path.clone();
        atomic::can_write(&path).map_err(|reason| Error::Report { path, reason })?;
    }
    let origin = Origin::of(&args.guests)?;
    let guests = origin.open(style, ui)?;
    let jobs = select_jobs(&guests, args, ui)?;
    let threads = threads(args, jobs.len());
    let allowance = allowance(args, threads);
    announce(&guests, &jobs, ui);

    let commands = Commands::new(program, &args.guests);
    let mut session = CheckSession::new(args, &jobs, origin.store(), commands, ui);
    let pool = Pool::new(&jobs, allowance);
    let mut meter = Meter::new();
    let heard = pool.run(threads, |news| match news {
        PoolEvent::Tick => {
            let name = |job: usize| jobs[job].scenario.clone();
            meter.tick(session.ui, &pool.running(), name, &allowance);
            Ok(())
        }
        // A search that was stopped because another failed has no result of its own.
        PoolEvent::Ended { cut: true, outcome, .. }
            if outcome.verdict == Verdict::Undecided && !interrupt::is_requested() =>
        {
            Ok(())
        }
        PoolEvent::Ended { job, outcome, trail, .. } => {
            if args.fail_fast && Exit::of([outcome.verdict]) == Exit::Violated {
                pool.stop();
            }
            session.ended(job, *outcome, trail)
        }
        PoolEvent::Gone { reason } => {
            session.ui.error(reason);
            session.worst = session.worst.or(Some(Exit::Refused));
            Ok(())
        }
        PoolEvent::Panicked { job } => {
            session.ui.error(format!("{}: no verdict", jobs[job].scenario));
            session.worst = Some(Exit::Bug);
            Ok(())
        }
    });
    session.ui.clear_status();
    // Writes the results so far even if the reader of standard output is gone.
    let ended = session.end(heard.is_ok());
    heard.map_err(Error::from).and(ended)
}

fn select_jobs(guests: &[Opened], args: &CheckArgs, ui: &mut Ui) -> Result<Vec<Job>, Error> {
    let all = guests::scenarios(guests);
    let names: Vec<&str> = all.iter().map(|(_, scenario)| scenario.name.as_str()).collect();
    let by = if args.bisect { Match::Called } else { Match::Part };
    let (selected, idle) = select(&names, &args.filters, by)?;
    for filter in idle {
        ui.warn(match by {
            Match::Part => format!("no scenario's name contains `{filter}`"),
            Match::Called => format!("no scenario is called `{filter}`"),
        });
    }
    let job = |i: usize| Job {
        image: all[i].0.path.clone(),
        built: all[i].0.built.clone(),
        scenario: names[i].to_owned(),
    };
    Ok(selected.into_iter().map(job).collect())
}

fn threads(args: &CheckArgs, jobs: usize) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    args.jobs.map_or_else(processors, usize::from).min(jobs)
}

/// Returns the configuration of the machine.
fn config(args: &CheckArgs) -> Config {
    let memory_model = match args.model {
        ModelArg::Tso => MemoryModel::Tso,
        ModelArg::Sc => MemoryModel::Sc,
    };
    let fill = match args.tlb {
        TlbArg::Adversarial => Fill::Adversarial,
        TlbArg::Retain => Fill::Retain,
        TlbArg::Eager => Fill::Eager,
    };
    Config { fill, memory_model, masking: !args.no_masking }
}

/// Returns the budget of each search. Concurrent searches share the memory.
fn allowance(args: &CheckArgs, threads: usize) -> Allowance {
    let memory = args.budget.memory.unwrap_or_else(memory::default_budget);
    Allowance {
        seconds: args.budget.time,
        states: args.budget.states,
        bytes: Some(memory / threads.max(1) as u64),
        reduction: !args.no_reduction,
        config: config(args),
    }
}

/// Prints `    Checking 5 scenarios of seed (3f9a1c0e), example (a01be77d)`.
fn announce(guests: &[Opened], jobs: &[Job], ui: &mut Ui) {
    let used = guests.iter().filter(|opened| jobs.iter().any(|job| job.image == opened.path));
    let told = used.map(|opened| {
        let name = opened.path.file_name().unwrap_or(opened.path.as_os_str()).to_string_lossy();
        let id: String = opened.guest.image_id().id.chars().take(8).collect();
        if id.is_empty() { name.into_owned() } else { format!("{name} ({id})") }
    });
    let told: Vec<String> = told.collect();
    let scenarios = report::count(jobs.len() as u64, "scenario");
    ui.state("Checking", &format!("{scenarios} of {}", told.join(", ")));
}

/// A check in progress: the results so far, and where they go.
struct CheckSession<'a> {
    args: &'a CheckArgs,
    ui: &'a mut Ui,
    store: ResultStore,
    commands: Commands,
    reporter: Reporter,
    jobs: usize,
    name_width: usize,
    began: Instant,
    ended: BTreeMap<usize, (Outcome, Context)>,
    /// An exit that takes precedence over any verdict.
    worst: Option<Exit>,
    saves: bool,
}

impl<'a> CheckSession<'a> {
    fn new(
        args: &'a CheckArgs,
        jobs: &[Job],
        store: ResultStore,
        commands: Commands,
        ui: &'a mut Ui,
    ) -> Self {
        let name_width = jobs.iter().map(|job| job.scenario.width()).max().unwrap_or_default();
        // With -o the report goes to the file, and standard output has the text form meanwhile.
        let format = if args.output.is_some() { Format::Text } else { args.format };
        Self {
            args,
            reporter: Reporter::new(format, ui.options(), ui.quiet(), name_width),
            ui,
            store,
            commands,
            jobs: jobs.len(),
            name_width,
            began: Instant::now(),
            ended: BTreeMap::new(),
            worst: None,
            saves: true,
        }
    }

    fn ended(
        &mut self,
        job: usize,
        outcome: Outcome,
        trail: Option<(String, String)>,
    ) -> Result<(), OutputError> {
        let trail = trail.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let saved = self.store.save(&outcome, trail);
        let name = trail.map(|(name, _)| name).filter(|_| saved.is_ok());
        if let Err(error) = saved
            && std::mem::take(&mut self.saves)
        {
            self.ui.warn(format!("results are not saved for `show` and `replay`: {error}"));
        }
        let context = self.commands.context(name);
        let pieces = self.reporter.outcome(&outcome, &context);
        self.ended.insert(job, (outcome, context));
        self.print(&pieces)
    }

    /// Prints the end of the report, writes the file, and returns the exit code.
    fn end(self, is_read: bool) -> Result<Exit, Error> {
        let seconds = self.began.elapsed().as_secs_f64();
        let missing = self.jobs - self.ended.len();
        let (outcomes, contexts): (Vec<_>, Vec<_>) = self.ended.into_values().unzip();
        if is_read {
            let pieces = self.reporter.end(&outcomes, seconds);
            pieces.iter().try_for_each(|piece| print(self.ui, piece))?;
        }
        if missing > 0 && is_read {
            self.ui.warn(format!("{missing} of {} scenarios have no verdict", self.jobs));
        }
        if let Some(path) = &self.args.output {
            let options = self.ui.options();
            let mut reporter =
                Reporter::new(self.args.format, options, self.ui.quiet(), self.name_width);
            let told = outcomes.iter().zip(&contexts);
            let mut pieces: Vec<Piece> = told.flat_map(|(o, c)| reporter.outcome(o, c)).collect();
            pieces.extend(reporter.end(&outcomes, seconds));
            atomic::write(path, &plain(&pieces))
                .map_err(|reason| Error::Report { path: path.clone(), reason })?;
        }
        Ok(match self.worst {
            Some(worst) => worst,
            // With --fail-fast there is a violation, or every scenario has ended.
            None => Exit::of(outcomes.iter().map(|outcome| outcome.verdict)),
        })
    }

    fn print(&mut self, pieces: &[Piece]) -> Result<(), OutputError> {
        pieces.iter().try_for_each(|piece| print(self.ui, piece))
    }
}

fn print(ui: &mut Ui, piece: &Piece) -> Result<(), OutputError> {
    match piece {
        Piece::Text(text) => ui.report(text),
        Piece::Plain(text) => ui.print(text),
    }
}
