//! Building guests: cargo, with the stable toolchain and the host's target, and the flags that make
//! a kernel image of the result.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use cargo_metadata::{Message, TargetKind};

use crate::args::{Color, Look};
use crate::atomic;
use crate::workspace::Workspace;

/// Where the parts of a guest are linked.
const LINKER_SCRIPT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey/lamprey.ld"));

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey/flags.rs"));

/// There are no guests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// cargo is not there
    #[error("{}: cannot be started: {reason}; put cargo into PATH or name it in CARGO", cargo.display())]
    NoCargo {
        /// What was tried.
        cargo: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// the linker script cannot be put beside the guests
    #[error(
        "{}: the linker script cannot be written: {reason}; CARGO_TARGET_DIR names a folder for builds \
         in place of this one",
        path.display()
    )]
    Script {
        /// Where.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// what cargo says cannot be read
    #[error("{}: cargo's messages cannot be read: {reason}", manifest.display())]
    Messages {
        /// The manifest.
        manifest: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// cargo failed
    #[error("{}: the guests do not build ({status}); cargo's reasons are above", manifest.display())]
    Failed {
        /// The manifest.
        manifest: PathBuf,
        /// How cargo ended.
        status: ExitStatus,
    },
    /// nothing in the workspace is an executable
    #[error(
        "{}: no guest executables; a guest is a package with a src/main.rs (`lamprey new NAME`)",
        .0.display()
    )]
    NoExecutables(PathBuf),
}

/// Builds the guests and returns their executables, in a fixed order.
pub(crate) fn build(workspace: &Workspace, look: &Look) -> Result<Vec<PathBuf>, BuildError> {
    let script = write_script(&workspace.target)?;
    let mut command = command(workspace, &script, look);
    let mut cargo = command
        .spawn()
        .map_err(|reason| BuildError::NoCargo { cargo: command.get_program().into(), reason })?;
    let messages = cargo.stdout.take().map(BufReader::new);
    let mut executables = Vec::new();
    let mut unread = None;
    for message in messages.into_iter().flat_map(Message::parse_stream) {
        match message {
            Ok(Message::CompilerArtifact(artifact)) if artifact.target.is_kind(TargetKind::Bin) => {
                executables.extend(artifact.executable.map(PathBuf::from));
            }
            Ok(_) => {}
            Err(reason) => unread = Some(reason),
        }
    }
    let manifest = workspace.manifest.clone();
    match (cargo.wait(), unread) {
        (Ok(status), _) if !status.success() => Err(BuildError::Failed { manifest, status }),
        (Err(reason), _) | (_, Some(reason)) => Err(BuildError::Messages { manifest, reason }),
        _ if executables.is_empty() => Err(BuildError::NoExecutables(manifest)),
        _ => {
            executables.sort();
            Ok(executables)
        }
    }
}

fn command(workspace: &Workspace, script: &Path, look: &Look) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", "lamprey", "--target", TARGET, "--bins"]);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    command.arg("--manifest-path").arg(&workspace.manifest);
    for package in &workspace.packages {
        command.args(["--package", package]);
    }
    command.arg("--message-format=json-render-diagnostics");
    match look.color {
        Color::Auto => {}
        Color::Always => drop(command.args(["--color", "always"])),
        Color::Never => drop(command.args(["--color", "never"])),
    }
    if look.quiet {
        command.arg("--quiet");
    }
    for variable in NOT_FOR_GUESTS {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(script));
    command.env("CARGO_TARGET_DIR", &workspace.target);
    // A folder for intermediate files that several workspaces share would mix their artefacts again.
    command.env("CARGO_BUILD_BUILD_DIR", &workspace.target);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The flags as cargo reads them without splitting at spaces.
fn encoded_flags(script: &Path) -> OsString {
    let mut flags = OsString::from(FLAGS.join("\x1f"));
    flags.push("\x1f-Clink-arg=-Wl,-T,");
    flags.push(script);
    flags
}

/// The linker script as a file. Its name tells its text, so that another text links anew.
fn write_script(target: &Path) -> Result<PathBuf, BuildError> {
    let mut hasher = DefaultHasher::new();
    LINKER_SCRIPT.hash(&mut hasher);
    let path = target.join(format!("guest-{:016x}.ld", hasher.finish()));
    if fs::read(&path).is_ok_and(|text| text == LINKER_SCRIPT.as_bytes()) {
        return Ok(path);
    }
    match fs::create_dir_all(target).and_then(|()| atomic::write(&path, LINKER_SCRIPT)) {
        Ok(()) => Ok(path),
        Err(reason) => Err(BuildError::Script { path, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_separated_so_that_a_folder_may_have_spaces() {
        let flags = encoded_flags(Path::new("/a folder/x.ld"));
        let flags = flags.to_str().expect("UTF-8");
        assert_eq!(flags.split('\x1f').count(), FLAGS.len() + 1);
        assert!(flags.ends_with("\x1f-Clink-arg=-Wl,-T,/a folder/x.ld"));
    }

    #[test]
    fn the_script_is_written_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = write_script(&folder.path().join("deep/er")).expect("written");
        let before = fs::metadata(&first).and_then(|data| data.modified()).expect("there");
        let again = write_script(&folder.path().join("deep/er")).expect("there");
        let after = fs::metadata(&again).and_then(|data| data.modified()).expect("there");
        assert_eq!((first, before), (again, after));
    }

    #[test]
    fn where_the_script_cannot_be_written_another_folder_is_proposed() {
        let error = write_script(Path::new("/dev/null/x")).expect_err("no folder").to_string();
        assert!(error.starts_with("/dev/null/x/guest-"), "{error}");
        assert!(error.contains("cannot be written: Not a dir"), "{error}");
        assert!(error.contains("CARGO_TARGET_DIR"), "{error}");
    }
}
