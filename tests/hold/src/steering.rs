//! Choices, assumptions and marks.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

/// Every value is chosen, and none fails.
#[lamprey::scenario]
fn choose_all() {
    lamprey::cpu(0, || match lamprey::choose(3) {
        0 => lamprey::mark!("0"),
        1 => lamprey::mark!("1"),
        2 => lamprey::mark!("2"),
        n => lamprey::require!(false, "choice", "{n}"),
    });
}

/// A choice among one has one result.
#[lamprey::scenario]
fn choose_one() {
    lamprey::cpu(0, || {
        lamprey::require_eq!(lamprey::choose(1), 0, "choice", "another value");
        lamprey::mark!("chosen");
    });
}

/// Two CPUs choose, and all pairs occur.
#[lamprey::scenario(marks = ["0 0", "0 1", "1 0", "1 1"])]
fn choose_pairs() {
    let chosen = lamprey::new([AtomicU64::new(0), AtomicU64::new(0)]);
    for (cpu, chosen) in chosen.iter().enumerate() {
        lamprey::cpu(cpu, move || chosen.store(lamprey::choose(2), SeqCst));
    }
    lamprey::finally(move || match (chosen[0].load(SeqCst), chosen[1].load(SeqCst)) {
        (0, 0) => lamprey::mark!("0 0"),
        (0, 1) => lamprey::mark!("0 1"),
        (1, 0) => lamprey::mark!("1 0"),
        _ => lamprey::mark!("1 1"),
    });
}

/// A run that an assumption discards cannot fail.
#[lamprey::scenario]
fn assume_prunes() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        lamprey::assume(word.load(SeqCst) == 1);
        lamprey::mark!("after the store");
        lamprey::require_eq!(word.load(SeqCst), 1, "assumed", "not so");
    });
    lamprey::cpu(1, move || word.store(1, SeqCst));
}

/// A final check writes to a copy: the next state does not see it.
#[lamprey::scenario]
fn checks_leave_no_trace() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::always(move || {
        lamprey::require!(word.fetch_add(1, SeqCst) <= 1, "copy", "written by a check");
    });
    lamprey::finally(move || {
        lamprey::mark!("the end");
        lamprey::require_eq!(word.load(SeqCst), 1, "copy", "written by a check");
    });
    lamprey::cpu(0, move || word.store(1, SeqCst));
}

/// Eight CPUs.
#[lamprey::scenario]
fn eight_cpus() {
    for cpu in 0..lamprey::MAX_CPUS {
        lamprey::cpu(cpu, move || {
            lamprey::require_eq!(lamprey::this_cpu(), cpu, "this-cpu", "another");
            lamprey::mark!("ran");
        });
    }
}

/// What an invariant discards is no run, though at first, when no word is known to be shared, CPU 0 passes by
/// that state.
#[lamprey::scenario]
fn invariant_discards() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::always(move || {
        lamprey::assume(word.load(SeqCst) != 1);
        lamprey::require!(word.load(SeqCst) != 3, "after", "what was discarded");
    });
    lamprey::cpu(0, move || {
        if lamprey::choose(2) == 0 {
            lamprey::mark!("ends");
            return;
        }
        word.store(1, SeqCst);
        word.store(3, SeqCst);
    });
}

/// The same, where the invariant holds again when something else goes wrong.
#[lamprey::scenario]
fn invariant_discards_before_a_failure() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::always(move || lamprey::assume(word.load(SeqCst) != 1));
    lamprey::cpu(0, move || {
        if lamprey::choose(2) == 0 {
            lamprey::mark!("ends");
            return;
        }
        word.store(1, SeqCst);
        word.store(0, SeqCst);
        lamprey::require!(lamprey::choose(2) == 2, "after", "what was discarded");
    });
}
