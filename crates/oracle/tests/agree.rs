//! The search and the enumerator say the same of random programs of each class.

use oracle::{Class, Compared, Limits, Mode, compare, generate, show_disagreement, shrink};

/// Programs of each class.
const PROGRAMS: u64 = 500;
/// Large ones are for `cargo xtask oracle`.
const LIMITS: Limits = Limits { naive: 5_000, search: 20_000 };

fn agrees(class: Class) {
    let (mut compared, mut bad) = (0, 0);
    for seed in 0..PROGRAMS {
        let program = generate(class, seed);
        match compare(&program, &Mode::of(seed), LIMITS) {
            Compared::Agreed(outcome) => {
                compared += 1;
                bad += u64::from(!outcome.bad.is_empty());
            }
            Compared::Skipped(_) => {}
            Compared::Disagreed(disagreement) => {
                let small = shrink(&program, disagreement.mode, LIMITS);
                let Compared::Disagreed(disagreement) =
                    compare(&small, &[disagreement.mode], LIMITS)
                else {
                    unreachable!("shrinking keeps it")
                };
                let text = show_disagreement(&small, &disagreement);
                panic!("{class:?}, program {seed}:\n{text}");
            }
        }
    }
    assert!(compared * 3 >= PROGRAMS * 2, "{class:?}: only {compared} of {PROGRAMS} compared");
    assert!(
        bad * 3 < compared * 2,
        "{class:?}: {bad} of {compared} have no whole set of final states"
    );
}

#[test]
fn memory() {
    agrees(Class::Memory);
}

#[test]
fn widths() {
    agrees(Class::Widths);
}

#[test]
fn locks() {
    agrees(Class::Locks);
}

#[test]
fn interrupts() {
    agrees(Class::Interrupts);
}

#[test]
fn halt() {
    agrees(Class::Halt);
}

#[test]
fn raw() {
    agrees(Class::Raw);
}

#[test]
fn apic() {
    agrees(Class::Apic);
}

#[test]
fn nmi() {
    agrees(Class::Nmi);
}

#[test]
fn pages() {
    agrees(Class::Pages);
}

#[test]
fn pcids() {
    agrees(Class::Pcids);
}

#[test]
fn lam() {
    agrees(Class::Lam);
}

#[test]
fn rights() {
    agrees(Class::Rights);
}

#[test]
fn cr2() {
    agrees(Class::Cr2);
}

#[test]
fn several() {
    agrees(Class::Several);
}

#[test]
fn carried() {
    agrees(Class::Carried);
}

#[test]
fn checks() {
    agrees(Class::Checks);
}

#[test]
fn flags() {
    agrees(Class::Flags);
}

#[test]
fn switches() {
    agrees(Class::Switches);
}
