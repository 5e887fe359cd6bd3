//! Bytes as a kept outcome: refused, or told in every form at any width.

#![no_main]

use outcome::Outcome;
use report::{Context, Form, Options};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(outcome) = serde_json::from_slice::<Outcome>(bytes) else { return };
    // The length chooses, so that a kept outcome is a seed as it is.
    let width = 40 + bytes.len() % 120;
    let options = Options { width, utf8: bytes.len() % 2 == 0, ..Options::default() };
    for form in Form::ALL {
        let told = form.render(&outcome, &Context::default(), &options).to_string();
        assert!(!told.is_empty(), "{form:?}");
    }
    let written = serde_json::to_string(&outcome).expect("an outcome is JSON");
    let again: Outcome = serde_json::from_str(&written).expect("what is written can be read");
    assert_eq!(serde_json::to_string(&again).expect("an outcome is JSON"), written);
});
