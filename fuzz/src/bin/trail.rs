//! Text as a trail: refused, or written and read again it is the same.

#![no_main]

use check::Trail;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(trail) = Trail::parse(text) {
        let written = trail.to_string();
        let again = Trail::parse(&written).expect("what is written can be read");
        assert_eq!(again.to_string(), written);
        assert_eq!(again.name(), trail.name());
    }
});
