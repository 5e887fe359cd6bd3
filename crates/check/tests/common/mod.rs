//! Builds guests as `lamprey check` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use outcome::Outcome;

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey/flags.rs"));

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the guest `package` in the workspace that is in `folder`, from the repository's folder. Returns
/// the image.
///
/// # Panics
///
/// If it does not build; cargo's reasons are among the test's output.
pub(crate) fn build(folder: &str, package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let script = repository().join("guest/lamprey/lamprey.ld").canonicalize().expect("a script");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--profile", "lamprey", "--target", HOST]);
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    cargo.arg("--manifest-path").arg(repository().join(folder).join("Cargo.toml"));
    cargo.args(["--package", package]);
    for variable in NOT_FOR_GUESTS {
        cargo.env_remove(variable);
    }
    // Whatever is installed: the counts that are kept belong to this target.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(HOST, &script));
    // One folder for all of them: the guest library is built once.
    fs::create_dir_all(&target).expect("a target folder");
    cargo.env("CARGO_TARGET_DIR", &target);
    let output = cargo.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{package} in {folder} does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join(HOST).join("lamprey").join(package)
}

/// What is wrong if the simplest run under x86-TSO has more switches than that without store buffers.
pub(crate) fn needs_more_switches(tso: &Outcome, sc: &Outcome) -> Option<String> {
    let (tso, sc) = (tso.finding.as_ref()?, sc.finding.as_ref()?);
    (tso.switches > sc.switches)
        .then(|| format!("{} switches, and {} under x86-TSO", sc.switches, tso.switches))
}
