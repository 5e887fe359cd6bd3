//! The profile `lamprey`: the settings of guests, whatever the workspace says, and a description of the build.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, BuildScript};
use toml::{Table, Value};

use crate::cargo_config::{CargoConfig, value};
use crate::workspace::Workspace;

/// The one setting that users may change: kernels are built with and without, and the bounds say which it is.
const OVERFLOW_CHECKS: &str = "overflow-checks";
/// Number of names shown of a list; the others are counted.
const TOLD: usize = 3;

/// Settings for cargo's `--config`, and warnings about those of the workspace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ProfileSettings {
    pub(crate) config: Vec<&'static str>,
    pub(crate) warnings: Vec<String>,
}

/// Decides between `ours`, each `profile.lamprey.KEY=VALUE`, and the profile `lamprey` in the manifest of the
/// workspace at `root`, in cargo's configuration files and in the environment.
pub(crate) fn settings(ours: &[&'static str], root: &Path) -> ProfileSettings {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let config = CargoConfig::read(root, home.as_deref());
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap_or_default();
    let table: Table = text.parse().unwrap_or_default();
    let variable = |key: &str| {
        let key = key.to_uppercase().replace('-', "_");
        env::var(format!("CARGO_PROFILE_LAMPREY_{key}")).ok()
    };
    decide(ours, &|key| {
        let of_config = || config.value(&["profile", "lamprey", key]).map(shown);
        let of_manifest = || value(&table, &["profile", "lamprey", key]).map(shown);
        let from_config = || Some((of_config()?, "cargo's configuration".to_owned()));
        let from_manifest = || Some((of_manifest()?, manifest.display().to_string()));
        let from_environment = || Some((variable(key)?, "the environment".to_owned()));
        from_environment().or_else(from_config).or_else(from_manifest)
    })
}

/// Returns a setting as a manifest writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(is) => is.to_string(),
        _ => "…".into(),
    }
}

/// Chooses the settings. `theirs` returns the user's setting for a key, and where it comes from.
fn decide(
    ours: &[&'static str],
    theirs: &dyn Fn(&str) -> Option<(String, String)>,
) -> ProfileSettings {
    let mut settings = ProfileSettings::default();
    for setting in ours {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let key = name.rsplit('.').next().unwrap_or(name);
        match theirs(key) {
            Some(_) if key == OVERFLOW_CHECKS => continue,
            Some((other, place)) if other.trim_matches('"') != value.trim_matches('"') => {
                settings.warnings.push(format!(
                    "{place}: {key} = {other} of the profile `lamprey` is left out for guests: they are \
                     built with {key} = {value}"
                ));
            }
            _ => {}
        }
        settings.config.push(setting);
    }
    settings
}

/// The compiler options of a package that change what its code does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BuildOptions {
    level: String,
    checks: bool,
}

impl BuildOptions {
    fn of(artifact: &Artifact) -> BuildOptions {
        let profile = &artifact.profile;
        BuildOptions { level: profile.opt_level.clone(), checks: profile.overflow_checks }
    }
}

/// Describes how guests for `target` were built: `x86_64-unknown-none at opt-level 3 with overflow
/// checks`. Packages for which the workspace sets other options, and libraries that come from build
/// scripts, are named: cargo's messages give the options of each.
pub(crate) fn words(
    workspace: &Workspace,
    target: &str,
    artifacts: &[Artifact],
    scripts: &[BuildScript],
) -> String {
    // Code that runs during the build, such as procedural macros, is not part of a guest.
    let folder = workspace.target.join(target);
    let guests = artifacts.iter().filter(|artifact| {
        artifact.filenames.iter().any(|file| file.as_std_path().starts_with(&folder))
    });
    let told =
        guests.map(|artifact| (artifact.target.name.replace('-', "_"), BuildOptions::of(artifact)));
    let libraries = scripts.iter().flat_map(|script| &script.linked_libs);
    let libraries = libraries.map(|library| {
        let library = library.as_str();
        library.rsplit_once('=').map_or(library, |(_, name)| name).to_owned()
    });
    said(target, &told.collect::<Vec<_>>(), &libraries.collect::<Vec<_>>())
}

/// Returns the description: first the options of the library, which is in every guest, then the differences.
fn said(target: &str, packages: &[(String, BuildOptions)], libraries: &[String]) -> String {
    let library = packages.iter().find(|(name, _)| name == "lamprey").or(packages.first());
    let Some((_, usual)) = library else { return target.to_owned() };
    let with = |checks| if checks { "with" } else { "without" };
    let mut text =
        format!("{target} at opt-level {} {} overflow checks", usual.level, with(usual.checks));
    let mut others: Vec<String> = Vec::new();
    for (name, manner) in packages.iter().filter(|(_, manner)| manner != usual) {
        let level = (manner.level != usual.level).then(|| format!("at opt-level {}", manner.level));
        let checks = (manner.checks != usual.checks)
            .then(|| format!("{} overflow checks", with(manner.checks)));
        let parts: Vec<String> = level.into_iter().chain(checks).collect();
        let other = format!("{name} {}", parts.join(" "));
        if !others.contains(&other) {
            others.push(other);
        }
    }
    if !others.is_empty() {
        text += &format!(" ({})", few(&others));
    }
    if !libraries.is_empty() {
        text += &format!(", with {} as a build script has it", few(libraries));
    }
    text
}

/// Returns the first few names of `list`.
fn few(list: &[String]) -> String {
    let told = list.iter().take(TOLD).cloned();
    let more = list.len().saturating_sub(TOLD);
    told.chain((more > 0).then(|| format!("{more} more"))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 3] = [
        "profile.lamprey.debug=2",
        "profile.lamprey.panic=\"abort\"",
        "profile.lamprey.overflow-checks=true",
    ];

    #[test]
    fn overflow_checks_are_the_workspaces_and_all_else_is_warned_of() {
        assert_eq!(
            decide(&OURS, &|_| None),
            ProfileSettings { config: OURS.into(), warnings: vec![] }
        );
        let of = |key: &str| match key {
            "panic" => Some("\"unwind\"".to_owned()),
            "debug" => Some("2".to_owned()),
            "overflow-checks" => Some("false".to_owned()),
            _ => None,
        };
        let settings = decide(&OURS, &|key| Some((of(key)?, "w/Cargo.toml".into())));
        assert_eq!(settings.config, OURS[..2]);
        let said = "w/Cargo.toml: panic = \"unwind\" of the profile `lamprey` is left out for guests: they \
                    are built with panic = \"abort\"";
        assert_eq!(settings.warnings, [said]);
    }

    #[test]
    fn the_manifest_of_the_workspace_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "[profile.lamprey]\noverflow-checks = false\ndebug = 1\n";
        fs::write(folder.path().join("Cargo.toml"), text).expect("written");
        let ProfileSettings { config, warnings } = settings(&OURS, folder.path());
        assert_eq!(config, OURS[..2]);
        let [one] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(
            one.contains("Cargo.toml: debug = 1 of the profile `lamprey` is left out"),
            "{one}"
        );
    }

    #[test]
    fn packages_that_were_compiled_otherwise_are_named() {
        let package = |name: &str, level: &str, checks| {
            (name.to_owned(), BuildOptions { level: level.to_owned(), checks })
        };
        let mut all = vec![package("lamprey", "3", true), package("mine", "3", true)];
        assert_eq!(said("t", &all, &[]), "t at opt-level 3 with overflow checks");
        all[1] = package("mine", "0", true);
        all.push(package("kernel", "3", false));
        let told = "t at opt-level 3 with overflow checks (mine at opt-level 0, kernel without overflow \
                    checks)";
        assert_eq!(said("t", &all, &[]), told);
        all.extend(["a", "b"].map(|name| package(name, "s", false)));
        let told = said("t", &all, &["c_code".into()]);
        assert!(told.contains("a at opt-level s without overflow checks, 1 more)"), "{told}");
        assert!(told.ends_with(", with c_code as a build script has it"), "{told}");
    }
}
