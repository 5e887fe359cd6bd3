//! Text as a litmus test: refused with its place, or run within a small budget.

#![no_main]

use litmus::{Budget, Model};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(test) = litmus::parse("fuzz", text) else { return };
    let budget = Budget { states: 300, bytes: 64 << 20, ..Budget::default() };
    // A test that cannot be decided is as good as one that can.
    let _ = litmus::run(&test, Model::Tso, &budget, &|| false);
});
