//! What single commands have to complain about.

use std::io;
use std::path::PathBuf;

/// Why no test was run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LitmusError {
    /// a file or folder cannot be read
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// the file of `--expect` is no log
    #[error("{}: {reason}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: litmus::LogError,
    },
    /// there are folders without tests
    #[error("no test there: a folder is searched for *.litmus")]
    Nothing,
    /// the log is of other tests
    #[error("{}: lists none of the tests that were run", path.display())]
    OtherTests {
        /// The log.
        path: PathBuf,
    },
}

/// No crate was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewError {
    /// no crate can be called that
    #[error(
        "{0}: is not a valid crate name; use letters, digits, - and _, a letter first, no keyword of \
         Rust, and no name that cargo keeps for itself"
    )]
    Name(String),
    /// there is something already
    #[error("{}: already exists; choose another name", .0.display())]
    Exists(PathBuf),
    /// the guest library is not where it should be
    #[error(
        "{}: no guest library there{}", path.display(),
        if *given { "; --guest names the folder `guest/lamprey` of a checkout" }
        else { ": the checkout this program was built from has gone; \
                give the folder `guest/lamprey` of another with --guest" }
    )]
    NoGuest {
        /// Where it was looked for.
        path: PathBuf,
        /// By `--guest`?
        given: bool,
    },
    /// a file or folder cannot be made
    #[error("{}: cannot be made: {reason}", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
}

/// A trail that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// the file is no trail
    #[error("{}: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: check::TrailError,
    },
    /// the trail's scenario is not there any more
    #[error("{trail}: there is no scenario {scenario} any more; check again")]
    NoScenario {
        /// The trail.
        trail: String,
        /// Its scenario.
        scenario: String,
    },
    /// the trail does not fit, or leads nowhere
    #[error("{trail}: {reason}; check again")]
    NoFit {
        /// The trail.
        trail: String,
        /// At which step, and why.
        reason: String,
    },
}
