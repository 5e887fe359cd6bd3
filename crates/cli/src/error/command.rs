//! Errors of single commands.

use std::io;
use std::path::PathBuf;

/// The reason why no litmus test was run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LitmusError {
    /// a file or folder cannot be read
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// the file of `--expect` is not a log
    #[error("{}: {reason}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: litmus::LogError,
    },
    /// there are folders without tests
    #[error("no test there: a folder is searched for *.litmus")]
    Nothing,
    /// the log is about other tests
    #[error("{}: lists none of the tests that were run", path.display())]
    OtherTests {
        /// The log.
        path: PathBuf,
    },
}

/// The reason why no crate was created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewError {
    /// not a valid name of a crate
    #[error(
        "{0}: is not a valid crate name; use letters, digits, - and _, with a letter first, and no keyword of \
         Rust, and no name that cargo keeps for itself"
    )]
    Name(String),
    /// a file or folder of that name exists
    #[error("{}: already exists; choose another name", .0.display())]
    Exists(PathBuf),
    /// the guest library is missing
    #[error(
        "{}: no guest library there{}", path.display(),
        if *given { "; --guest names the folder `guest/lamprey` of a checkout" }
        else { ": the checkout from which this program was built is gone; \
                give the folder `guest/lamprey` of another with --guest" }
    )]
    NoGuest {
        /// The folder that was searched.
        path: PathBuf,
        /// `true` if `--guest` named the folder.
        given: bool,
    },
    /// a file or folder cannot be created
    #[error("{}: cannot be created: {reason}", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
}

/// The reason why a trail cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayFailure {
    /// the file is not a trail
    #[error("{}: {reason}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: check::TrailError,
    },
    /// the trail's scenario no longer exists
    #[error("{trail}: scenario {scenario} no longer exists; check again")]
    NoScenario {
        /// The trail.
        trail: String,
        /// Its scenario.
        scenario: String,
    },
    /// the trail does not fit, or violates nothing
    #[error("{trail}: {reason}; check again")]
    NoFit {
        /// The trail.
        trail: String,
        /// The step and the reason.
        reason: String,
    },
}
