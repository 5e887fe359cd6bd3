//! Generated programs: the machine ends in the states that the oracle allows, and in no others.
//!
//! `PROPTEST_CASES=100000 cargo test -p litmus --test random` runs more of them.

mod oracle;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use litmus::{FinalState, LitmusModel, parse};
use proptest::prelude::*;

/// Maximum number of instructions of a program: the oracle takes exponential time.
const INSTRUCTIONS: usize = 8;

/// An access of one width, to one element of an array of two.
#[derive(Clone, Copy, Debug)]
enum Mixed {
    Load(usize, u8),
    Store(usize, u8, i8),
    Add(usize, u8),
    Exchange(usize, u8),
    Fence,
    /// Has no effect on memory.
    Flush(usize),
    /// A move by CMOVZ if the last load returned 0; the load happens in any case.
    Move(usize, u8),
    /// A store of the flag whether the last load returned 0.
    Set(usize, usize),
}

fn mixed() -> impl Strategy<Value = Mixed> {
    let (place, width) = (0..2usize, prop::sample::select(vec![1u8, 2, 4, 8]));
    prop_oneof![
        5 => (place.clone(), width.clone()).prop_map(|(at, bytes)| Mixed::Load(at, bytes)),
        5 => (place.clone(), width.clone(), -2..3i8)
            .prop_map(|(at, bytes, value)| Mixed::Store(at, bytes, value)),
        1 => (place.clone(), width.clone()).prop_map(|(at, bytes)| Mixed::Add(at, bytes)),
        1 => (place.clone(), width.clone()).prop_map(|(at, bytes)| Mixed::Exchange(at, bytes)),
        2 => Just(Mixed::Fence),
        1 => place.clone().prop_map(Mixed::Flush),
        1 => (place.clone(), width).prop_map(|(at, bytes)| Mixed::Move(at, bytes.max(2))),
        1 => (place, 0..4usize).prop_map(|(at, byte)| Mixed::Set(at, byte)),
    ]
}

/// Generates two threads only: stores and loads of different widths give the oracle many candidates.
fn mixed_programs() -> impl Strategy<Value = Vec<Vec<Mixed>>> {
    prop::collection::vec(prop::collection::vec(mixed(), 1..=3), 2..=2)
}

/// Returns the name of register number `at` in this width.
fn register(at: usize, bytes: u8) -> &'static str {
    const NAMES: [[&str; 4]; 3] =
        [["bl", "bx", "ebx", "rbx"], ["cl", "cx", "ecx", "rcx"], ["dl", "dx", "edx", "rdx"]];
    NAMES[at][usize::try_from(bytes.ilog2()).expect("small")]
}

/// Returns the program with 8-byte variables, of which accesses touch only the lower bytes.
fn mixed_text(threads: &[Vec<Mixed>]) -> String {
    const PLACES: [&str; 2] = ["x", "y"];
    let suffix = |bytes: u8| match bytes {
        1 => "b",
        2 => "w",
        4 => "l",
        _ => "q",
    };
    let mut columns: Vec<Vec<String>> = Vec::new();
    let (mut observed, mut typed) = (String::new(), String::new());
    for (thread, ops) in threads.iter().enumerate() {
        let mut lines = Vec::new();
        let mut last = "rdi";
        for (number, op) in ops.iter().enumerate() {
            let whole = register(number, 8);
            write!(observed, "{thread}:{whole}; ").expect("a text");
            write!(typed, "int64_t {thread}:{whole}; ").expect("a text");
            match *op {
                Mixed::Load(at, bytes) => {
                    let (s, r) = (suffix(bytes), register(number, bytes));
                    lines.push(format!("mov{s} ({}),%{r}", PLACES[at]));
                    last = whole;
                }
                Mixed::Store(at, bytes, value) => {
                    lines.push(format!("mov{} ${value},({})", suffix(bytes), PLACES[at]));
                }
                Mixed::Add(at, bytes) => {
                    lines.push(format!("movq $1,%{whole}"));
                    let (s, r) = (suffix(bytes), register(number, bytes));
                    lines.push(format!("lock xadd{s} %{r},({})", PLACES[at]));
                }
                Mixed::Exchange(at, bytes) => {
                    lines.push(format!("movq $3,%{whole}"));
                    let (s, r) = (suffix(bytes), register(number, bytes));
                    lines.push(format!("xchg{s} %{r},({})", PLACES[at]));
                }
                Mixed::Fence => lines.push("mfence".into()),
                Mixed::Flush(at) => lines.push(format!("clflush ({})", PLACES[at])),
                Mixed::Move(at, bytes) => {
                    lines.push(format!("testq %{last},%{last}"));
                    lines.push(format!("cmovz ({}),%{}", PLACES[at], register(number, bytes)));
                }
                Mixed::Set(at, byte) => {
                    lines.push(format!("testq %{last},%{last}"));
                    lines.push(format!("setz {byte}(%r{})", [8, 9][at]));
                }
            }
        }
        write!(typed, "{thread}:r8=x; {thread}:r9=y; ").expect("a text");
        columns.push(lines);
    }
    test_text(
        &format!("{{ uint64_t x=0x102; int64_t y; {typed}}}"),
        &columns,
        &format!("{observed}x; y;"),
    )
}

#[derive(Clone, Debug)]
enum RandomOp {
    Load(usize),
    Store(usize, u8),
    Fence,
    Exchange(usize, u8),
    Add(usize),
    /// Not atomic: a load and a store.
    Increment(usize),
    CompareExchange(usize, u8),
    /// A store of a value that was loaded before.
    Forward(usize),
}

fn op() -> impl Strategy<Value = RandomOp> {
    let place = 0..3usize;
    prop_oneof![
        5 => place.clone().prop_map(RandomOp::Load),
        5 => (place.clone(), 1..4u8).prop_map(|(at, value)| RandomOp::Store(at, value)),
        2 => Just(RandomOp::Fence),
        1 => (place.clone(), 1..4u8).prop_map(|(at, value)| RandomOp::Exchange(at, value)),
        1 => place.clone().prop_map(RandomOp::Add),
        1 => place.clone().prop_map(RandomOp::Increment),
        1 => (place.clone(), 0..3u8).prop_map(|(at, value)| RandomOp::CompareExchange(at, value)),
        1 => place.prop_map(RandomOp::Forward),
    ]
}

fn programs() -> impl Strategy<Value = Vec<Vec<RandomOp>>> {
    let thread = prop::collection::vec(op(), 1..=4);
    prop::collection::vec(thread, 2..=4).prop_map(|mut threads| {
        let mut left = INSTRUCTIONS;
        let others = threads.len();
        for (at, thread) in threads.iter_mut().enumerate() {
            // Leaves at least one instruction for each thread that follows.
            thread.truncate(left.saturating_sub(others - at - 1).max(1));
            left = left.saturating_sub(thread.len());
        }
        threads
    })
}

/// Returns the program as a test that observes every register and every location.
fn text(threads: &[Vec<RandomOp>]) -> String {
    const PLACES: [&str; 3] = ["x", "y", "z"];
    const REGISTERS: [&str; 4] = ["rbx", "rcx", "rdx", "rsi"];
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut observed = String::new();
    for (thread, ops) in threads.iter().enumerate() {
        let mut lines = Vec::new();
        let mut last = "rdi";
        for (op, register) in ops.iter().zip(REGISTERS) {
            let into = match op {
                RandomOp::Store(..)
                | RandomOp::Fence
                | RandomOp::Increment(_)
                | RandomOp::Forward(_) => None,
                RandomOp::CompareExchange(..) => Some("rax"),
                _ => Some(register),
            };
            match op {
                RandomOp::Load(at) => lines.push(format!("movq ({}),%{register}", PLACES[*at])),
                RandomOp::Store(at, value) => {
                    lines.push(format!("movq ${value},({})", PLACES[*at]))
                }
                RandomOp::Fence => lines.push("mfence".into()),
                RandomOp::Exchange(at, value) => {
                    lines.push(format!("movq ${value},%{register}"));
                    lines.push(format!("xchgq %{register},({})", PLACES[*at]));
                }
                RandomOp::Add(at) => {
                    lines.push(format!("movq $1,%{register}"));
                    lines.push(format!("lock xaddq %{register},({})", PLACES[*at]));
                }
                RandomOp::Increment(at) => lines.push(format!("incq ({})", PLACES[*at])),
                RandomOp::CompareExchange(at, value) => {
                    lines.push(format!("movq ${value},%rax"));
                    lines.push(format!("movq $5,%{register}"));
                    lines.push(format!("lock cmpxchgq %{register},({})", PLACES[*at]));
                }
                RandomOp::Forward(at) => lines.push(format!("movq %{last},({})", PLACES[*at])),
            }
            if let Some(register) = into {
                last = register;
                write!(observed, "{thread}:{register}; ").expect("a text");
            }
        }
        columns.push(lines);
    }
    test_text("{ x=0; y=0; z=0; }", &columns, &format!("{observed}x; y; z;"))
}

/// Returns the text of a test with these columns.
fn test_text(initial: &str, columns: &[Vec<String>], observed: &str) -> String {
    let mut text = format!("X86_64 generated\n{initial}\n");
    let heads: Vec<String> = (0..columns.len()).map(|thread| format!("P{thread}")).collect();
    writeln!(text, "{} ;", heads.join(" | ")).expect("a text");
    for row in 0..columns.iter().map(Vec::len).max().unwrap_or(0) {
        let cells: Vec<&str> =
            columns.iter().map(|lines| lines.get(row).map_or("", String::as_str)).collect();
        writeln!(text, "{} ;", cells.join(" | ")).expect("a text");
    }
    writeln!(text, "locations [{observed}]\nexists (true)").expect("a text");
    text
}

fn agree(text: &str, model: LitmusModel) -> Result<(), TestCaseError> {
    let test = parse("generated", text).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let found = litmus::run(&test, model, &litmus::SearchBudget::default(), &|| false)
        .map_err(|why| TestCaseError::fail(format!("{why}\n{text}")))?;
    let found: BTreeSet<FinalState> = found.states.into_iter().collect();
    let allowed = oracle::outcomes(&test, model);
    let lines = |states: Vec<&FinalState>| {
        test.lines(&states.into_iter().cloned().collect::<Vec<FinalState>>()).join("\n")
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
        agree(&text(&threads), LitmusModel::Tso)?;
    }

    #[test]
    fn under_sc_interleavings_end_as_the_machine_does(threads in programs()) {
        agree(&text(&threads), LitmusModel::Sc)?;
    }

    #[test]
    fn widths_mix_as_the_axioms_allow(threads in mixed_programs()) {
        agree(&mixed_text(&threads), LitmusModel::Tso)?;
    }

    #[test]
    fn widths_mix_as_interleavings_do(threads in mixed_programs()) {
        agree(&mixed_text(&threads), LitmusModel::Sc)?;
    }
}
