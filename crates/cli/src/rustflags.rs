//! The user's compiler flags: those that cargo would use, and those with which a guest can be built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use cargo_metadata::cargo_platform::{Cfg, Platform};

use crate::cargo_config::{CargoConfig, words};

/// Options of the compiler whose value may be the next argument.
const VALUED: &str = "-C --codegen --cfg --check-cfg -L -l -A --allow -W --warn --force-warn -D --deny -F \
    --forbid --cap-lints -Z -o --out-dir --extern --sysroot --target --edition --emit --print --crate-name \
    --crate-type --remap-path-prefix --remap-path-scope --error-format --json --color --diagnostic-width \
    --explain --env-set";

/// Instruction sets that the model's CPUID enumerates, by the compiler's names, and one feature
/// that is not a set.
const ENUMERATED: [&str; 17] = [
    "x87",
    "fxsr",
    "sse",
    "sse2",
    "sse3",
    "ssse3",
    "sse4.1",
    "sse4.2",
    "popcnt",
    "cmpxchg16b",
    "lahfsahf",
    "movbe",
    "lzcnt",
    "bmi1",
    "bmi2",
    "adx",
    "soft-float",
];

/// Processors without other instruction sets.
const PROCESSORS: [&str; 3] = ["generic", "x86-64", "x86-64-v2"];

/// The user's flags, divided into those that are kept and warnings about the others.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RustFlags {
    /// The flags that guests are built with.
    pub(crate) kept: Vec<String>,
    /// Warnings about the others.
    pub(crate) warnings: Vec<String>,
}

/// Returns the user's flags for guests of the workspace in `root`.
pub(crate) fn of(root: &Path, target: &str) -> RustFlags {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let config = CargoConfig::read(root, home.as_deref());
    let variable = |name: &str| env::var(name).ok();
    let (source, flags) = list(&variable, &config, target, || conditions(target));
    let mut flags = sift(&source, flags);
    flags.warnings.extend(config.unread.iter().map(|why| format!("{why}; its flags are ignored")));
    flags
}

/// Returns the one list of flags that cargo would take, with the name of its source.
fn list(
    variable: &dyn Fn(&str) -> Option<String>,
    config: &CargoConfig,
    target: &str,
    conditions: impl FnOnce() -> Vec<Cfg>,
) -> (String, Vec<String>) {
    if let Some(text) = variable("CARGO_ENCODED_RUSTFLAGS") {
        let flags = text.split('\x1f').filter(|_| !text.is_empty()).map(str::to_owned).collect();
        return ("CARGO_ENCODED_RUSTFLAGS".into(), flags);
    }
    if let Some(text) = variable("RUSTFLAGS") {
        return ("RUSTFLAGS".into(), words(&text));
    }
    let name = target.replace('-', "_").to_uppercase();
    let mut flags = config.rustflags(&["target", target]);
    flags.extend(words(&variable(&format!("CARGO_TARGET_{name}_RUSTFLAGS")).unwrap_or_default()));
    let expressions = config.expressions();
    if !expressions.is_empty() {
        let conditions = conditions();
        for key in expressions {
            if Platform::from_str(key).is_ok_and(|platform| platform.matches(target, &conditions)) {
                flags.extend(config.rustflags(&["target", key]));
            }
        }
    }
    if !flags.is_empty() {
        return (format!("target.{target}.rustflags"), flags);
    }
    let mut flags = config.rustflags(&["build"]);
    flags.extend(words(&variable("CARGO_BUILD_RUSTFLAGS").unwrap_or_default()));
    ("build.rustflags".into(), flags)
}

/// Returns the conditions that hold for guests built for `target`.
fn conditions(target: &str) -> Vec<Cfg> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let args = ["--print", "cfg", "--cfg", "lamprey", "--target", target];
    let output = Command::new(rustc).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect()
}

/// Leaves out the flags that would undo how guests are built.
fn sift(source: &str, flags: Vec<String>) -> RustFlags {
    let mut sifted = RustFlags::default();
    let mut flags = flags.into_iter();
    while let Some(flag) = flags.next() {
        let mut option = vec![flag];
        if VALUED.split(' ').any(|valued| valued == option[0]) {
            match flags.next() {
                Some(value) => option.push(value),
                // Otherwise our first flag would become its value.
                None => {
                    sifted.leave_out(source, &option[0], "its value is missing");
                    break;
                }
            }
        }
        if let Some((name, value)) = codegen(&option)
            && name == "target-feature"
        {
            let (name, value) = (name.to_owned(), value.to_owned());
            sifted.features(source, &name, &value);
        } else if let Some(reason) = undoes(&option) {
            sifted.leave_out(source, &option.join(" "), reason);
        } else {
            sifted.kept.append(&mut option);
        }
    }
    sifted
}

impl RustFlags {
    fn leave_out(&mut self, source: &str, flag: &str, reason: &str) {
        self.warnings.push(format!("{source}: `{flag}` is left out for guests: {reason}"));
    }

    /// Keeps the features that are turned off, and those that the model has.
    fn features(&mut self, source: &str, name: &str, value: &str) {
        let is_known = |feature: &str| ENUMERATED.contains(&feature);
        let is_kept = |feature: &&str| feature.strip_prefix('+').is_none_or(is_known);
        let (kept, others): (Vec<&str>, Vec<&str>) = value.split(',').partition(is_kept);
        if !kept.is_empty() {
            self.kept.push(format!("-C{name}={}", kept.join(",")));
        }
        if !others.is_empty() {
            let flag = format!("-C {name}={}", others.join(","));
            self.leave_out(source, &flag, "CPUID of the modelled processor does not enumerate it");
        }
    }
}

/// Returns name and value of a code-generation option; the value may be empty.
fn codegen(option: &[String]) -> Option<(&str, &str)> {
    let setting = match option {
        [option, value] if option == "-C" || option == "--codegen" => value,
        [flag] => flag.strip_prefix("--codegen=").or_else(|| flag.strip_prefix("-C"))?,
        _ => return None,
    };
    Some(setting.split_once('=').unwrap_or((setting, "")))
}

/// Returns the reason why guests are not built with `option`, if there is one.
fn undoes(option: &[String]) -> Option<&'static str> {
    const LINKED: &str = "guests are linked with Lamprey's linker script";
    const PLACED: &str = "guests are built for the topmost two GiB, without a red zone";
    const PROFILE: &str = "the profile `lamprey` sets it";
    const RUNTIME: &str = "a guest lacks the runtime library for it";
    if let Some((name, value)) = codegen(option) {
        // The compiler treats underscores as dashes.
        return match &*name.replace('_', "-") {
            "relocation-model" | "code-model" | "no-redzone" => Some(PLACED),
            "relro-level" | "prefer-dynamic" | "default-linker-libraries" | "rpath" => Some(LINKED),
            name if name.starts_with("link") => Some(LINKED),
            "panic" | "opt-level" | "debuginfo" | "strip" | "split-debuginfo"
            | "overflow-checks" => Some(PROFILE),
            "instrument-coverage" | "profile-generate" => Some(RUNTIME),
            "target-cpu" if !PROCESSORS.contains(&value) => {
                Some("CPUID of the modelled processor does not enumerate all of its features")
            }
            _ => None,
        };
    }
    match &*option[0] {
        // RustFlags of one letter may stand together, and one with a value may end the row.
        flag if flag.starts_with("-g") || flag.starts_with("-O") => Some(PROFILE),
        flag if flag.starts_with("-v") && flag.len() > 2 => Some("it is more than one flag"),
        "--" => Some("it ends the flags"),
        "--target" => Some("lamprey chooses the target; use its own flag --target NAME"),
        flag if flag.starts_with("--target=") => undoes(&["--target".into()]),
        flag if flag.starts_with('@') => Some("flags in a file are not examined"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TARGET: &str = "x86_64-unknown-linux-gnu";

    /// Returns the list from variables and a configuration file, with its source.
    fn listed(variables: &[(&str, &str)], config: &str) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join(".cargo")).expect("made");
        fs::write(folder.path().join(".cargo/config.toml"), config).expect("written");
        let config = CargoConfig::read(folder.path(), None);
        let variable = |name: &str| {
            let mut variables = variables.iter();
            variables.find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        let conditions = || ["unix", "lamprey"].map(|cfg| cfg.parse().expect("a cfg")).into();
        list(&variable, &config, TARGET, conditions)
    }

    #[test]
    fn one_list_counts_in_cargos_order() {
        let config = "build.rustflags = ['build']\n\
            [target.x86_64-unknown-linux-gnu]\nrustflags = 'a b'\n\
            [target.x86_64-unknown-none]\nrustflags = ['other']\n\
            [target.'cfg(windows)']\nrustflags = ['other']\n\
            [target.'cfg(unix)']\nrustflags = ['unix']\n\
            [target.'cfg(all(lamprey, not(windows)))']\nrustflags = ['checked']\n";
        let of_target = ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "env");
        let of_build = ("CARGO_BUILD_RUSTFLAGS", "more");
        let plain = ("RUSTFLAGS", " --cfg  mine ");
        let encoded = ("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1fa=\"b c\"");
        let all = [encoded, plain, of_target, of_build];
        let of = |from: usize, config: &str| listed(&all[from..], config);
        assert_eq!(of(0, config).1, ["--cfg", "a=\"b c\""]);
        assert_eq!(of(1, config), ("RUSTFLAGS".into(), vec!["--cfg".into(), "mine".into()]));
        assert_eq!(of(2, config).1, ["a", "b", "env", "checked", "unix"]);
        let (source, flags) = of(3, "build.rustflags = ['build']");
        assert_eq!((&*source, flags), ("build.rustflags", vec!["build".into(), "more".into()]));
        // A variable that is set but empty is a list, too.
        assert_eq!(listed(&[("RUSTFLAGS", "")], config).1, [""; 0]);
        assert_eq!(listed(&[("CARGO_ENCODED_RUSTFLAGS", ""), plain], config).1, [""; 0]);
        // An empty list of the target does not count.
        let empty = "build.rustflags = ['build']\ntarget.x86_64-unknown-linux-gnu.rustflags = []";
        assert_eq!(listed(&[], empty).1, ["build"]);
    }

    #[test]
    fn what_undoes_ours_is_left_out_and_named() {
        let flags: [&[&str]; 22] = [
            &["-Crelocation-model=pic"],
            &["-C", "relocation_model=pie"],
            &["--codegen", "code-model=small"],
            &["--codegen=no-redzone=no"],
            &["-Cpanic=unwind"],
            &["-C", "link-arg=-fuse-ld=mold"],
            &["-Clink-args=-T x.ld"],
            &["-Clinker=clang"],
            &["-Ctarget-cpu=native"],
            &["-Copt-level=0"],
            &["-O"],
            &["-g"],
            &["-gCopt-level=0"],
            &["-vCopt-level=0"],
            &["-Cdebuginfo=0"],
            &["-Cstrip=symbols"],
            &["-Cinstrument-coverage"],
            &["--target=x86_64-pc-windows-msvc"],
            &["--target", "x86_64-pc-windows-msvc"],
            &["@flags"],
            &["--"],
            &["-C"],
        ];
        for option in flags {
            let RustFlags { kept, warnings } =
                sift("RUSTFLAGS", option.iter().map(|&part| part.to_owned()).collect());
            assert_eq!(kept, [""; 0]);
            let begin = format!("RUSTFLAGS: `{}` is left out for guests: ", option.join(" "));
            assert!(matches!(&warnings[..], [one] if one.starts_with(&begin)), "{warnings:?}");
        }
    }

    #[test]
    fn what_undoes_nothing_is_kept_as_it_is() {
        let flags = "--cfg mine --check-cfg=cfg(mine) -C debug-assertions -Dwarnings -A -C \
            -Cforce-frame-pointers=yes -Ctarget-cpu=x86-64-v2 -L native=/x -Clto=off --cfg -g";
        let flags = words(flags);
        assert_eq!(sift("RUSTFLAGS", flags.clone()), RustFlags { kept: flags, warnings: vec![] });
    }

    #[test]
    fn of_features_those_are_kept_that_the_model_has() {
        let flags =
            words("-C target-feature=+sse4.2,-sse3,+avx2,+crt-static -Ctarget-feature=+avx");
        let RustFlags { kept, warnings } = sift("RUSTFLAGS", flags);
        assert_eq!(kept, ["-Ctarget-feature=+sse4.2,-sse3"]);
        let [first, second] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(first.contains("`-C target-feature=+avx2,+crt-static` is left out"), "{first}");
        assert!(second.contains("`-C target-feature=+avx` is left out"), "{second}");
    }
}
