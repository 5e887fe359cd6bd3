//! Builds guests with cargo: with the stable toolchain, the target of kernels if it is installed, and
//! the flags that make the result a kernel image.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use cargo_metadata::{Artifact, Message, TargetKind};

use crate::args::{Color, StyleArgs, TargetArg};
use crate::atomic;
use crate::profile;
use crate::rustflags;
use crate::target_os::{self, OsCondition};
use crate::ui::Ui;
use crate::workspace::Workspace;

/// The linker script of guests.
const LINKER_SCRIPT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey/lamprey.ld"));

include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey/flags.rs"));

/// The reason why guests were not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// cargo cannot be started
    #[error("{}: cannot be started: {reason}; put cargo into PATH or name it in CARGO", cargo.display())]
    NoCargo {
        /// The program that was started.
        cargo: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// the linker script cannot be written
    #[error(
        "{}: the linker script cannot be written: {reason}; CARGO_TARGET_DIR names a folder for builds \
         instead of this one",
        path.display()
    )]
    Script {
        /// The folder of results.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// cargo's messages cannot be read
    #[error("{}: cargo's messages cannot be read: {reason}", manifest.display())]
    Messages {
        /// The manifest.
        manifest: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// cargo failed
    #[error(
        "{}: the guests do not build ({status}); cargo's reasons are above{hint}",
        manifest.display()
    )]
    Failed {
        /// The manifest.
        manifest: PathBuf,
        /// Cargo's exit status.
        status: ExitStatus,
        /// Attributes that the sources lack.
        hint: String,
    },
    /// the requested target is not installed
    #[error(
        "--target {BARE}: the compiler's library for it is not in {}; `rustup target add {BARE}` \
         installs it, --target {HOST} does not need it",
        .0.display()
    )]
    NoTarget(PathBuf),
    /// two executables have the same path
    #[error(
        "{}: two packages of the workspace have an executable of this name; give each [[bin]] its own, or \
         name one package's manifest with --manifest-path",
        .0.display()
    )]
    SameName(PathBuf),
    /// the workspace has no executables
    #[error(
        "{}: no guest executables; a guest is a package with a src/main.rs (`lamprey new NAME`)",
        .0.display()
    )]
    NoExecutables(PathBuf),
}

/// The result of a build of guests.
pub(crate) struct Built {
    /// The executables, in a fixed order.
    pub(crate) images: Vec<PathBuf>,
    /// Description of the build, for the bounds of verdicts.
    pub(crate) words: String,
}

/// Builds the guests of `workspace`.
pub(crate) fn build(
    workspace: &Workspace,
    target: Option<TargetArg>,
    style: &StyleArgs,
    ui: &mut Ui,
) -> Result<Built, BuildError> {
    let target = name_of(choose(target, &folder_of_library())?);
    let script = write_script(&workspace.target)?;
    let users = rustflags::of(&workspace.root, target);
    for warning in users.warnings {
        ui.warn(warning);
    }
    let flags = encoded(&users.kept, target, &script);
    let settings = profile::settings(&PROFILE, &workspace.root);
    for warning in settings.warnings {
        ui.warn(warning);
    }
    let mut command = command(workspace, target, &settings.config, flags, style);
    let mut cargo = command
        .spawn()
        .map_err(|reason| BuildError::NoCargo { cargo: command.get_program().into(), reason })?;
    let messages = cargo.stdout.take().map(BufReader::new);
    let (mut artifacts, mut scripts) = (Vec::new(), Vec::new());
    let mut executables = BTreeMap::new();
    let mut twice = None;
    let mut unread = None;
    for message in messages.into_iter().flat_map(Message::parse_stream) {
        match message {
            Ok(Message::CompilerArtifact(artifact)) => {
                if artifact.target.is_kind(TargetKind::Bin)
                    && let Some(file) = artifact.executable.clone().map(PathBuf::from)
                    && executables
                        .insert(file.clone(), artifact.package_id.clone())
                        .is_some_and(|other| other != artifact.package_id)
                {
                    twice = Some(file);
                }
                artifacts.push(artifact);
            }
            Ok(Message::BuildScriptExecuted(script)) => scripts.push(script),
            Ok(_) => {}
            Err(reason) => unread = Some(reason),
        }
    }
    if target == HOST {
        warn_of_os_conditions(workspace, &artifacts, ui);
    }
    let manifest = workspace.manifest.clone();
    match (cargo.wait(), unread) {
        (Ok(status), _) if !status.success() => {
            let hint = lacking(&workspace.mains);
            Err(BuildError::Failed { manifest, status, hint })
        }
        (Err(reason), _) | (_, Some(reason)) => Err(BuildError::Messages { manifest, reason }),
        _ if executables.is_empty() => Err(BuildError::NoExecutables(manifest)),
        _ => match twice {
            Some(file) => Err(BuildError::SameName(file)),
            None => Ok(Built {
                words: profile::words(workspace, target, &artifacts, &scripts),
                images: executables.into_keys().collect(),
            }),
        },
    }
}

/// Returns a line for each of these files that lacks something an executable needs to be a guest.
/// It is called only after a failed build, because the linker's messages do not mention it.
fn lacking(mains: &[PathBuf]) -> String {
    let mut hint = String::new();
    for main in mains {
        let Ok(text) = fs::read_to_string(main) else { continue };
        let words: Vec<&str> =
            ["no_std", "no_main"].into_iter().filter(|word| !text.contains(word)).collect();
        let path = main.display();
        if !words.is_empty() {
            let attributes: Vec<String> =
                words.iter().map(|word| format!("`#![{word}]`")).collect();
            hint += &format!("\n  {path}: a guest needs {}", attributes.join(" and "));
        }
        if !mentions_library(main.parent().unwrap_or(main), DEPTH) {
            hint += &format!(
                "\n  {path}: nothing there uses `lamprey`, so it is not linked; write `use lamprey as _;`"
            );
        }
    }
    hint
}

/// Depth to which folders of sources are searched.
const DEPTH: usize = 8;

/// Returns whether a source in `folder`, or below it, names the library.
fn mentions_library(folder: &Path, depth: usize) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => depth > 0 && mentions_library(&path, depth - 1),
        false => {
            path.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&path).is_ok_and(|text| text.contains("lamprey"))
        }
    })
}

/// Warns of packages that test the operating system in guests for the host's target.
fn warn_of_os_conditions(workspace: &Workspace, artifacts: &[Artifact], ui: &mut Ui) {
    let folder = workspace.target.join(HOST);
    let conditions = target_os::conditions(artifacts, &folder, &workspace.root);
    if conditions.is_empty() {
        return;
    }
    let mut text = format!(
        "guests are built for {HOST}, where target_os is \"linux\" and not \"none\" as in a kernel: \
         code that tests it may differ from the code of a kernel"
    );
    for OsCondition { package, file, line, condition } in conditions {
        text += &format!("\n  {package} tests `{condition}`: {}:{line}", file.display());
    }
    text += &match is_installed(&folder_of_library()) {
        true => format!("\n  --target {BARE} builds them as for a kernel"),
        false => format!("\n  `rustup target add {BARE}` installs the target of kernels"),
    };
    ui.warn(text);
}

/// Returns the name of the target for cargo and the compiler.
pub(crate) fn name_of(target: TargetArg) -> &'static str {
    match target {
        TargetArg::Bare => BARE,
        TargetArg::Host => HOST,
    }
}

/// Returns the folder of the compiler's own library for [`BARE`], which need not exist.
fn folder_of_library() -> PathBuf {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", BARE]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default().into()
}

/// Returns whether the compiler's own library is installed. Its folder alone, which rustup leaves
/// behind, is not enough.
fn is_installed(library: &Path) -> bool {
    let is_core = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    };
    fs::read_dir(library).is_ok_and(|files| files.flatten().any(is_core))
}

/// Returns the requested target, or without one the better one of those that are installed.
fn choose(asked: Option<TargetArg>, library: &Path) -> Result<TargetArg, BuildError> {
    match asked {
        Some(TargetArg::Host) => Ok(TargetArg::Host),
        _ if is_installed(library) => Ok(TargetArg::Bare),
        Some(TargetArg::Bare) => Err(BuildError::NoTarget(library.to_owned())),
        None => Ok(TargetArg::Host),
    }
}

/// Appends our flags to the user's: of two that contradict each other the compiler takes the last.
fn encoded(users: &[String], target: &str, script: &Path) -> OsString {
    let mut flags = OsString::new();
    for flag in users {
        flags.push(flag);
        flags.push("\x1f");
    }
    flags.push(encoded_flags(target, script));
    flags
}

fn command(
    workspace: &Workspace,
    target: &str,
    settings: &[&str],
    flags: OsString,
    style: &StyleArgs,
) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", "lamprey", "--target", target, "--bins"]);
    for setting in settings {
        command.args(["--config", setting]);
    }
    command.arg("--manifest-path").arg(&workspace.manifest);
    for package in &workspace.packages {
        command.args(["--package", package]);
    }
    command.arg("--message-format=json-render-diagnostics");
    match style.color {
        Color::Auto => {}
        Color::Always => drop(command.args(["--color", "always"])),
        Color::Never => drop(command.args(["--color", "never"])),
    }
    if style.quiet {
        command.arg("--quiet");
    }
    for variable in NOT_FOR_GUESTS {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    command.env("CARGO_TARGET_DIR", &workspace.target);
    // A shared folder for intermediate files would mix the artefacts of several workspaces again.
    command.env("CARGO_BUILD_BUILD_DIR", &workspace.target);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Writes the linker script to a file and returns its path. The name depends on the text, so a
/// changed script relinks.
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

    fn flags(target: &str) -> Vec<String> {
        let flags = encoded_flags(target, Path::new("/a folder/x.ld"));
        flags.to_str().expect("UTF-8").split('\x1f').map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_separated_so_that_a_folder_may_have_spaces() {
        let last = |target| flags(target).pop();
        assert_eq!(last(HOST).as_deref(), Some("-Clink-arg=-Wl,-T,/a folder/x.ld"));
        assert_eq!(last(BARE).as_deref(), Some("-Clink-arg=-T/a folder/x.ld"));
    }

    #[test]
    fn what_is_for_a_compiler_driver_is_not_told_to_a_linker() {
        let for_driver = |flag: &String| flag.contains("-Wl,") || flag.contains("-nostartfiles");
        assert!(flags(HOST).iter().any(for_driver));
        assert!(!flags(BARE).iter().any(for_driver), "{:?}", flags(BARE));
        for target in [HOST, BARE] {
            let flags = flags(target);
            assert!(flags.contains(&"--cfg=lamprey".into()), "{flags:?}");
            assert!(flags.contains(&"-Crelocation-model=static".into()), "{flags:?}");
        }
    }

    #[test]
    fn the_command_names_the_target() {
        let workspace = Workspace {
            manifest: "/w/Cargo.toml".into(),
            root: "/w".into(),
            packages: vec!["guest".into()],
            mains: vec!["/w/src/main.rs".into()],
            target: "/w/target/lamprey".into(),
        };
        let style = StyleArgs { color: Color::Auto, width: 79, quiet: false, verbose: false };
        for target in [HOST, BARE] {
            let flags = encoded(&["--cfg".into(), "a b".into()], target, Path::new("/x.ld"));
            let mut theirs_first = OsString::from("--cfg\x1fa b\x1f");
            theirs_first.push(encoded_flags(target, Path::new("/x.ld")));
            assert_eq!(flags, theirs_first);
            let command = command(&workspace, target, &PROFILE, flags, &style);
            let args: Vec<_> = command.get_args().collect();
            assert!(args.windows(2).any(|pair| pair == ["--target", target]), "{args:?}");
            let flags = command.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS");
            assert_eq!(flags.expect("set").1, Some(&*theirs_first));
        }
    }

    #[test]
    fn what_a_source_lacks_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("main.rs");
        let of = |text: &str| {
            fs::write(&main, text).expect("written");
            lacking(std::slice::from_ref(&main)).replace(&main.display().to_string(), "M")
        };
        let unused =
            "\n  M: nothing there uses `lamprey`, so it is not linked; write `use lamprey as _;`";
        assert_eq!(
            of("fn main() {}"),
            format!("\n  M: a guest needs `#![no_std]` and `#![no_main]`{unused}")
        );
        assert_eq!(of("#![no_std]\n#![no_main]\nmod inner;"), unused);
        assert_eq!(of("#![no_std]\nuse lamprey as _;"), "\n  M: a guest needs `#![no_main]`");
        fs::create_dir(folder.path().join("inner")).expect("made");
        fs::write(folder.path().join("inner/mod.rs"), "use lamprey::cpu;").expect("written");
        assert_eq!(of("#![no_std]\n#![no_main]\nmod inner;"), "");
    }

    #[test]
    fn kernels_own_target_is_taken_where_its_library_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let choose = |asked| choose(asked, folder.path());
        // A folder without a library, as rustup leaves behind, is not enough.
        assert_eq!(choose(None).expect("always"), TargetArg::Host);
        let error = choose(Some(TargetArg::Bare)).expect_err("not there").to_string();
        assert!(error.contains("`rustup target add x86_64-unknown-none`"), "{error}");
        fs::write(folder.path().join("libcore-0123.rlib"), "").expect("written");
        assert_eq!(choose(None).expect("always"), TargetArg::Bare);
        assert_eq!(choose(Some(TargetArg::Bare)).expect("there"), TargetArg::Bare);
        assert_eq!(choose(Some(TargetArg::Host)).expect("always"), TargetArg::Host);
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
