//! Texts that a person named, or that were kept for one.

use std::io::{self, ErrorKind};
use std::path::Path;

/// The longest logs of tests have some.
const MEBIBYTES_MAX: u64 = 256;

/// The text of a regular file.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let bytes = check::read_file(path, MEBIBYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}
