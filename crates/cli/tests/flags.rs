//! Tests that need no guest: flags, pages, wrong files, `new`.

mod tool;

use std::env;
use std::fs;
use std::path::Path;

use tool::{cargo_lamprey, folder, lamprey, run, shell};

#[test]
fn wrong_flags_exit_with_2_and_under_bisect_with_125() {
    let folder = folder();
    let cases: [(&[&str], i32, &str); 16] = [
        (&["--nonsense"], 2, "unexpected argument '--nonsense'"),
        (&["check", "--time", "soon"], 2, "write a duration as 60s"),
        (&["check", "--memory", "much"], 2, "write a size as 4G"),
        (&["check", "--memory", "1K"], 2, "searches need at least 16M"),
        (&["check", "--states", "0"], 2, "at least 1 is needed: 0"),
        (&["check", "-j", "0"], 2, "0 is not in 1..="),
        (&["check", "--width", "3"], 2, "3 is not in 40..="),
        (&["check", "--model", "weak"], 2, "invalid value 'weak'"),
        (&["check", "--image", "a", "--manifest-path", "b"], 2, "give one of them, not both"),
        (&["check", "--image", "a", "--manifest-path", "b"], 2, "Usage: lamprey check"),
        (&["list", "--image", "a", "--target", "x86_64-unknown-none"], 2, "--target is for guests"),
        (&["show", "--image", "a", "--image", "a"], 2, "--image a: it is given twice"),
        (&["litmus", "x", "-q", "-v"], 2, "--quiet and --verbose: give one of them"),
        (&["run", "x", "--limit", "0"], 2, "at least 1 is needed: 0"),
        (&["check", "--bisect", "--nonsense"], 125, "unexpected argument"),
        (&["check", "--bisect", "--model", "weak"], 125, "invalid value"),
    ];
    for (args, code, words) in cases {
        let (exit, out, err) = run(lamprey(folder.path()).args(args));
        assert_eq!((exit, &*out), (code, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

#[test]
fn a_variable_sets_a_flag_and_a_typed_flag_wins() {
    let folder = folder();
    let (exit, _, err) = run(lamprey(folder.path()).arg("check").env("LAMPREY_TIME", "soon"));
    assert_eq!(exit, 2);
    assert!(err.contains("--time"), "{err}");
    let (_, _, err) = run(lamprey(folder.path())
        .args(["check", "--image", "no-such-image"])
        .env("LAMPREY_MANIFEST_PATH", "no-such-manifest"));
    assert!(err.contains("no-such-image") && !err.contains("no-such-manifest"), "{err}");
    let (_, _, err) = run(lamprey(folder.path())
        .args(["check", "--manifest-path", "no-such-manifest"])
        .env("LAMPREY_IMAGE", "no-such-image"));
    assert!(err.contains("no-such-manifest: no such manifest"), "{err}");
    let (exit, _, err) = run(lamprey(folder.path()).args(["check", "--manifest-path", "."]));
    assert_eq!((exit, &*err), (2, "error: .: it is a folder; name the Cargo.toml in it\n"));
}

#[test]
fn a_folder_without_scenarios_is_reported_with_advice() {
    let folder = folder();
    for command in ["check", "list", "show"] {
        let (exit, out, err) = run(lamprey(folder.path()).arg(command));
        assert_eq!((exit, &*out), (2, ""));
        assert!(err.starts_with("error: no scenarios here: "), "{err}");
        assert!(err.contains("lamprey new NAME"), "{err}");
    }
    let (exit, ..) = run(lamprey(folder.path()).args(["check", "--bisect"]));
    assert_eq!(exit, 125);
}

#[test]
fn a_manifest_without_guests_is_refused_before_it_is_built() {
    let folder = folder();
    let manifest = "[package]\nname = \"host\"\nedition = \"2024\"\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
    fs::create_dir(folder.path().join("src")).expect("made");
    fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").expect("written");
    for command in ["check", "list"] {
        let args = [command, "--manifest-path", "Cargo.toml"];
        let (exit, out, err) = run(lamprey(folder.path()).args(args));
        assert_eq!((exit, &*out), (2, ""), "{command}: {err}");
        let told = "error: Cargo.toml: no package there depends on `lamprey`";
        assert!(err.starts_with(told) && err.contains("lamprey new NAME"), "{command}: {err}");
        assert!(!folder.path().join("target").exists(), "{command} builds nothing");
    }
}

#[test]
fn a_file_that_is_not_an_image_exits_with_2_and_is_named() {
    let folder = folder();
    fs::write(folder.path().join("text"), "no image").expect("written");
    fs::write(folder.path().join("stump"), b"\x7fELF\x02\x01\x01").expect("written");
    for image in ["missing", "text", "."] {
        let (exit, out, err) = run(lamprey(folder.path()).args(["check", "--image", image]));
        assert_eq!((exit, &*out), (2, ""), "{image}: {err}");
        assert!(err.starts_with("error: ") && err.contains(image), "{image}: {err}");
    }
}

#[test]
fn irregular_and_huge_files_are_refused_before_they_are_read() {
    let folder = folder();
    // No process writes to the FIFO, and the large file is sparse.
    let made = run(&mut shell(folder.path(), "mkfifo fifo fifo.litmus && truncate -s 1T large"));
    assert_eq!(made.0, 0, "{}", made.2);
    fs::write(folder.path().join("test.litmus"), "X86_64 a\n{}\n P0 ;\n nop ;\nexists (x=0)\n")
        .expect("written");
    let commands = [
        "check --image FILE",
        "list --image FILE",
        "run FILE",
        "replay --image x ./FILE",
        "litmus ./FILE",
        "litmus test.litmus --expect ./FILE",
    ];
    for (file, why) in [
        ("fifo", "it is a FIFO, not a regular file; copy what it gives to a file, and name that"),
        ("large", " MiB, which nothing of its kind has; check the path"),
    ] {
        for command in commands {
            let args: Vec<String> =
                command.split(' ').map(|word| word.replace("FILE", file)).collect();
            let (exit, out, err) = run(lamprey(folder.path()).args(args));
            assert_eq!((exit, &*out), (2, ""), "{command}: {err}");
            assert!(err.contains(&format!("{file}: ")) && err.contains(why), "{command}: {err}");
        }
    }
    // Tests such a file as one of several in a folder, and as a saved result.
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "."]));
    assert!(exit == 2 && err.contains("fifo.litmus: "), "{err}");
    let line = "mkdir -p x.lamprey/trails && mkfifo x.lamprey/trails/a-1.json";
    assert_eq!(run(&mut shell(folder.path(), line)).0, 0);
    let (exit, _, err) = run(lamprey(folder.path()).args(["show", "--image", "x", "a-1"]));
    assert_eq!(exit, 2, "{err}");
}

#[test]
fn an_unwritable_report_is_an_error_before_the_work_starts() {
    let folder = folder();
    let args = ["check", "-o", "no/such/folder/report", "--image", "missing"];
    let (exit, out, err) = run(lamprey(folder.path()).args(args));
    assert_eq!((exit, &*out), (2, ""));
    let told = "error: no/such/folder/report: the report cannot be written: No such file";
    assert!(err.starts_with(told), "{err}");
}

#[test]
fn unsaved_results_cannot_be_shown_or_replayed() {
    let folder = folder();
    fs::write(folder.path().join("text"), "no trail").expect("written");
    let show = |args: &[&str]| run(lamprey(folder.path()).args(args));
    let (exit, _, err) = show(&["show", "--image", "text"]);
    assert_eq!(exit, 2);
    assert!(err.contains("no finding is saved in text.lamprey"), "{err}");
    let (exit, _, err) = show(&["show", "--image", "text", "x-1"]);
    assert_eq!(exit, 2);
    assert!(err.contains("x-1: neither a trail nor a scenario with a result"), "{err}");
    let (exit, _, err) = show(&["replay", "--image", "text", "x/y.trail"]);
    assert_eq!(exit, 2);
    assert!(err.contains("x/y.trail: cannot be read"), "{err}");
    let (exit, _, err) = show(&["replay", "--image", "text", "./text"]);
    assert_eq!(exit, 2);
    assert!(err.contains("./text: not a trail: its first line is not `lamprey-trail 1`"), "{err}");
    let trail = "lamprey-trail 1\nscenario a::b\nimage a 0123456789abcdef\ncpu 0\n";
    fs::write(folder.path().join("a.trail"), trail).expect("written");
    for (name, words) in [
        ("./a.trail", "./a.trail: no result is saved for this trail; `lamprey replay ./a.trail`"),
        ("./text", "./text: not a trail: its first line is not"),
        ("/tmp", "/tmp: cannot be read: it is a folder; name a file in it"),
        ("/dev/zero", "/dev/zero: cannot be read: it is a character device"),
        ("./missing", "./missing: cannot be read: No such file"),
    ] {
        let (exit, out, err) = show(&["show", "--image", "text", name]);
        assert_eq!((exit, &*out), (2, ""), "{name}: {err}");
        assert!(err.starts_with(&format!("error: {words}")), "{name}: {err}");
    }
}

#[test]
fn new_refuses_existing_folders_and_invalid_names() {
    let folder = folder();
    let (exit, out, err) = run(cargo_lamprey(folder.path()).args(["new", "mine"]));
    assert_eq!((exit, &*out), (0, "cd mine && cargo lamprey check\n"), "{err}");
    let before = fs::read_to_string(folder.path().join("mine/src/main.rs")).expect("made");
    let cases = [
        ("mine", "already exists"),
        ("2x", "is not a valid crate name"),
        ("fn", "is not a valid crate name"),
        ("..", "is not a valid crate name"),
    ];
    for (name, words) in cases {
        let (exit, out, err) = run(lamprey(folder.path()).args(["new", name]));
        assert_eq!((exit, &*out), (2, ""), "{name}: {err}");
        assert!(err.contains(words), "{name}: {err}");
    }
    let after = fs::read_to_string(folder.path().join("mine/src/main.rs")).expect("made");
    assert_eq!(before, after);
    let (exit, _, err) = run(lamprey(folder.path()).args(["new", "other", "--guest", "nowhere"]));
    assert_eq!(exit, 2);
    assert!(err.contains("nowhere: no guest library there"), "{err}");
    assert!(!folder.path().join("other").exists());
}

/// Compares the pages with files that `cargo xtask bless pages` writes.
#[test]
fn pages_match_their_files() {
    let folder = folder();
    let mut wrong = Vec::new();
    for page in ["exit-codes", "formats", "model"] {
        let (exit, out, err) = run(lamprey(folder.path()).args(["help", page]));
        assert_eq!((exit, &*err), (0, ""), "{page}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/pages/{page}.txt"));
        wrong.extend(snapshot::difference(&file, &out));
    }
    snapshot::assert_none(&wrong, "pages");
}

#[test]
fn completions_contain_every_command_and_flag() {
    let folder = folder();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (exit, script, err) = run(lamprey(folder.path()).args(["completions", shell]));
        assert_eq!((exit, &*err), (0, ""), "{shell}");
        for word in ["check", "litmus", "completions", "no-reduction"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // The other two shells complete no values.
        let has_values = matches!(shell, "bash" | "fish" | "zsh");
        assert_eq!(script.contains("adversarial"), has_values, "{shell}");
    }
    let (exit, _, err) = run(lamprey(folder.path()).args(["completions", "cmd"]));
    assert_eq!(exit, 2);
    assert!(err.contains("possible values: bash, elvish, fish, powershell, zsh"), "{err}");
}

#[test]
fn help_exists_for_both_names_and_for_commands() {
    let folder = folder();
    let (exit, out, _) = run(cargo_lamprey(folder.path()).args(["check", "--help"]));
    assert_eq!(exit, 0);
    assert!(out.contains("Usage: cargo lamprey check"), "{out}");
    let (exit, out, _) = run(lamprey(folder.path()).args(["help", "check"]));
    assert_eq!(exit, 0);
    assert!(out.contains("Usage: lamprey check"), "{out}");
    let (exit, _, err) = run(lamprey(folder.path()).args(["help", "nonsense"]));
    assert_eq!(exit, 2);
    assert!(err.contains("no help on `nonsense`"), "{err}");
}
