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
// reason: no CPU does anything
#[lamprey::scenario]
fn empty() {}

/// A mark of the final check, which runs although there is nothing to check.
// reason: no CPU does anything
#[lamprey::scenario]
fn no_cpu() {
    lamprey::handler(40, || {});
    lamprey::finally(|| lamprey::mark!("the end"));
}

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

/// A registration after set-up: a mistake of the scenario is no bug of the code that it checks.
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

/// With this alignment nothing is left of the address space.
// reason: the scenario is wrong: lamprey::alloc was asked for 8 bytes aligned to 9223372036854775808
#[lamprey::scenario]
fn allocation_beyond_all_memory() {
    lamprey::cpu(0, || lamprey::mark!("here"));
    let _ = lamprey::alloc(8, 1 << 63);
}

/// A size that wraps around.
// reason: the scenario is wrong: lamprey::alloc was asked for 18446744073709551615 bytes aligned to 8
#[lamprey::scenario]
fn allocation_of_all_memory() {
    lamprey::cpu(0, || lamprey::mark!("here"));
    let _ = lamprey::alloc(usize::MAX, 8);
}

/// There is a handler, for another vector.
// reason: the scenario is wrong: lamprey::send_ipi was given vector 41, for which there is no handler
#[lamprey::scenario]
fn ipi_without_handler() {
    lamprey::handler(40, || {});
    lamprey::cpu(0, || lamprey::send_ipi(0, 41));
}

/// One CPU more than there are.
// reason: the scenario is wrong: lamprey::send_ipi was given CPU 1, which the scenario does not have
#[lamprey::scenario]
fn ipi_to_nobody() {
    lamprey::handler(40, || {});
    lamprey::cpu(0, || lamprey::send_ipi(1, 40));
}

/// No handler for it.
// reason: the scenario is wrong: lamprey::send_nmi was called, and there is no handler for NMIs
#[lamprey::scenario]
fn nmi_without_handler() {
    lamprey::cpu(0, || lamprey::send_nmi(0));
}

/// The ninth CPU.
// reason: the scenario is wrong: lamprey::cpu was given CPU 8; the CPUs are 0 to 7
#[lamprey::scenario]
fn cpu_beyond_the_last() {
    lamprey::cpu(8, || {});
}

/// Exceptions have the vectors below 32.
// reason: the scenario is wrong: lamprey::handler was given vector 14; the first one is 32
#[lamprey::scenario]
fn handler_of_an_exception() {
    lamprey::handler(14, || {});
    lamprey::cpu(0, || {});
}

/// Two handlers of one vector.
// reason: the scenario is wrong: lamprey::handler was called twice for vector 40
#[lamprey::scenario]
fn handler_twice() {
    lamprey::handler(40, || {});
    lamprey::handler(40, || {});
    lamprey::cpu(0, || {});
}

/// No alternative at all.
// reason: the scenario is wrong: lamprey::choose was asked to choose among 0; it can be 1 to 65535
#[lamprey::scenario]
fn choice_among_none() {
    lamprey::cpu(0, || {
        let _ = lamprey::choose(0);
    });
}
