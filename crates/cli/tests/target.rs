//! Builds of guests: the target, conditions on it, and the user's flags.

mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tool::{folder, lamprey, run};

const BEGIN: &str = "#![no_std]\n#![no_main]\n";

/// Creates a guest `mine` with a dependency `kern`, with these sources.
fn guest(folder: &Path, main: &str, kern: &str) -> PathBuf {
    let (exit, _, err) = run(lamprey(folder).args(["new", "mine"]));
    assert_eq!(exit, 0, "{err}");
    let mine = folder.join("mine");
    let manifest = fs::read_to_string(mine.join("Cargo.toml")).expect("made");
    let manifest = manifest
        .replace("[dependencies]\n", "[dependencies]\nkern = { path = \"../a kernel's\" }\n");
    fs::write(mine.join("Cargo.toml"), manifest).expect("written");
    fs::write(mine.join("src/main.rs"), format!("{BEGIN}{main}")).expect("written");
    let kernel = folder.join("a kernel's");
    fs::create_dir_all(kernel.join("src")).expect("made");
    let manifest = "[package]\nname = \"kern\"\nversion = \"0.2.0\"\nedition = \"2024\"\n";
    fs::write(kernel.join("Cargo.toml"), manifest).expect("written");
    fs::write(
        kernel.join("src/lib.rs"),
        "#![no_std]\n#![allow(unexpected_cfgs)]\nmod part;\npub use part::flag;\n",
    )
    .expect("written");
    fs::write(kernel.join("src/part.rs"), kern).expect("written");
    mine
}

/// A scenario that fails if `kern::flag` is set.
const SAYS_FLAG: &str = "/// Tests the flag.\n#[lamprey::scenario]\nfn says() {\n    \
    lamprey::cpu(0, || {\n        \
    lamprey::require!(!kern::flag(), \"flag\", \"the flag is set\");\n        \
    lamprey::mark!(\"asked\");\n    \
    });\n}\n";

fn check(of: &Path) -> Command {
    let mut command = lamprey(of);
    command.arg("check");
    command
}

#[test]
fn packages_that_test_the_operating_system_are_named_each_time() {
    let folder = folder();
    let kern = "// cfg(target_os = \"linux\")\npub fn flag() -> bool {\n    \
        cfg!(target_os = \"none\")\n}\n";
    let mine = guest(folder.path(), SAYS_FLAG, kern);
    // The second time nothing is compiled.
    for _ in 0..2 {
        let (exit, told, err) = run(&mut check(&mine));
        assert_eq!(exit, 0, "{told}{err}");
        let part = "a kernel's/src/part.rs:3\n";
        let tests = "\n  kern 0.2.0 tests `target_os = \"none\"`: ";
        assert_eq!(
            err.matches("warning: guests are built for x86_64-unknown-linux-gnu").count(),
            1,
            "{err}"
        );
        assert_eq!(err.matches("  kern 0.2.0 tests `").count(), 1, "{err}");
        assert!(err.contains(tests) && err.contains(part), "{err}");
    }
    // A condition in a comment, or in the guest library, does not count.
    let silent = "// cfg(target_os = \"none\")\npub fn flag() -> bool { false }\n";
    fs::write(folder.path().join("a kernel's/src/part.rs"), silent).expect("written");
    let (exit, told, err) = run(&mut check(&mine));
    assert_eq!(exit, 0, "{told}{err}");
    assert!(!err.contains("warning"), "{err}");
    // Conditions in the guest's own source and in a build script count.
    let main = format!("{SAYS_FLAG}#[cfg(unix)]\nconst _: () = ();\n");
    fs::write(mine.join("src/main.rs"), format!("{BEGIN}{main}")).expect("written");
    let script = "fn main() { let _ = std::env::var(\"CARGO_CFG_TARGET_OS\"); }\n";
    fs::write(folder.path().join("a kernel's/build.rs"), script).expect("written");
    let (exit, told, err) = run(&mut check(&mine));
    assert_eq!(exit, 0, "{told}{err}");
    assert!(err.contains("  kern 0.2.0 tests `CARGO_CFG_TARGET_OS`: "), "{err}");
    assert!(err.contains("  mine 0.1.0 tests `unix`: ") && err.contains("main.rs:11"), "{err}");
}

#[test]
fn the_users_flags_apply_except_those_that_would_undo_ours() {
    let folder = folder();
    let kern = "pub fn flag() -> bool {\n    cfg!(mine)\n}\n";
    let mine = guest(folder.path(), SAYS_FLAG, kern);
    let warned = |err: &str| err.lines().filter(|line| line.contains(" is left out ")).count();
    let (exit, told, err) = run(&mut check(&mine));
    assert_eq!(exit, 0, "{told}{err}");

    let (exit, told, err) = run(check(&mine).env("RUSTFLAGS", "--cfg mine"));
    assert_eq!((exit, warned(&err)), (1, 0), "{told}{err}");
    assert!(told.contains("the flag is set"), "{told}");
    let flags = "-C relocation-model=pic --cfg mine -Clink-arg=-no-such -C";
    let (exit, told, err) = run(check(&mine).env("RUSTFLAGS", flags));
    assert_eq!((exit, warned(&err)), (1, 3), "{told}{err}");
    let first = "warning: RUSTFLAGS: `-C relocation-model=pic` is left out for guests: ";
    assert!(err.contains(first) && err.contains("`-Clink-arg=-no-such`"), "{err}");

    // Configuration files are found from the workspace upwards, wherever lamprey is called.
    fs::create_dir(mine.join(".cargo")).expect("made");
    let config = "[target.'cfg(lamprey)']\nrustflags = [\"--cfg\", \"mine\"]\n";
    fs::write(mine.join(".cargo/config.toml"), config).expect("written");
    let manifest = ["--manifest-path", "mine/Cargo.toml"];
    let (exit, told, err) = run(check(folder.path()).args(manifest).env_remove("RUSTFLAGS"));
    assert_eq!((exit, warned(&err)), (1, 0), "{told}{err}");
    // An empty list counts, too.
    let (exit, told, err) = run(check(&mine).env("RUSTFLAGS", ""));
    assert_eq!((exit, warned(&err)), (0, 0), "{told}{err}");
}
