//! Small jobs on several threads, told in the order of the jobs.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::interrupt;
use crate::pool;

/// Does `work` for each of `jobs`, on `threads` threads, and calls `hear` on this thread with what
/// comes of each: of the first job first. Nothing comes of a job that panicked. `name` is what a
/// panic's message calls a job. After an interruption no job is begun; an error of `hear` ends all.
///
/// # Errors
///
/// That of `hear`.
pub(crate) fn run<J: Sync, T: Send, E>(
    jobs: &[J],
    threads: usize,
    name: impl Fn(&J) -> String + Sync,
    work: impl Fn(&J) -> T + Sync,
    mut hear: impl FnMut(usize, Option<T>) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stopped, name, work) = (&next, &stopped, &name, &work);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) && !interrupt::asked() {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(job) = jobs.get(number) else { return };
                    pool::now_checking(name(job));
                    let done = panic::catch_unwind(AssertUnwindSafe(|| work(job)));
                    // A panic's payload could panic again when it is dropped.
                    let done = done.map_err(std::mem::forget).ok();
                    if sender.send((number, done)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut told = 0;
        for (number, done) in receiver {
            waiting.insert(number, done);
            while let Some(done) = waiting.remove(&told) {
                if let Err(error) = hear(told, done) {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                told += 1;
            }
        }
        Ok(())
    })
}
