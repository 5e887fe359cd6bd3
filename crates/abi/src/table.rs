//! The record of a scenario in the guest's image.
//!
//! Section [`SECTION`] is an array of [`Scenario`]; its pointers are addresses in the image.

/// Name of the section.
pub const SECTION: &str = ".lamprey.scenarios";
/// The section in which a guest states its target and optimisation level, as text.
pub const BUILT_SECTION: &str = ".lamprey.built";

/// A string in the image: address and length in bytes. UTF-8.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Address of the first byte.
    pub start: *const u8,
    /// Length in bytes; 0 for no text.
    pub len: usize,
}

impl Text {
    /// Describes `text`.
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
    /// The property that it declares to violate; empty if it declares none.
    pub finds: Text,
    /// First paragraph of its documentation.
    pub about: Text,
    /// Source file of the function.
    pub file: Text,
    /// Line of the function in `file`.
    pub line: u64,
    /// First of the marks that it declares.
    pub marks: *const Text,
    /// Number of marks.
    pub mark_count: usize,
}

/// Size of a [`Scenario`] in 8-byte words.
pub const SCENARIO_WORDS: usize = 13;
const _: () = assert!(core::mem::size_of::<Scenario>() == SCENARIO_WORDS * 8);
