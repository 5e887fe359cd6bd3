//! The record of a scenario in the guest's image.
//!
//! Section [`SECTION`] is an array of [`Scenario`]; its pointers are addresses in the image.

/// Name of the section.
pub const SECTION: &str = ".lamprey.scenarios";
/// The section in which a guest says what it was built for, as text: target and optimisation.
pub const BUILT_SECTION: &str = ".lamprey.built";

/// A string in the image: address and length in bytes. UTF-8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Address of the first byte.
    pub start: *const u8,
    /// Length in bytes; 0 where there is no text.
    pub len: usize,
}

impl Text {
    /// The text `text`.
    pub const fn new(text: &'static str) -> Self {
        Self { start: text.as_ptr(), len: text.len() }
    }
}

/// One scenario. All fields are 8 bytes wide, so that the host reads it as an array of words.
#[repr(C)]
#[derive(Debug)]
pub struct Scenario {
    /// [`VERSION`](crate::layout::VERSION) of the guest library.
    pub version: u64,
    /// `module::path::function`, the crate's name first.
    pub name: Text,
    /// The function, called alone on CPU 0.
    pub entry: extern "C" fn(),
    /// The property it declares to violate, if any.
    pub finds: Text,
    /// First paragraph of its documentation.
    pub about: Text,
    /// Source file and line.
    pub file: Text,
    /// Line of the function in `file`.
    pub line: u64,
    /// First of the marks it declares.
    pub marks: *const Text,
    /// How many.
    pub mark_count: usize,
}

/// Size of a [`Scenario`] in 8-byte words.
pub const SCENARIO_WORDS: usize = 13;
const _: () = assert!(core::mem::size_of::<Scenario>() == SCENARIO_WORDS * 8);
