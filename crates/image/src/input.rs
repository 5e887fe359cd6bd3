//! Reading of a file named by a user: as a whole, and only if it can be of the expected kind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The reason why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The operating system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The path is a folder.
    #[error("it is a folder; name a file in it")]
    Folder,
    /// The file may never end, or wait for a writer that never comes.
    #[error("it is {0}, not a regular file; copy what it gives to a file, and name that")]
    NotRegular(&'static str),
    /// The file is larger than any file of its kind.
    #[error("it has more than {limit} MiB, which nothing of its kind has; check the path")]
    TooLarge {
        /// The allowed size in MiB.
        limit: u64,
    },
}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> io::Error {
        match error {
            InputError::System(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// Reads the regular file at `path`, which has at most `mebibytes` MiB. Its kind is checked before
/// it is opened: opening a FIFO waits for its other end.
///
/// # Errors
///
/// Fails if the file is not regular, is larger, or cannot be read.
pub fn read_file(path: &Path, mebibytes: u64) -> Result<Vec<u8>, InputError> {
    let data = fs::metadata(path)?;
    if data.is_dir() {
        return Err(InputError::Folder);
    }
    if let Some(kind) = other_than_regular(data.file_type()) {
        return Err(InputError::NotRegular(kind));
    }
    let (limit, too_large) = (mebibytes << 20, InputError::TooLarge { limit: mebibytes });
    if data.len() > limit {
        return Err(too_large);
    }
    // A file that grows meanwhile, or is generated as it is read, does not report its size.
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large),
        false => Ok(bytes),
    }
}

fn other_than_regular(kind: fs::FileType) -> Option<&'static str> {
    let kinds = [
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device(), "a character device"),
        (kind.is_block_device(), "a block device"),
        (!kind.is_file(), "something else"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map(|(_, name)| name)
}
