//! The ids under which CPUs remember spaces.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use aspace::Space;
use lamprey::{cpu, mark, require, scenario};

use crate::scene::new_root;

/// Lets CPU `n` ask first for the id of `spaces[n]`; returns the two ids.
fn ask(spaces: [&'static Space; 2]) -> &'static [AtomicU64; 2] {
    let ids = lamprey::new([const { AtomicU64::new(0) }; 2]);
    for n in 0..2 {
        cpu(n, move || ids[n].store(spaces[n].ctx_id(), Relaxed));
    }
    ids
}

/// Two CPUs are the first to ask for the id of A: they get the same.
#[scenario]
fn one_space_has_one() {
    let space = lamprey::new(Space::new(new_root("A")));
    let ids = ask([space, space]);
    lamprey::finally(move || {
        mark!("both asked");
        let [first, second] = [ids[0].load(Relaxed), ids[1].load(Relaxed)];
        require!(first == second && first != 0, "one-id", "one space has ids {first} and {second}");
    });
}

/// Two spaces get different ids.
#[scenario]
fn two_spaces_have_two() {
    let ids = ask(["A", "B"].map(|name| lamprey::new(Space::new(new_root(name)))));
    lamprey::finally(move || {
        mark!("both asked");
        let [first, second] = [ids[0].load(Relaxed), ids[1].load(Relaxed)];
        require!(first != second, "two-ids", "two spaces have the id {first}");
    });
}
