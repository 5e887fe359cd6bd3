//! Finds the workspace of the scenarios.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The package whose dependents are guests.
const LIBRARY: &str = "lamprey";

/// The workspace of guests: what to build, and where.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The manifest that is passed to cargo.
    pub(crate) manifest: PathBuf,
    /// The folder of the workspace.
    pub(crate) root: PathBuf,
    /// Packages to build; at least one.
    pub(crate) packages: Vec<String>,
    /// The sources of their executables, such as `src/main.rs`.
    pub(crate) mains: Vec<PathBuf>,
    /// Lamprey's own folder below the workspace's target folder.
    pub(crate) target: PathBuf,
}

/// The reason why there is no workspace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// the current directory is gone
    #[error("the current directory cannot be determined: {0}")]
    NoDirectory(io::Error),
    /// there is no manifest at the given path
    #[error("{}: no such manifest", .0.display())]
    NoManifest(PathBuf),
    /// the given path is a folder
    #[error("{}: it is a folder; name the Cargo.toml in it", .0.display())]
    Folder(PathBuf),
    /// cargo does not understand the manifest
    #[error("{}: cargo cannot read it: {reason}", manifest.display())]
    Unreadable {
        /// The manifest.
        manifest: PathBuf,
        /// Cargo's message.
        reason: String,
    },
    /// there is no guest at the given path
    #[error(
        "{}: no package there depends on `{LIBRARY}`, so there is nothing to check\n  \
         name the manifest of a scenario crate, or make one with `lamprey new NAME`",
        .0.display()
    )]
    NoGuest(PathBuf),
    /// there is no guest here or in a parent directory
    #[error(
        "no scenarios here: neither {} nor a parent directory has a scenarios/Cargo.toml or a \
         Cargo.toml that depends on `{LIBRARY}`\n  \
         give --manifest-path or --image, or make scenarios with `lamprey new NAME`",
        .0.display()
    )]
    Nothing(PathBuf),
}

/// Finds the workspace of `given`, or else the nearest one: searches the current directory and its parents
/// in turn for `scenarios/Cargo.toml` and for a `Cargo.toml` that depends on `lamprey`.
///
/// The nearest wins, so that a crate made within another project checks itself.
pub(crate) fn find(given: Option<&Path>) -> Result<Workspace, WorkspaceError> {
    if let Some(manifest) = given {
        if manifest.is_dir() {
            return Err(WorkspaceError::Folder(manifest.to_owned()));
        }
        if !manifest.is_file() {
            return Err(WorkspaceError::NoManifest(manifest.to_owned()));
        }
        let metadata = metadata(manifest)?;
        let guests = guests(&metadata, manifest);
        // A package that is not a guest would be built with a guest's flags, and would not link.
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

fn workspace(manifest: &Path, metadata: &Metadata, guests: Vec<&Package>) -> Workspace {
    let root = metadata.workspace_root.as_std_path();
    let target = target(root, metadata.target_directory.as_std_path());
    let packages = guests.iter().map(|package| package.name.to_string()).collect();
    let targets = guests.iter().flat_map(|package| &package.targets);
    let mains = targets.filter(|target| target.is_bin()).map(|bin| bin.src_path.clone().into());
    Workspace {
        manifest: manifest.to_owned(),
        root: root.to_owned(),
        packages,
        mains: mains.collect(),
        target,
    }
}

/// Returns Lamprey's folder in a target folder. If several workspaces share the target folder, each
/// has a folder of its own there: cargo distinguishes members of two workspaces only by their path
/// *below* the workspace's root, and takes the build of one for that of the other if names,
/// versions and flags are the same and the sources of the other are older, as in two worktrees of
/// one project.
fn target(root: &Path, target: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // A folder that does not exist yet is not a link to a shared one.
    let (root, folder) = (real(root), real(target));
    let ours = target.join("lamprey");
    if folder.parent() == Some(&root) {
        return ours;
    }
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    ours.join(format!("{:016x}", hasher.finish()))
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

/// Returns the packages that depend on `lamprey`: of the whole workspace if `manifest` is its root, else
/// only `manifest`'s own.
fn guests<'m>(metadata: &'m Metadata, manifest: &Path) -> Vec<&'m Package> {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    let is_root = same(metadata.workspace_root.join("Cargo.toml").as_std_path(), manifest);
    let meant = |package: &&Package| is_root || same(package.manifest_path.as_std_path(), manifest);
    let is_guest = |package: &&Package| package.dependencies.iter().any(|dep| dep.name == LIBRARY);
    let members = metadata.workspace_packages();
    members.into_iter().filter(meant).filter(is_guest).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn two_workspaces_never_share_a_folder_for_builds() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["before/target", "after", "shared"] {
            fs::create_dir_all(at(name)).expect("made");
        }
        assert_eq!(target(&at("before"), &at("before/target")), at("before/target/lamprey"));
        let before = target(&at("before"), &at("shared"));
        assert!(before.starts_with(at("shared/lamprey")), "{before:?}");
        assert_ne!(before, target(&at("after"), &at("shared")));
        // The name of the workspace's path does not matter.
        symlink(at("before"), at("link")).expect("linked");
        assert_eq!(before, target(&at("link"), &at("shared")));
        // A link instead of its own folder leads to a shared one.
        symlink(at("shared"), at("after/target")).expect("linked");
        let linked = target(&at("after"), &at("after/target"));
        assert_ne!(linked, at("after/target/lamprey"));
    }
}
