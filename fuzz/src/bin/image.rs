//! Bytes as an ELF image: refused, or every question about it is answered without a panic.

#![no_main]

#[path = "../../../crates/image/tests/exercise/mod.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    exercise::exercise(bytes.to_vec());
});
