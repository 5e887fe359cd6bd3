//! Texts that a person named, or that were kept for one.

use std::io::{self, ErrorKind};
use std::path::Path;

/// The most mebibytes of what was kept, and of logs of tests, the longest of which have some.
pub(crate) const LONG: u64 = 256;
/// The most mebibytes of what a person writes.
pub(crate) const SHORT: u64 = 1;

/// Reads the text of a regular file of at most `mebibytes`.
pub(crate) fn text(path: &Path, mebibytes: u64) -> io::Result<String> {
    let bytes = check::read_file(path, mebibytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(ErrorKind::InvalidData, format!("line {line} is not UTF-8 text"))
    })
}
