//! Checks several scenarios at once, each on a thread that opens the guest for itself.

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

/// Interval between looks at the status.
const TICK: Duration = Duration::from_millis(100);

/// A scenario to check.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) image: PathBuf,
    /// Description of the build, if this process built it.
    pub(crate) built: Option<String>,
    pub(crate) scenario: String,
}

/// Budget and options of each search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) seconds: Option<f64>,
    pub(crate) states: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) reduction: bool,
    pub(crate) config: Config,
}

/// An event that a search reports.
pub(crate) enum PoolEvent {
    /// A job has ended. `trail` is its name and text; `cut` means that the search was told to stop.
    Ended { job: usize, outcome: Box<Outcome>, trail: Option<(String, String)>, cut: bool },
    /// The image could not be opened again, or no longer has the scenario.
    Gone { reason: String },
    /// Lamprey panicked; the panic's message is already printed.
    Panicked { job: usize },
    /// [`TICK`] has passed without another event.
    Tick,
}

/// Progress of a running search.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) states: u64,
    pub(crate) switches: u32,
    pub(crate) queue: u64,
    pub(crate) round: u32,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// Threads that check scenarios.
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

/// Returns the scenario that this thread is checking.
pub(crate) fn checking() -> Option<String> {
    CHECKING.with(|name| name.try_borrow().ok().and_then(|name| name.clone()))
}

/// Records that this thread is checking `name`.
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

    /// Checks all jobs on `threads` threads. Calls `on_event` on this thread; an error that it returns
    /// ends the searches and is returned.
    pub(crate) fn run<E>(
        &self,
        threads: usize,
        mut on_event: impl FnMut(PoolEvent) -> Result<(), E>,
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
                    Err(RecvTimeoutError::Timeout) => PoolEvent::Tick,
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                };
                if let Err(error) = on_event(news) {
                    self.stop();
                    return Err(error);
                }
            }
        })
    }

    /// Ends the running searches, and starts no others.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Returns the running searches, by job.
    pub(crate) fn running(&self) -> BTreeMap<usize, Snapshot> {
        self.board().clone()
    }

    fn ends(&self) -> bool {
        ends(&self.stopped)
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<usize, Snapshot>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, sender: &Sender<PoolEvent>) {
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
                Ok(Err(reason)) => PoolEvent::Gone { reason },
                Err(panic) => {
                    forget(panic);
                    opened = None;
                    PoolEvent::Panicked { job }
                }
            };
            if sender.send(news).is_err() {
                return;
            }
        }
    }

    fn check(&self, job: usize, guest: Option<&Guest>, name: &str) -> Result<PoolEvent, String> {
        let found = guest.and_then(|guest| {
            let scenario = guest.scenarios().iter().find(|scenario| scenario.name == name)?;
            Some((guest, scenario))
        });
        let Some((guest, scenario)) = found else {
            let image = self.jobs[job].image.display();
            return Err(format!("{image}: changed while it was being checked; {name} is gone"));
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
        // A part that runs alone is cut off without a call of this closure.
        cut |= checked.outcome.verdict == Verdict::Undecided && self.ends();
        let trail = checked.trail.map(|trail| (trail.name(), trail.to_string()));
        Ok(PoolEvent::Ended { job, outcome: Box::new(checked.outcome), trail, cut })
    }
}

fn ends(stopped: &AtomicBool) -> bool {
    stopped.load(Ordering::Relaxed) || interrupt::is_requested()
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

/// Leaks the payload of a panic, which could panic again when it is dropped.
fn forget(panic: Box<dyn Any + Send>) {
    std::mem::forget(panic);
}
