//! Reading a file that somebody named: whole, and only if it can be what was meant.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The operating system says no.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Files are in it.
    #[error("it is a folder; name a file in it")]
    Folder,
    /// It may never end, or wait for a writer that never comes.
    #[error("it is {0}, not a regular file; copy what it gives to a file, and name that")]
    NotRegular(&'static str),
    /// More than anything of its kind has.
    #[error("it has more than {limit} MiB, which nothing of its kind has; check the path")]
    TooLarge {
        /// What is allowed.
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

/// The bytes of the regular file at `path`, of which there are at most `mebibytes` MiB. It is looked at before
/// it is opened: to open a FIFO waits for its other end.
///
/// # Errors
///
/// The file is no regular one, is larger, or cannot be read.
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
    // What grows meanwhile, or is made up as it is read, does not say its size.
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
