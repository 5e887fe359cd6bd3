//! Exhausted budgets.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

fn busy() {
    let words = lamprey::new([const { AtomicU64::new(0) }; 2]);
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            for _ in 0..4 {
                words[0].fetch_add(1, SeqCst);
                words[1].fetch_add(words[0].load(SeqCst), SeqCst);
            }
            lamprey::mark("done");
        });
    }
}

/// Ten states.
// limits: states 10
// reason: the budget of states is used up
#[lamprey::scenario]
fn states() {
    busy();
}

/// A CPU waits for the other one, which has more to do than the budget allows: whether the wait ends is not
/// known.
// limits: states 40
// reason: the budget of states is used up; no counterexample without a switch, livelocks apart
#[lamprey::scenario]
fn states_while_one_waits() {
    let words = lamprey::new([const { AtomicU64::new(0) }; 2]);
    lamprey::cpu(0, move || while words[0].load(SeqCst) < 20 {});
    lamprey::cpu(1, move || {
        for _ in 0..20 {
            words[0].fetch_add(1, SeqCst);
        }
        lamprey::mark!("done");
    });
}

/// One byte.
// limits: bytes 1
// reason: the budget of memory is used up
#[lamprey::scenario]
fn bytes() {
    busy();
}

/// No time.
// limits: seconds 0
// reason: the time is used up
#[lamprey::scenario]
fn seconds() {
    busy();
}

/// A counter that never repeats has no end: the budget ends it, not a verdict.
// limits: states 200
// reason: the budget of states is used up
#[lamprey::scenario]
fn counts_for_ever() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        lamprey::mark!("counts");
        loop {
            word.fetch_add(1, SeqCst);
        }
    });
    lamprey::cpu(1, move || _ = word.load(SeqCst));
}

#[inline(never)]
fn spins_for_ever() {
    loop {
        core::hint::spin_loop();
    }
}

/// The time limit also ends a set-up that does not end.
// limits: seconds 0
// reason: the time is used up in the set-up
// at: spins_for_ever
#[lamprey::scenario]
fn set_up_does_not_end() {
    spins_for_ever();
}

/// It ends an invariant.
// limits: seconds 0
// reason: the time is used up in an invariant
// at: spins_for_ever
#[lamprey::scenario]
fn invariant_does_not_end() {
    lamprey::cpu(0, || lamprey::mark!("done"));
    lamprey::always(spins_for_ever);
}

/// It ends a final check.
// limits: seconds 0
// reason: the time is used up in a final check
// at: spins_for_ever
#[lamprey::scenario]
fn final_check_does_not_end() {
    lamprey::cpu(0, || lamprey::mark!("done"));
    lamprey::finally(spins_for_ever);
}
