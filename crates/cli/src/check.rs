//! `check`: builds, explores, tells and keeps.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use check::{Config, Fill, MemoryModel};
use outcome::{Outcome, Verdict};
use report::Context;
use unicode_width::UnicodeWidthStr;

use crate::args::{Check, Format, Look, Model, Tlb};
use crate::atomic;
use crate::commands::Commands;
use crate::error::Error;
use crate::exit::Exit;
use crate::guests::{self, Opened, Origin};
use crate::interrupt;
use crate::memory;
use crate::pool::{Allowance, Job, News, Pool};
use crate::progress::Meter;
use crate::select::{Match, select};
use crate::store::Store;
use crate::teller::{Piece, Teller, plain};
use crate::ui::{OutputError, Ui};

/// Carries out `check`.
pub(crate) fn check(program: &str, args: &Check, look: &Look, ui: &mut Ui) -> Result<Exit, Error> {
    if let Some(path) = &args.output {
        // Better now than after an hour.
        let path = path.clone();
        atomic::can_write(&path).map_err(|reason| Error::Report { path, reason })?;
    }
    let origin = Origin::of(&args.source)?;
    let guests = origin.open(look, ui)?;
    let jobs = select_jobs(&guests, args, ui)?;
    let threads = threads(args, jobs.len());
    let allowance = allowance(args, threads);
    announce(&guests, &jobs, ui);

    let commands = Commands::new(program, &args.source);
    let mut session = Session::new(args, &jobs, origin.store(), commands, ui);
    let pool = Pool::new(&jobs, allowance);
    let mut meter = Meter::new();
    let heard = pool.run(threads, |news| match news {
        News::Tick => {
            let name = |job: usize| jobs[job].scenario.clone();
            meter.tick(session.ui, &pool.running(), name, &allowance);
            Ok(())
        }
        // What was told to end because another failed says nothing of its own.
        News::Ended { cut: true, outcome, .. }
            if outcome.verdict == Verdict::Undecided && !interrupt::asked() =>
        {
            Ok(())
        }
        News::Ended { job, outcome, trail, .. } => {
            if args.fail_fast && Exit::of([outcome.verdict]) == Exit::Violated {
                pool.stop();
            }
            session.ended(job, *outcome, trail)
        }
        News::Gone { reason } => {
            session.ui.error(reason);
            session.worst = session.worst.or(Some(Exit::Refused));
            Ok(())
        }
        News::Panicked { job } => {
            session.ui.error(format!("{}: no verdict", jobs[job].scenario));
            session.worst = Some(Exit::Bug);
            Ok(())
        }
    });
    session.ui.clear_status();
    // What is known is written even if nobody reads standard output.
    let ended = session.end(heard.is_ok());
    heard.map_err(Error::from).and(ended)
}

fn select_jobs(guests: &[Opened], args: &Check, ui: &mut Ui) -> Result<Vec<Job>, Error> {
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

fn threads(args: &Check, jobs: usize) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    args.jobs.map_or_else(processors, usize::from).min(jobs)
}

/// The machine that was asked for.
fn config(args: &Check) -> Config {
    let memory_model = match args.model {
        Model::Tso => MemoryModel::Tso,
        Model::Sc => MemoryModel::Sc,
    };
    let fill = match args.tlb {
        Tlb::Adversarial => Fill::Adversarial,
        Tlb::Retain => Fill::Retain,
        Tlb::Eager => Fill::Eager,
    };
    Config { fill, memory_model, masking: !args.no_masking }
}

/// Searches that run at once share the memory.
fn allowance(args: &Check, threads: usize) -> Allowance {
    let memory = args.budget.memory.unwrap_or_else(memory::default_budget);
    Allowance {
        seconds: args.budget.time,
        states: args.budget.states,
        bytes: Some(memory / threads.max(1) as u64),
        reduction: !args.no_reduction,
        config: config(args),
    }
}

/// `    Checking 5 scenarios of seed (3f9a1c0e), example (a01be77d)`
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

/// What has ended so far, and how it is told.
struct Session<'a> {
    args: &'a Check,
    ui: &'a mut Ui,
    store: Store,
    commands: Commands,
    teller: Teller,
    jobs: usize,
    name_width: usize,
    began: Instant,
    ended: BTreeMap<usize, (Outcome, Context)>,
    /// What is worse than any verdict.
    worst: Option<Exit>,
    keeps: bool,
}

impl<'a> Session<'a> {
    fn new(
        args: &'a Check,
        jobs: &[Job],
        store: Store,
        commands: Commands,
        ui: &'a mut Ui,
    ) -> Self {
        let name_width = jobs.iter().map(|job| job.scenario.width()).max().unwrap_or_default();
        // With -o the report goes there, and the text form is what a person reads meanwhile.
        let format = if args.output.is_some() { Format::Text } else { args.format };
        Self {
            args,
            teller: Teller::new(format, ui.options(), ui.quiet(), name_width),
            ui,
            store,
            commands,
            jobs: jobs.len(),
            name_width,
            began: Instant::now(),
            ended: BTreeMap::new(),
            worst: None,
            keeps: true,
        }
    }

    fn ended(
        &mut self,
        job: usize,
        outcome: Outcome,
        trail: Option<(String, String)>,
    ) -> Result<(), OutputError> {
        let trail = trail.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        let kept = self.store.keep(&outcome, trail);
        let name = trail.map(|(name, _)| name).filter(|_| kept.is_ok());
        if let Err(error) = kept
            && std::mem::take(&mut self.keeps)
        {
            self.ui.warn(format!("results are not kept for `show` and `replay`: {error}"));
        }
        let context = self.commands.context(name);
        let pieces = self.teller.tell(&outcome, &context);
        self.ended.insert(job, (outcome, context));
        self.print(&pieces)
    }

    /// The end of the report, the file, and the exit code.
    fn end(self, is_read: bool) -> Result<Exit, Error> {
        let seconds = self.began.elapsed().as_secs_f64();
        let missing = self.jobs - self.ended.len();
        let (outcomes, contexts): (Vec<_>, Vec<_>) = self.ended.into_values().unzip();
        if is_read {
            let pieces = self.teller.end(&outcomes, seconds);
            pieces.iter().try_for_each(|piece| print(self.ui, piece))?;
        }
        if missing > 0 && is_read {
            self.ui.warn(format!("{missing} of {} scenarios have no verdict", self.jobs));
        }
        if let Some(path) = &self.args.output {
            let options = self.ui.options();
            let mut teller =
                Teller::new(self.args.format, options, self.ui.quiet(), self.name_width);
            let told = outcomes.iter().zip(&contexts);
            let mut pieces: Vec<Piece> = told.flat_map(|(o, c)| teller.tell(o, c)).collect();
            pieces.extend(teller.end(&outcomes, seconds));
            atomic::write(path, &plain(&pieces))
                .map_err(|reason| Error::Report { path: path.clone(), reason })?;
        }
        Ok(match self.worst {
            Some(worst) => worst,
            // With --fail-fast there is a violation, or everything has ended.
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
