//! Finding the workspace whose scenarios are meant.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The package whose dependents are guests.
const LIBRARY: &str = "lamprey";

/// What to build, and where.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Given to cargo.
    pub(crate) manifest: PathBuf,
    /// Packages to build; at least one.
    pub(crate) packages: Vec<String>,
    /// Lamprey's own folder below the workspace's target folder.
    pub(crate) target: PathBuf,
}

/// No workspace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// the current directory is gone
    #[error("the current directory cannot be told: {0}")]
    NoDirectory(io::Error),
    /// there is no manifest at the path that was given
    #[error("{}: no such manifest", .0.display())]
    NoManifest(PathBuf),
    /// cargo does not understand the manifest
    #[error("{}: cargo cannot read it: {reason}", manifest.display())]
    Unreadable {
        /// The manifest.
        manifest: PathBuf,
        /// What cargo says.
        reason: String,
    },
    /// there is no guest at the path that was given
    #[error(
        "{}: no package there depends on `{LIBRARY}`, so there is nothing to check\n  \
         name the manifest of a scenario crate, or make one with `lamprey new NAME`",
        .0.display()
    )]
    NoGuest(PathBuf),
    /// neither here nor above is there a guest
    #[error(
        "no scenarios here: neither {} nor a parent directory has a scenarios/Cargo.toml or a \
         Cargo.toml that depends on `{LIBRARY}`\n  \
         give --manifest-path or --image, or make scenarios with `lamprey new NAME`",
        .0.display()
    )]
    Nothing(PathBuf),
}

/// The workspace of `given`, or else the nearest one: the current directory and its parents are
/// asked in turn for `scenarios/Cargo.toml` and for a `Cargo.toml` that depends on `lamprey`.
///
/// The nearest wins, so that a crate made within another project checks itself.
pub(crate) fn find(given: Option<&Path>) -> Result<Workspace, WorkspaceError> {
    if let Some(manifest) = given {
        if !manifest.is_file() {
            return Err(WorkspaceError::NoManifest(manifest.to_owned()));
        }
        let metadata = metadata(manifest)?;
        let guests = guests(&metadata, manifest);
        // What is no guest would be built with a guest's flags, and not be linked.
        return match guests.is_empty() {
            true => Err(WorkspaceError::NoGuest(manifest.to_owned())),
            false => Ok(workspace(manifest, &metadata, guests)),
        };
    }
    let here = env::current_dir().map_err(WorkspaceError::NoDirectory)?;
    for folder in here.ancestors() {
        for manifest in [folder.join("scenarios/Cargo.toml"), folder.join("Cargo.toml")] {
            if !manifest.is_file() {
                continue;
            }
            let metadata = metadata(&manifest)?;
            let guests = guests(&metadata, &manifest);
            if !guests.is_empty() {
                return Ok(workspace(&manifest, &metadata, guests));
            }
        }
    }
    Err(WorkspaceError::Nothing(here))
}

fn workspace(manifest: &Path, metadata: &Metadata, packages: Vec<String>) -> Workspace {
    let target = metadata.target_directory.as_std_path().join("lamprey");
    Workspace { manifest: manifest.to_owned(), packages, target }
}

fn metadata(manifest: &Path) -> Result<Metadata, WorkspaceError> {
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().map_err(|error| {
        let reason = match error {
            cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
            other => other.to_string(),
        };
        WorkspaceError::Unreadable { manifest: manifest.to_owned(), reason }
    })
}

/// The packages that depend on `lamprey`: of the whole workspace if `manifest` is its root, else
/// `manifest`'s own.
fn guests(metadata: &Metadata, manifest: &Path) -> Vec<String> {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    let is_root = same(metadata.workspace_root.join("Cargo.toml").as_std_path(), manifest);
    let meant = |package: &&Package| is_root || same(package.manifest_path.as_std_path(), manifest);
    let is_guest = |package: &&Package| package.dependencies.iter().any(|dep| dep.name == LIBRARY);
    let members = metadata.workspace_packages();
    let guests = members.into_iter().filter(meant).filter(is_guest);
    guests.map(|package| package.name.to_string()).collect()
}
