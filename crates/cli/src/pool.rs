//! Several scenarios checked at once, each on a thread that has opened the guest for itself.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use check::{Config, Cutoff, Guest, Limits, Progress};
use outcome::{Outcome, Verdict};

use crate::guests;
use crate::interrupt;

/// How often the status is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A scenario to check.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) image: PathBuf,
    /// How we built it, if we did.
    pub(crate) built: Option<String>,
    pub(crate) scenario: String,
}

/// What each search may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) seconds: Option<f64>,
    pub(crate) states: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) reduction: bool,
    pub(crate) config: Config,
}

/// What the searches tell.
pub(crate) enum News {
    /// A job is done. `trail` is its name and text; `cut` says that the search was told to end.
    Ended { job: usize, outcome: Box<Outcome>, trail: Option<(String, String)>, cut: bool },
    /// The image could not be opened again, or lacks the scenario now.
    Gone { reason: String },
    /// Lamprey panicked; the panic's message is printed already.
    Panicked { job: usize },
    /// Some time has passed.
    Tick,
}

/// What is known of a search that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) states: u64,
    pub(crate) switches: u32,
    pub(crate) queue: u64,
    pub(crate) round: u32,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// The searches.
pub(crate) struct Pool<'a> {
    jobs: &'a [Job],
    allowance: Allowance,
    next: AtomicUsize,
    stopped: Arc<AtomicBool>,
    running: Mutex<BTreeMap<usize, Snapshot>>,
}

thread_local! {
    static CHECKING: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The scenario that this thread checks.
pub(crate) fn checking() -> Option<String> {
    CHECKING.with(|name| name.try_borrow().ok().and_then(|name| name.clone()))
}

/// From now on this thread checks `name`.
pub(crate) fn now_checking(name: String) {
    CHECKING.with(|checking| *checking.borrow_mut() = Some(name));
}

impl<'a> Pool<'a> {
    pub(crate) fn new(jobs: &'a [Job], allowance: Allowance) -> Self {
        Self {
            jobs,
            allowance,
            next: AtomicUsize::new(0),
            stopped: Arc::default(),
            running: Mutex::default(),
        }
    }

    /// Checks all jobs on `threads` threads. `hear` gets the news on this thread; an error of it
    /// ends the searches and is returned.
    pub(crate) fn run<E>(
        &self,
        threads: usize,
        mut hear: impl FnMut(News) -> Result<(), E>,
    ) -> Result<(), E> {
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads {
                let sender = sender.clone();
                scope.spawn(move || self.work(&sender));
            }
            drop(sender);
            loop {
                let news = match receiver.recv_timeout(TICK) {
                    Ok(news) => news,
                    Err(RecvTimeoutError::Timeout) => News::Tick,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                };
                if let Err(error) = hear(news) {
                    self.stop();
                    return Err(error);
                }
            }
        })
    }

    /// Ends the searches that run, and begins no other.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// The searches that run, by job.
    pub(crate) fn running(&self) -> BTreeMap<usize, Snapshot> {
        self.board().clone()
    }

    fn ends(&self) -> bool {
        ends(&self.stopped)
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<usize, Snapshot>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, sender: &Sender<News>) {
        let mut opened: Option<(&Path, Guest)> = None;
        while !self.ends() {
            let job = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(Job { image, built, scenario }) = self.jobs.get(job) else { return };
            self.board().insert(job, Snapshot::default());
            now_checking(scenario.clone());
            let checked = panic::catch_unwind(AssertUnwindSafe(|| {
                if opened.as_ref().is_none_or(|(path, _)| path != image) {
                    let guest = guests::load(image, built.as_deref());
                    opened = Some((image, guest.map_err(|error| error.to_string())?));
                }
                self.check(job, opened.as_ref().map(|(_, guest)| guest), scenario)
            }));
            self.board().remove(&job);
            let news = match checked {
                Ok(Ok(news)) => news,
                Ok(Err(reason)) => News::Gone { reason },
                Err(panic) => {
                    forget(panic);
                    opened = None;
                    News::Panicked { job }
                }
            };
            if sender.send(news).is_err() {
                return;
            }
        }
    }

    fn check(&self, job: usize, guest: Option<&Guest>, name: &str) -> Result<News, String> {
        let found = guest.and_then(|guest| {
            let scenario = guest.scenarios().iter().find(|scenario| scenario.name == name)?;
            Some((guest, scenario))
        });
        let Some((guest, scenario)) = found else {
            let image = self.jobs[job].image.display();
            return Err(format!("{image}: was changed while it was checked; {name} is gone"));
        };
        let stopped = Arc::clone(&self.stopped);
        let limits = Limits {
            seconds: self.allowance.seconds,
            states: self.allowance.states,
            bytes: self.allowance.bytes,
            reduction: self.allowance.reduction,
            every_access: false,
            config: self.allowance.config,
            interrupted: Cutoff::when(move || ends(&stopped)),
        };
        let mut cut = false;
        let checked = check::check(guest, scenario, &limits, &mut |progress| {
            self.board().insert(job, snapshot(progress));
            cut |= self.ends();
            if cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // A part that runs by itself is cut off without a word of the search.
        cut |= checked.outcome.verdict == Verdict::Undecided && self.ends();
        let trail = checked.trail.map(|trail| (trail.name(), trail.to_string()));
        Ok(News::Ended { job, outcome: Box::new(checked.outcome), trail, cut })
    }
}

fn ends(stopped: &AtomicBool) -> bool {
    stopped.load(Ordering::Relaxed) || interrupt::asked()
}

fn snapshot(progress: &Progress) -> Snapshot {
    Snapshot {
        states: progress.states,
        switches: progress.switches,
        queue: progress.queue,
        round: progress.round,
        bytes: progress.bytes,
        seconds: progress.seconds,
    }
}

/// A panic's payload could panic again when it is dropped.
fn forget(panic: Box<dyn Any + Send>) {
    std::mem::forget(panic);
}
