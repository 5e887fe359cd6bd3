//! Errors of commands.

mod command;

use std::io;
use std::path::PathBuf;

pub(crate) use command::{LitmusError, NewError, ReplayFailure};

use crate::exit::Exit;
use crate::guests::GuestError;
use crate::pages::NoPage;
use crate::select::SelectError;
use crate::store::StoreError;
use crate::ui::OutputError;
use crate::workspace::WorkspaceError;

/// The reason why a command failed: one line for the user, and an exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Guest(#[from] GuestError),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Replay(#[from] ReplayFailure),
    #[error(transparent)]
    Run(#[from] check::run::RunError),
    #[error(transparent)]
    Litmus(#[from] LitmusError),
    #[error(transparent)]
    New(#[from] NewError),
    #[error(transparent)]
    Page(#[from] NoPage),
    #[error(transparent)]
    Output(#[from] OutputError),
    /// the file of `-o` cannot be written
    #[error("{}: the report cannot be written: {reason}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
}

impl Error {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Error::Select(_)
            | Error::Litmus(LitmusError::Nothing | LitmusError::OtherTests { .. }) => Exit::Nothing,
            _ => Exit::Refused,
        }
    }

    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Error::Output(OutputError::Closed))
    }
}
