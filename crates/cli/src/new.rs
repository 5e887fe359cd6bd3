//! `new`: creates a scenario crate that compiles, and fails in an instructive way.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::args::NewArgs;
use crate::commands;
use crate::error::{Error, NewError};
use crate::exit::Exit;
use crate::ui::Ui;

const MANIFEST: &str = include_str!("template/Cargo.toml.in");
const SOURCE: &str = include_str!("template/main.rs.in");
const IGNORE: &str = include_str!("template/gitignore.in");

/// The guest library of the checkout from which this program was built.
const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/lamprey");

/// Names with another meaning in Rust or cargo.
const TAKEN: [&str; 9] =
    ["lamprey", "test", "core", "std", "alloc", "proc_macro", "build", "deps", "examples"];

/// Rust's keywords, strict and reserved: a crate with such a name cannot be imported.
const KEYWORDS: [&str; 52] = [
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "Self", "static", "struct", "super", "trait", "true", "type",
    "unsafe", "use", "where", "while", "abstract", "become", "box", "do", "final", "gen", "macro",
    "override", "priv", "try", "typeof", "unsized", "virtual", "yield",
];

/// Runs `new`.
pub(crate) fn new(program: &str, args: &NewArgs, ui: &mut Ui) -> Result<Exit, Error> {
    let name = args.name.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !is_crate_name(&name) {
        return Err(NewError::Name(args.name.display().to_string()).into());
    }
    if args.name.symlink_metadata().is_ok() {
        return Err(NewError::Exists(args.name.clone()).into());
    }
    let guest = guest(args.guest.as_deref())?;
    make(&args.name, &name, &guest)?;
    let folder = commands::quoted(&args.name);
    // A relative path starts here, but the command is typed in another folder.
    let program = match env::current_exe() {
        Ok(path) if program.contains('/') => commands::quoted(&path),
        _ => program.to_owned(),
    };
    ui.state("Created", &format!("{folder}: a scenario with a bug in it; to see the report:"));
    ui.print(&format!("cd {folder} && {program} check\n"))?;
    Ok(Exit::Passed)
}

fn make(folder: &Path, name: &str, guest: &Path) -> Result<(), NewError> {
    // Basic strings of TOML are quoted like Rust's, for all usual paths.
    let manifest = MANIFEST
        .replace("{name}", name)
        .replace("{guest}", &format!("{:?}", guest.to_string_lossy()));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |reason| NewError::Make { path, reason }
    };
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(failed(&source))?;
    let files = [("Cargo.toml", &*manifest), ("src/main.rs", SOURCE), (".gitignore", IGNORE)];
    for (file, text) in files {
        let path = folder.join(file);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    // Copies the versions with which the library is built: cargo need not resolve or download anything.
    // If there is no such file, cargo creates one.
    let _ = fs::copy(guest.join("../../Cargo.lock"), folder.join("Cargo.lock"));
    Ok(())
}

/// Returns the absolute path of the guest library.
fn guest(given: Option<&Path>) -> Result<PathBuf, NewError> {
    let path = given.unwrap_or(Path::new(GUEST));
    let none = || NewError::NoGuest { path: path.to_owned(), given: given.is_some() };
    if !path.join("Cargo.toml").is_file() {
        return Err(none());
    }
    path.canonicalize().map_err(|_| none())
}

fn is_crate_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(inner)
        && !TAKEN.contains(&name)
        && !KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_cargo_accepts() {
        for name in ["a", "my-kernel", "lazy_tlb2"] {
            assert!(is_crate_name(name), "{name}");
        }
        for name in ["", "2fast", "a b", "a/b", "-x", "lamprey", "ä", "fn", "Self", "yield"] {
            assert!(!is_crate_name(name), "{name}");
        }
    }

    #[test]
    fn a_crate_depends_on_the_given_library() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = folder.path().join("mine");
        make(&made, "mine", Path::new("/a \"b\"/guest/lamprey")).expect("made");
        let manifest = fs::read_to_string(made.join("Cargo.toml")).expect("there");
        assert!(manifest.contains("name = \"mine\""), "{manifest}");
        assert!(manifest.contains(r#"path = "/a \"b\"/guest/lamprey""#), "{manifest}");
        assert!(!manifest.contains('{') || manifest.matches('{').count() == 1, "{manifest}");
        assert!(made.join("src/main.rs").is_file() && made.join(".gitignore").is_file());
    }

    #[test]
    fn a_missing_library_is_reported() {
        let error = guest(Some(Path::new("/no/where"))).expect_err("nothing").to_string();
        assert!(error.starts_with("/no/where: no guest library there; --guest names"), "{error}");
    }
}
