//! Scenarios that show nothing.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Without a mark nothing shows that the interesting case occurs.
// reason: no mark was reached
#[lamprey::scenario]
fn no_mark() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || word.store(1, SeqCst));
}

/// An empty scenario.
// reason: no mark was reached
#[lamprey::scenario]
fn empty() {}

/// One mark is reached, two are not.
// reason: marks that no run reached: never, nor here
#[lamprey::scenario]
fn marks_missed() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        lamprey::mark!("here");
        if word.load(SeqCst) == 7 {
            lamprey::mark!("never");
            lamprey::mark!("nor here");
        }
    });
}

/// A mark at an order of stores that no CPU sees, of words that show late in the search to be shared.
// reason: marks that no run reached: the third without the second
#[lamprey::scenario]
fn mark_of_an_impossible_order() {
    let words = lamprey::new([const { AtomicU64::new(0) }; 3]);
    let [first, second, third] = words;
    lamprey::cpu(0, move || {
        let _ = second.load(Relaxed);
        let third = first.load(Relaxed) == 1 && third.load(Relaxed) == 1;
        if third && second.load(Relaxed) == 0 {
            lamprey::mark!("the third without the second");
        }
    });
    lamprey::cpu(1, move || words.iter().for_each(|word| word.store(1, Relaxed)));
}

/// All runs are discarded.
// reason: every run was discarded by `assume`
#[lamprey::scenario]
fn all_discarded() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        lamprey::mark!("here");
        lamprey::assume(word.load(SeqCst) == 7);
    });
}

/// What only the set-up may do: a mistake of the scenario is no bug of what it checks.
// reason: lamprey::always is for the set-up only
#[lamprey::scenario]
fn registers_too_late() {
    lamprey::cpu(0, || lamprey::always(|| {}));
}

/// An IPI that set-up sends would reach CPUs that do not run yet.
// reason: the scenario is wrong: lamprey::send_ipi
#[lamprey::scenario]
fn ipi_from_set_up() {
    lamprey::handler(40, || {});
    lamprey::cpu(0, || lamprey::mark!("here"));
    lamprey::send_ipi(0, 40);
}

/// So aligned, nothing is left of the address space.
// reason: the scenario is wrong: lamprey::alloc has no memory left
#[lamprey::scenario]
fn allocation_beyond_all_memory() {
    lamprey::cpu(0, || lamprey::mark!("here"));
    let _ = lamprey::alloc(8, 1 << 63);
}

/// A size that wraps around.
// reason: the scenario is wrong: lamprey::alloc has no memory left
#[lamprey::scenario]
fn allocation_of_all_memory() {
    lamprey::cpu(0, || lamprey::mark!("here"));
    let _ = lamprey::alloc(usize::MAX, 8);
}
