//! Guests: built or given, and opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use check::{Guest, LoadError, Scenario};

use crate::args::{Look, Source, Target};
use crate::build::{self, BuildError};
use crate::store::Store;
use crate::ui::Ui;
use crate::workspace::{self, Workspace, WorkspaceError};

/// Where guests come from, and where their results are kept.
pub(crate) enum Origin {
    /// Built from sources.
    Workspace(Workspace, Option<Target>),
    /// Given as files; at least one.
    Images(Vec<PathBuf>),
}

/// A guest and the file it was read from.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) guest: Guest,
    /// How we built it, if we did.
    pub(crate) built: Option<String>,
}

/// There are no guests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// there is no workspace
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// the workspace does not build
    #[error(transparent)]
    Build(#[from] BuildError),
    /// a crate that we built ourselves, so that nothing is wrong with how it was linked
    #[error(
        "{}: it has no scenario; write #[lamprey::scenario] before a function of its src/main.rs",
        .0.display()
    )]
    Empty(PathBuf),
    /// an image is not usable; it says itself why
    #[error("{0}")]
    Load(String),
}

impl Origin {
    /// What `source` means; builds and opens nothing.
    pub(crate) fn of(source: &Source) -> Result<Self, WorkspaceError> {
        match source.image.is_empty() {
            true => {
                let workspace = workspace::find(source.manifest_path.as_deref())?;
                Ok(Origin::Workspace(workspace, source.target))
            }
            false => Ok(Origin::Images(source.image.clone())),
        }
    }

    /// Where results are kept: below the target folder, or beside the first image.
    pub(crate) fn store(&self) -> Store {
        match self {
            Origin::Workspace(workspace, _) => Store::new(workspace.target.clone()),
            Origin::Images(images) => {
                let mut root: OsString =
                    images.first().map(|image| image.clone().into()).unwrap_or_default();
                root.push(".lamprey");
                Store::new(root.into())
            }
        }
    }

    /// Builds what is to be built, and opens all.
    pub(crate) fn open(&self, look: &Look, ui: &mut Ui) -> Result<Vec<Opened>, GuestError> {
        match self {
            Origin::Workspace(workspace, target) => {
                let build::Built { images, words } = build::build(workspace, *target, look, ui)?;
                images.into_iter().map(|path| open(path, Some(&words))).collect()
            }
            Origin::Images(images) => images.iter().map(|path| open(path.clone(), None)).collect(),
        }
    }
}

/// Reads an image; `built` says how, if we built it ourselves.
pub(crate) fn load(path: &Path, built: Option<&str>) -> Result<Guest, LoadError> {
    let mut guest = Guest::open(path)?;
    if let Some(words) = built {
        guest.set_built_for(words.to_owned());
    }
    Ok(guest)
}

/// Opens an image; `built` says how, if we built it ourselves.
fn open(path: PathBuf, built: Option<&str>) -> Result<Opened, GuestError> {
    match load(&path, built) {
        Ok(guest) => Ok(Opened { path, guest, built: built.map(str::to_owned) }),
        Err(LoadError::NoScenarios { .. }) if built.is_some() => Err(GuestError::Empty(path)),
        Err(error) => Err(GuestError::Load(error.to_string())),
    }
}

/// All scenarios of all guests, in order.
pub(crate) fn scenarios(guests: &[Opened]) -> Vec<(&Opened, &Scenario)> {
    guests
        .iter()
        .flat_map(|opened| opened.guest.scenarios().iter().map(move |scenario| (opened, scenario)))
        .collect()
}
