//! Text as a litmus test: refused with its place, or run within a small budget.

#![no_main]

use litmus::{LitmusModel, SearchBudget};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(test) = litmus::parse("fuzz", text) else { return };
    let budget = SearchBudget { states: 300, bytes: 64 << 20, ..SearchBudget::default() };
    // A test that cannot be decided is as good as one that can.
    let _ = litmus::run(&test, LitmusModel::Tso, &budget, &|| false);
});
