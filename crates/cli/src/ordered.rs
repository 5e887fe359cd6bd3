//! Runs small jobs on several threads and delivers results in the order of the jobs.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::interrupt;
use crate::pool;

/// Runs `work` for each of `jobs`, on `threads` threads, and calls `on_result` on this thread with the
/// result of each, in the order of the jobs. A job that panicked has no result. `name` returns the name of a
/// job for the message of a panic. After an interruption no job starts; an error of `on_result` ends all.
///
/// # Errors
///
/// Returns the first error of `on_result`.
pub(crate) fn run<J: Sync, T: Send, E>(
    jobs: &[J],
    threads: usize,
    name: impl Fn(&J) -> String + Sync,
    work: impl Fn(&J) -> T + Sync,
    mut on_result: impl FnMut(usize, Option<T>) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stopped, name, work) = (&next, &stopped, &name, &work);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) && !interrupt::is_requested() {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(job) = jobs.get(number) else { return };
                    pool::now_checking(name(job));
                    let done = panic::catch_unwind(AssertUnwindSafe(|| work(job)));
                    // Leaks the payload of a panic, which could panic again when it is dropped.
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
                if let Err(error) = on_result(told, done) {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                told += 1;
            }
        }
        Ok(())
    })
}
