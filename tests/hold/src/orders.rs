//! Litmus tests whose stores are `SeqCst`, and so LOCKed: forbidden results, and results that occur.

use core::sync::atomic::Ordering::SeqCst;

use crate::shared::words;

/// MP: the flag is not seen before the data.
#[lamprey::scenario]
fn message_passing() {
    let [data, flag] = words();
    lamprey::cpu(0, move || {
        data.store(1, SeqCst);
        flag.store(1, SeqCst);
    });
    lamprey::cpu(1, move || {
        let (flag, data) = (flag.load(SeqCst), data.load(SeqCst));
        lamprey::require!(flag <= data, "order", "the flag without the data");
        match (flag, data) {
            (0, 0) => lamprey::mark!("neither"),
            (0, 1) => lamprey::mark!("data only"),
            _ => lamprey::mark!("both"),
        }
    });
}

/// SB: one of the two sees the other's store; all three other results occur.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn store_buffering() {
    let [x, y, a, b] = words();
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        a.store(y.load(SeqCst), SeqCst);
    });
    lamprey::cpu(1, move || {
        y.store(1, SeqCst);
        b.store(x.load(SeqCst), SeqCst);
    });
    lamprey::finally(move || match (a.load(SeqCst), b.load(SeqCst)) {
        (0, 1) => lamprey::mark!("0 1"),
        (1, 0) => lamprey::mark!("1 0"),
        (1, 1) => lamprey::mark!("1 1"),
        _ => lamprey::require!(false, "order", "both loads came before both stores"),
    });
}

/// LB: not both see the other's later store.
#[lamprey::scenario(marks = ["0 0", "0 1", "1 0"])]
fn load_buffering() {
    let [x, y, a, b] = words();
    lamprey::cpu(0, move || {
        a.store(x.load(SeqCst), SeqCst);
        y.store(1, SeqCst);
    });
    lamprey::cpu(1, move || {
        b.store(y.load(SeqCst), SeqCst);
        x.store(1, SeqCst);
    });
    lamprey::finally(move || match (a.load(SeqCst), b.load(SeqCst)) {
        (0, 0) => lamprey::mark!("0 0"),
        (0, 1) => lamprey::mark!("0 1"),
        (1, 0) => lamprey::mark!("1 0"),
        _ => lamprey::require!(false, "order", "both loads came after both stores"),
    });
}

/// IRIW: two readers agree on the order of two independent stores.
#[lamprey::scenario(marks = ["x first", "y first"])]
fn iriw() {
    let [x, y, a, b] = words();
    lamprey::cpu(0, move || x.store(1, SeqCst));
    lamprey::cpu(1, move || y.store(1, SeqCst));
    for (cpu, [first, second], seen) in [(2, [x, y], a), (3, [y, x], b)] {
        lamprey::cpu(cpu, move || {
            seen.store(first.load(SeqCst) * 2 + second.load(SeqCst), SeqCst);
        });
    }
    lamprey::finally(move || match (a.load(SeqCst), b.load(SeqCst)) {
        (2, 2) => lamprey::require!(false, "order", "the readers disagree"),
        (2, _) => lamprey::mark!("x first"),
        (_, 2) => lamprey::mark!("y first"),
        _ => {}
    });
}

/// CoRR: one reader does not see a word go back.
#[lamprey::scenario]
fn coherence() {
    let [x] = words();
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        x.store(2, SeqCst);
    });
    lamprey::cpu(1, move || {
        let (first, second) = (x.load(SeqCst), x.load(SeqCst));
        lamprey::require!(first <= second, "order", "{first}, then {second}");
        if (first, second) == (0, 2) {
            lamprey::mark!("0, then 2");
        }
    });
}

/// Two stores each: every one of the final values that can be occurs.
#[lamprey::scenario(marks = ["1 2", "2 1", "2 2"])]
fn two_plus_two_writes() {
    let [x, y] = words();
    lamprey::cpu(0, move || {
        x.store(1, SeqCst);
        y.store(2, SeqCst);
    });
    lamprey::cpu(1, move || {
        y.store(1, SeqCst);
        x.store(2, SeqCst);
    });
    lamprey::finally(move || match (x.load(SeqCst), y.load(SeqCst)) {
        (2, 1) => lamprey::mark!("2 1"),
        (1, 2) => lamprey::mark!("1 2"),
        (2, 2) => lamprey::mark!("2 2"),
        _ => lamprey::require!(false, "order", "each CPU's second store came first"),
    });
}
