//! Reads text files that the user names or that earlier checks saved.

use std::io::{self, ErrorKind};
use std::path::Path;

/// Maximum size in mebibytes of saved results and of logs of litmus tests.
pub(crate) const LONG: u64 = 256;
/// Maximum size in mebibytes of files that a person writes.
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
