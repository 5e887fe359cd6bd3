//! Looks for one program on which search and enumerator disagree: what `cargo xtask oracle --mutants` runs on
//! each mutant. Arguments: how many programs of each class, the number of the first, and the classes.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use oracle::{Class, Compared, Limits, Mode, compare, generate};

/// Large programs are left out.
const LIMITS: Limits = Limits { naive: 4_000, search: 20_000 };

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
    let (programs, first) = (number().unwrap_or(300), number().unwrap_or(0));
    let names: Vec<String> = arguments.collect();
    let mut classes = Class::ALL.to_vec();
    classes.retain(|class| names.is_empty() || names.iter().any(|name| name == class.name()));
    let (todo, found) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while !found.load(Relaxed) {
            let number = todo.fetch_add(1, Relaxed);
            let (class, seed) = (classes[number % classes.len()], number / classes.len());
            if seed as u64 >= programs {
                return;
            }
            let seed = first + seed as u64;
            if let Compared::Disagreed(_) = compare(&generate(class, seed), &Mode::of(seed), LIMITS)
                && !found.swap(true, Relaxed)
            {
                println!("{} program {seed} disagrees", class.name());
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    ExitCode::from(u8::from(found.into_inner()))
}
