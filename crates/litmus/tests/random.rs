//! Generated programs: the machine ends in the states that the oracle allows, and in no other.
//!
//! `PROPTEST_CASES=100000 cargo test -p litmus --test random` runs more of them.

mod oracle;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use litmus::{Model, State, parse};
use proptest::prelude::*;

/// Most instructions of a program: the oracle takes exponential time.
const INSTRUCTIONS: usize = 8;

#[derive(Clone, Debug)]
enum Op {
    Load(usize),
    Store(usize, u8),
    Fence,
    Exchange(usize, u8),
    Add(usize),
    /// Not atomic: a load and a store.
    Increment(usize),
    CompareExchange(usize, u8),
    /// A store of what was loaded before.
    Forward(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let place = 0..3usize;
    prop_oneof![
        5 => place.clone().prop_map(Op::Load),
        5 => (place.clone(), 1..4u8).prop_map(|(at, value)| Op::Store(at, value)),
        2 => Just(Op::Fence),
        1 => (place.clone(), 1..4u8).prop_map(|(at, value)| Op::Exchange(at, value)),
        1 => place.clone().prop_map(Op::Add),
        1 => place.clone().prop_map(Op::Increment),
        1 => (place.clone(), 0..3u8).prop_map(|(at, value)| Op::CompareExchange(at, value)),
        1 => place.prop_map(Op::Forward),
    ]
}

fn programs() -> impl Strategy<Value = Vec<Vec<Op>>> {
    let thread = prop::collection::vec(op(), 1..=4);
    prop::collection::vec(thread, 2..=4).prop_map(|mut threads| {
        let mut left = INSTRUCTIONS;
        let others = threads.len();
        for (at, thread) in threads.iter_mut().enumerate() {
            // At least one for each that follows.
            thread.truncate(left.saturating_sub(others - at - 1).max(1));
            left = left.saturating_sub(thread.len());
        }
        threads
    })
}

/// The program as a test that observes every register and every location.
fn text(threads: &[Vec<Op>]) -> String {
    const PLACES: [&str; 3] = ["x", "y", "z"];
    const REGISTERS: [&str; 4] = ["rbx", "rcx", "rdx", "rsi"];
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut observed = String::new();
    for (thread, ops) in threads.iter().enumerate() {
        let mut lines = Vec::new();
        let mut last = "rdi";
        for (op, register) in ops.iter().zip(REGISTERS) {
            let into = match op {
                Op::Store(..) | Op::Fence | Op::Increment(_) | Op::Forward(_) => None,
                Op::CompareExchange(..) => Some("rax"),
                _ => Some(register),
            };
            match op {
                Op::Load(at) => lines.push(format!("movq ({}),%{register}", PLACES[*at])),
                Op::Store(at, value) => lines.push(format!("movq ${value},({})", PLACES[*at])),
                Op::Fence => lines.push("mfence".into()),
                Op::Exchange(at, value) => {
                    lines.push(format!("movq ${value},%{register}"));
                    lines.push(format!("xchgq %{register},({})", PLACES[*at]));
                }
                Op::Add(at) => {
                    lines.push(format!("movq $1,%{register}"));
                    lines.push(format!("lock xaddq %{register},({})", PLACES[*at]));
                }
                Op::Increment(at) => lines.push(format!("incq ({})", PLACES[*at])),
                Op::CompareExchange(at, value) => {
                    lines.push(format!("movq ${value},%rax"));
                    lines.push(format!("movq $5,%{register}"));
                    lines.push(format!("lock cmpxchgq %{register},({})", PLACES[*at]));
                }
                Op::Forward(at) => lines.push(format!("movq %{last},({})", PLACES[*at])),
            }
            if let Some(register) = into {
                last = register;
                write!(observed, "{thread}:{register}; ").expect("a text");
            }
        }
        columns.push(lines);
    }
    let mut text = String::from("X86_64 generated\n{ x=0; y=0; z=0; }\n");
    let heads: Vec<String> = (0..threads.len()).map(|thread| format!("P{thread}")).collect();
    writeln!(text, "{} ;", heads.join(" | ")).expect("a text");
    for row in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
        let cells: Vec<&str> =
            columns.iter().map(|lines| lines.get(row).map_or("", String::as_str)).collect();
        writeln!(text, "{} ;", cells.join(" | ")).expect("a text");
    }
    writeln!(text, "locations [{observed}x; y; z;]\nexists (true)").expect("a text");
    text
}

fn agree(text: &str, model: Model) -> Result<(), TestCaseError> {
    let test = parse("generated", text).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let found = litmus::run(&test, model, &litmus::Budget::default(), &|| false)
        .map_err(|why| TestCaseError::fail(format!("{why}\n{text}")))?;
    let found: BTreeSet<State> = found.states.into_iter().collect();
    let allowed = oracle::outcomes(&test, model);
    let lines = |states: Vec<&State>| {
        test.lines(&states.into_iter().cloned().collect::<Vec<State>>()).join("\n")
    };
    let extra = lines(found.difference(&allowed).collect());
    let missing = lines(allowed.difference(&found).collect());
    prop_assert!(
        found == allowed,
        "{} of {text}\nreached but not allowed:\n{extra}\nallowed but not reached:\n{missing}",
        model.name()
    );
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn under_tso_the_axioms_allow_what_the_machine_does(threads in programs()) {
        agree(&text(&threads), Model::Tso)?;
    }

    #[test]
    fn under_sc_interleavings_end_as_the_machine_does(threads in programs()) {
        agree(&text(&threads), Model::Sc)?;
    }
}
