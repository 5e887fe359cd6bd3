//! Builds and opens guests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use check::{Guest, LoadError, Scenario};

use crate::args::{GuestArgs, StyleArgs, TargetArg};
use crate::build::{self, BuildError};
use crate::store::ResultStore;
use crate::ui::Ui;
use crate::workspace::{self, Workspace, WorkspaceError};

/// The origin of guests, and the place of their results.
pub(crate) enum Origin {
    /// A workspace to build.
    Workspace(Workspace, Option<TargetArg>),
    /// Image files; at least one.
    Images(Vec<PathBuf>),
}

/// A guest and its file.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) guest: Guest,
    /// Description of the build, if this process built it.
    pub(crate) built: Option<String>,
}

/// The reason why there are no guests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// there is no workspace
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// the workspace does not build
    #[error(transparent)]
    Build(#[from] BuildError),
    /// a crate that we built ourselves, so it is linked correctly, has no scenario
    #[error(
        "{}: it has no scenario; write #[lamprey::scenario] before a function of its src/main.rs",
        .0.display()
    )]
    Empty(PathBuf),
    /// an image is not usable; the error has the reason
    #[error("{0}")]
    Load(String),
}

impl Origin {
    /// Returns the origin that `args` name; builds and opens nothing.
    pub(crate) fn of(args: &GuestArgs) -> Result<Self, WorkspaceError> {
        match args.image.is_empty() {
            true => {
                let workspace = workspace::find(args.manifest_path.as_deref())?;
                Ok(Origin::Workspace(workspace, args.target))
            }
            false => Ok(Origin::Images(args.image.clone())),
        }
    }

    /// Returns the place of results: below the target folder, or beside the first image.
    pub(crate) fn store(&self) -> ResultStore {
        match self {
            Origin::Workspace(workspace, _) => ResultStore::new(workspace.target.clone()),
            Origin::Images(images) => {
                let mut root: OsString =
                    images.first().map(|image| image.clone().into()).unwrap_or_default();
                root.push(".lamprey");
                ResultStore::new(root.into())
            }
        }
    }

    /// Builds the guests if necessary, and opens them.
    pub(crate) fn open(&self, style: &StyleArgs, ui: &mut Ui) -> Result<Vec<Opened>, GuestError> {
        match self {
            Origin::Workspace(workspace, target) => {
                let build::Built { images, words } = build::build(workspace, *target, style, ui)?;
                images.into_iter().map(|path| open(path, Some(&words))).collect()
            }
            Origin::Images(images) => images.iter().map(|path| open(path.clone(), None)).collect(),
        }
    }
}

/// Reads an image. `built` describes the build, if this process built it.
pub(crate) fn load(path: &Path, built: Option<&str>) -> Result<Guest, LoadError> {
    let mut guest = Guest::open(path)?;
    if let Some(words) = built {
        guest.set_built_for(words.to_owned());
    }
    Ok(guest)
}

/// Opens an image. `built` describes the build, if this process built it.
fn open(path: PathBuf, built: Option<&str>) -> Result<Opened, GuestError> {
    match load(&path, built) {
        Ok(guest) => Ok(Opened { path, guest, built: built.map(str::to_owned) }),
        Err(LoadError::NoScenarios { .. }) if built.is_some() => Err(GuestError::Empty(path)),
        Err(error) => Err(GuestError::Load(error.to_string())),
    }
}

/// Returns all scenarios of all guests, in order.
pub(crate) fn scenarios(guests: &[Opened]) -> Vec<(&Opened, &Scenario)> {
    guests
        .iter()
        .flat_map(|opened| opened.guest.scenarios().iter().map(move |scenario| (opened, scenario)))
        .collect()
}
