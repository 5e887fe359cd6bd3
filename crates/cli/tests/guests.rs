//! End-to-end tests: guests are built and checked; results are printed, saved, replayed and shown.

mod tool;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tool::{folder, lamprey, run, shell};

const BUG: &str = "example::lost_update";
const RIGHT: &str = "example::spinlock";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns the folder in which guests are built, once for all tests and later runs.
fn builds() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests")
}

/// Returns the image of the first examples, and an image whose scenarios take long.
fn images() -> &'static [PathBuf; 2] {
    static IMAGES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        // Starts in a folder deep inside, from which the guests must be found, too.
        let folder = root().join("crates/cli/src");
        let list = run(lamprey(&folder).args(["list", "--json"]).env("CARGO_TARGET_DIR", builds()));
        assert_eq!(list.0, 0, "{}", list.2);
        let list: Vec<Value> = serde_json::from_str(&list.1).expect("JSON");
        let path_of = |prefix: &str| {
            let begins = |one: &&Value| one["name"].as_str().is_some_and(|n| n.starts_with(prefix));
            let one = list.iter().find(begins).expect(prefix);
            PathBuf::from(one["image"]["path"].as_str().expect("a path"))
        };
        [path_of("example::"), path_of("aspace_scenarios::")]
    })
}

/// Returns a folder with the examples' image as `guest`, so that results are saved separately for each test.
fn example() -> tempfile::TempDir {
    let folder = folder();
    fs::copy(&images()[0], folder.path().join("guest")).expect("copied");
    folder
}

fn check(folder: &Path, args: &[&str]) -> (i32, String, String) {
    run(lamprey(folder).args(["check", "--image", "guest"]).args(args))
}

/// Returns the text that follows `label` on its line.
fn labelled<'t>(text: &'t str, label: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in {text}")).trim()
}

#[test]
fn the_examples_have_the_declared_verdicts() {
    let folder = example();
    let (exit, out, err) = check(folder.path(), &["--format", "json"]);
    assert_eq!(exit, 0, "{err}");
    let outcomes: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect();
    for outcome in &outcomes {
        let expected = if outcome["finds"].is_null() { "pass" } else { "found" };
        assert_eq!(outcome["verdict"], expected, "{outcome:#}");
    }
    assert!(outcomes.iter().any(|outcome| outcome["name"] == BUG), "{out}");
}

#[test]
fn printed_commands_work_when_typed() {
    let folder = example();
    let (exit, told, err) = check(folder.path(), &[BUG]);
    assert_eq!(exit, 0, "{err}");
    assert!(told.starts_with(&format!("FOUND {BUG}")), "{told}");
    assert!(told.contains("CPU0") && told.contains("CPU1"), "{told}");
    let sh = |line: &str| run(&mut shell(folder.path(), line));

    let (exit, again, err) = sh(labelled(&told, "replay "));
    assert_eq!(exit, 0, "{err}");
    // Compares the columns, between the headline with its time and the commands.
    let columns = |text: &str| {
        let lines = text.lines().skip(1).take_while(|line| !line.starts_with("  replay"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(columns(&told), columns(&again));
    // Compares the bounds, too. A replay does not report the search.
    let bounds = |text: &str| text.split_once("      bounds ").expect("bounds").1.to_owned();
    assert_eq!(bounds(&told), bounds(&again));
    assert!(!again.contains("Summary") && !again.contains("shortest"), "{again}");
    let replay = ["replay", "-q", "--image", "guest", BUG];
    let (exit, line, err) = run(lamprey(folder.path()).args(replay));
    assert_eq!(exit, 0, "{err}");
    assert!(line.starts_with("FOUND ") && line.contains("switches  1"), "{line}");
    assert!(!line.contains("states") && !line.contains("marks"), "{line}");

    let replay = |name| run(lamprey(folder.path()).args(["replay", "--image", "guest", name]));
    let (exit, by_scenario, err) = replay(BUG);
    assert_eq!((exit, columns(&again)), (0, columns(&by_scenario)), "{err}");
    let (exit, _, err) = replay("seed::nothing");
    assert_eq!(exit, 2);
    assert!(err.contains("seed::nothing: neither a trail nor a scenario with a result"), "{err}");

    let (exit, mail, err) = sh(labelled(&again, "more "));
    assert_eq!(exit, 0, "{err}");
    assert!(mail.contains("CPU 0") && mail.lines().all(|line| line.len() <= 72), "{mail}");
}

#[test]
fn a_finding_is_shown_in_every_form_and_the_last_one_by_default() {
    let folder = example();
    check(folder.path(), &["-q"]);
    let show = |args: &[&str]| {
        let (exit, out, err) =
            run(lamprey(folder.path()).args(["show", "--image", "guest"]).args(args));
        assert_eq!((exit, &*err), (0, ""), "{args:?}");
        out
    };
    let columns = show(&[]);
    assert!(columns.starts_with("FOUND "), "{columns}");
    assert_eq!(columns, show(&["--columns"]));
    assert_eq!(show(&[BUG]), show(&["lost_update"]));
    assert_ne!(columns, show(&["--asm"]));
    let json: Value = serde_json::from_str(&show(&["--json", BUG])).expect("JSON");
    assert_eq!((&json["name"], &json["verdict"]), (&BUG.into(), &"found".into()));
}

#[test]
fn a_filter_that_selects_nothing_exits_with_4() {
    let folder = example();
    let (exit, out, err) = check(folder.path(), &["lost_updaet"]);
    assert_eq!((exit, &*out), (4, ""));
    assert!(err.contains(&format!("did you mean {BUG}?")), "{err}");
    assert_eq!(check(folder.path(), &["--bisect", "lost_updaet"]).0, 125);
}

#[test]
fn a_budget_that_is_used_up_exits_with_3() {
    let folder = example();
    let (exit, out, err) = check(folder.path(), &["--states", "2", RIGHT]);
    assert_eq!(exit, 3, "{err}");
    assert!(out.starts_with("UNDECIDED "), "{out}");
    assert_eq!(check(folder.path(), &["--states", "2", "--bisect", RIGHT]).0, 125);
}

#[test]
fn a_report_goes_to_a_file_and_its_text_to_the_terminal() {
    let folder = example();
    let (exit, out, err) = check(folder.path(), &["-o", "report", "--format", "json"]);
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("     Summary "), "{out}");
    let report = fs::read_to_string(folder.path().join("report")).expect("written");
    let names: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["name"].take())
        .collect();
    let list = run(lamprey(folder.path()).args(["list", "-q", "--image", "guest"])).1;
    assert_eq!(names, list.lines().map(Value::from).collect::<Vec<_>>());
}

#[test]
fn results_that_cannot_be_saved_change_no_verdict() {
    let folder = example();
    fs::write(folder.path().join("guest.lamprey"), "no folder").expect("written");
    let (exit, out, err) = check(folder.path(), &[]);
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("FOUND ") && !out.contains("  replay"), "{out}");
    assert_eq!(err.matches("results are not saved").count(), 1, "{err}");
}

#[test]
fn nothing_is_coloured_unless_requested() {
    let folder = example();
    assert!(!check(folder.path(), &[]).1.contains('\x1b'));
    assert!(check(folder.path(), &["--color", "always"]).1.contains('\x1b'));
}

#[test]
fn a_closed_standard_output_causes_no_panic() {
    let folder = example();
    let mut command = lamprey(folder.path());
    command.args(["check", "--image", "guest", "-j1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!err.contains("panic") && !err.contains("error"), "{err}");
}

#[test]
fn an_interruption_prints_and_saves_the_results_so_far() {
    let folder = folder();
    fs::copy(&images()[1], folder.path().join("guest")).expect("copied");
    let mut command = lamprey(folder.path());
    command.args(["check", "--image", "guest", "lam::two_lazy_kthreads"]);
    command.args(["--no-reduction", "--no-masking"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    assert!(first.contains("Checking 1 scenario"), "{first}");
    thread::sleep(Duration::from_millis(300));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("it runs").success());
    let mut out = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{out}");
    assert!(out.starts_with("UNDECIDED ") && out.contains("1 undecided"), "{out}");
    let kept = folder.path().join("guest.lamprey/last");
    assert_eq!(fs::read_dir(kept).expect("kept").count(), 1);
}

#[test]
fn a_new_crate_fails_passes_when_fixed_and_reports_a_failed_build() {
    let folder = folder();
    let made = folder.path().join("mine");
    let (exit, _, err) = run(lamprey(folder.path()).args(["new", "mine"]));
    assert_eq!(exit, 0, "{err}");
    let check = |command: &[&str]| {
        run(lamprey(&made).args(command).env("CARGO_TARGET_DIR", builds().join("new")))
    };
    let (exit, told, err) = check(&["check"]);
    assert_eq!(exit, 1, "{err}");
    assert!(told.starts_with("FAIL mine::last_reference"), "{told}");
    let trail = labelled(&told, "replay ").rsplit(' ').next().expect("a name").to_owned();
    assert_eq!(check(&["replay", &trail]).0, 1);

    let source = made.join("src/main.rs");
    let text = fs::read_to_string(&source).expect("made");
    let bug = "            let left = references.load(Relaxed) - 1;\n            \
               references.store(left, Relaxed);\n";
    assert!(text.contains(bug), "{text}");
    let mended = text.replace(bug, "").replace("// let left", "let left");
    fs::write(&source, &mended).expect("written");
    let (exit, told, err) = check(&["check"]);
    assert_eq!(exit, 0, "{told}{err}");
    assert!(told.starts_with("PASS "), "{told}");
    let (exit, told, err) = check(&["replay", &trail]);
    assert_eq!((exit, &*told), (2, ""), "{err}");
    assert!(err.contains("the image has changed since") && err.contains("step"), "{err}");

    fs::write(&source, "#![no_std]\n#![no_main]\nuse lamprey as _;\n").expect("written");
    let (exit, told, err) = check(&["check"]);
    assert_eq!((exit, &*told), (2, ""));
    let empty = "/mine: it has no scenario; write #[lamprey::scenario] before a function";
    assert!(err.contains(empty) && !err.contains("script"), "{err}");

    fs::write(&source, mended + "nonsense").expect("written");
    let (exit, told, err) = check(&["check"]);
    assert_eq!((exit, &*told), (2, ""));
    assert!(err.contains("mine/Cargo.toml: the guests do not build"), "{err}");
}

#[test]
fn two_workspaces_with_one_target_folder_are_checked_separately() {
    let folder = folder();
    let (exit, _, err) = run(lamprey(folder.path()).args(["new", "mine"]));
    assert_eq!(exit, 0, "{err}");
    // Imitates worktrees before and after a fix: the same names, and the same times.
    let copy = |to: &str| {
        let line = format!("mkdir {to} && cp -pr mine {to}/mine");
        assert_eq!(run(&mut shell(folder.path(), &line)).0, 0);
        folder.path().join(to).join("mine")
    };
    let (before, after) = (copy("before"), copy("after"));
    let source = after.join("src/main.rs");
    let text = fs::read_to_string(&source).expect("made");
    let bug = "            let left = references.load(Relaxed) - 1;\n            \
               references.store(left, Relaxed);\n";
    fs::write(&source, text.replace(bug, "").replace("// let left", "let left")).expect("written");
    let line = "touch -r before/mine/src/main.rs after/mine/src/main.rs";
    assert_eq!(run(&mut shell(folder.path(), line)).0, 0);

    let check = |of: &Path| {
        let shared = folder.path().join("shared");
        run(lamprey(of).args(["check", "-q"]).env("CARGO_TARGET_DIR", shared))
    };
    for _ in 0..2 {
        let (exit, told, err) = check(&before);
        assert_eq!(exit, 1, "{told}{err}");
        let (exit, told, err) = check(&after);
        assert_eq!(exit, 0, "{told}{err}");
    }
}

#[test]
fn an_image_that_would_use_up_the_memory_is_undecided_before_the_search() {
    let folder = example();
    let guest = folder.path().join("guest");
    let mut bytes = fs::read(&guest).expect("copied");
    let number = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize
    };
    // The last segment claims 256 MiB more, none of it in the file.
    let (table, count) = (number(&bytes, 32), usize::from(bytes[56]));
    let headers = (0..count).map(|header| table + header * 56);
    let loads = headers.filter(|at| bytes[*at..*at + 4] == 1u32.to_le_bytes());
    let last = loads.max_by_key(|at| number(&bytes, at + 16)).expect("a segment") + 40;
    let claimed = number(&bytes, last) + (256 << 20);
    bytes[last..last + 8].copy_from_slice(&claimed.to_le_bytes());
    fs::write(&guest, bytes).expect("written");

    let (exit, told, err) = check(folder.path(), &[BUG, "--memory", "512M"]);
    assert_eq!(exit, 3, "{told}{err}");
    // Lines may be broken anywhere.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("the budget of a scenario is 512 MiB"), "{told}");
    assert!(told.contains("give a larger --memory"), "{told}");
    let list = run(lamprey(folder.path()).args(["list", "--image", "guest"]));
    assert!(list.0 == 0 && list.1.contains(BUG), "{}", list.2);
}

#[test]
fn a_kernel_can_keep_its_panic_handler_and_report_panics() {
    let folder = folder();
    let (exit, _, err) = run(lamprey(folder.path()).args(["new", "mine"]));
    assert_eq!(exit, 0, "{err}");
    let mine = folder.path().join("mine");
    let manifest = fs::read_to_string(mine.join("Cargo.toml")).expect("made");
    let at = manifest.find("lamprey = { ").expect("depends on it") + "lamprey = { ".len();
    let (before, after) = manifest.split_at(at);
    let text = format!("{before}default-features = false, {after}");
    fs::write(mine.join("Cargo.toml"), text).expect("written");
    let source = "#![no_std]\n#![no_main]\n\
        #[panic_handler]\nfn own(info: &core::panic::PanicInfo) -> ! {\n\
            #[cfg(lamprey)]\n lamprey::panicked(info);\n\
            #[cfg(not(lamprey))]\n loop {}\n\
        }\n\
        /// Panics.\n#[lamprey::scenario]\nfn panics() {\n\
            lamprey::cpu(0, || panic!(\"it is here\"));\n\
        }\n";
    fs::write(mine.join("src/main.rs"), source).expect("written");
    let (exit, told, err) = run(lamprey(&mine).arg("check"));
    assert_eq!(exit, 1, "{told}{err}");
    assert!(told.contains("it is here"), "{told}");
    // The compiler knows both the flag and the condition that tests it.
    assert!(!err.contains("warning"), "{err}");

    // Cargo writes two executables of one name to the same file.
    let other = "mkdir ../two && mkdir ../two/a ../two/b && cp -r . ../two/a && cp -r . ../two/b && \
        cd ../two && sed -i '/^\\[workspace\\]/d; s/^name = .mine./name = \"other\"/' b/Cargo.toml && \
        sed -i '/^\\[workspace\\]/d' a/Cargo.toml && \
        printf '[[bin]]\\nname = \"mine\"\\npath = \"src/main.rs\"\\n' >> b/Cargo.toml && \
        printf '[workspace]\\nresolver = \"3\"\\nmembers = [\"a\", \"b\"]\\n' > Cargo.toml";
    let (exit, _, err) = run(&mut shell(&mine, other));
    assert_eq!(exit, 0, "{err}");
    let (exit, told, err) = run(lamprey(&folder.path().join("two")).arg("check"));
    assert_eq!((exit, &*told), (2, ""), "{err}");
    assert!(err.contains("two packages of the workspace have an executable of this name"), "{err}");
}

#[test]
fn bounds_describe_the_build_and_a_failed_build_names_missing_attributes() {
    let folder = folder();
    let (exit, _, err) = run(lamprey(folder.path()).args(["new", "mine"]));
    assert_eq!(exit, 0, "{err}");
    let mine = folder.path().join("mine");
    let manifest = fs::read_to_string(mine.join("Cargo.toml")).expect("made");
    let profile = "\n[profile.lamprey]\noverflow-checks = false\npanic = \"unwind\"\n\
                   [profile.lamprey.package.mine]\nopt-level = 2\n";
    fs::write(mine.join("Cargo.toml"), manifest + profile).expect("written");
    let from = root().join("crates/cli/tests/c_code");
    for file in ["build.rs", "c.c", "src/main.rs"] {
        fs::copy(from.join(file), mine.join(file)).expect("copied");
    }
    let check = || {
        let mut command = lamprey(&mine);
        run(command.arg("check").env("CARGO_TARGET_DIR", builds().join("built")))
    };
    let (exit, told, err) = check();
    assert_eq!(exit, 1, "{told}{err}");
    assert!(told.contains("c.c:3"), "{told}");
    // Lines may be broken anywhere.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let bound = "guest built for x86_64-unknown-linux-gnu at opt-level 3 without overflow checks (mine at \
                 opt-level 2), with c_code as a build script has it, in part by ";
    assert!(told.contains(bound), "{told}");
    // One access covers a part of the named object, the other all of it.
    assert!(told.contains("write 4 bytes at word = 7"), "{told}");
    assert!(told.contains("read word = 7"), "{told}");
    let warned = "Cargo.toml: panic = \"unwind\" of the profile `lamprey` is left out for guests: they are \
                  built with panic = \"abort\"";
    assert!(err.contains(warned), "{err}");

    fs::remove_file(mine.join("build.rs")).expect("there");
    let main = mine.join("src/main.rs");
    fs::write(&main, "fn main() {}\n").expect("written");
    let (exit, told, err) = check();
    assert_eq!((exit, &*told), (2, ""), "{err}");
    let lacks = "/main.rs: a guest needs `#![no_std]` and `#![no_main]`\n";
    assert!(err.contains(lacks) && err.contains("write `use lamprey as _;`"), "{err}");
}

#[test]
fn a_report_on_standard_output_does_not_replace_the_file_behind_it() {
    let folder = example();
    let line = format!(
        "echo before > all && {{ '{}' check --image guest -q -o /dev/stdout {RIGHT}; echo after; }} >> all",
        env!("CARGO_BIN_EXE_lamprey")
    );
    let (exit, _, err) = run(&mut shell(folder.path(), &line));
    assert_eq!(exit, 0, "{err}");
    let all = fs::read_to_string(folder.path().join("all")).expect("there");
    let words: Vec<&str> = all.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["before", "PASS", "PASS", "after"], "{all}");
    // The same holds if the shell has not opened the file to append.
    let (exit, _, err) = run(&mut shell(folder.path(), &line.replace(">> all", "> all")));
    assert_eq!(exit, 0, "{err}");
    let all = fs::read_to_string(folder.path().join("all")).expect("there");
    let words: Vec<&str> = all.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["PASS", "PASS", "after"], "{all}");
}

#[test]
fn a_trail_that_claims_another_property_causes_a_warning() {
    let folder = example();
    let (_, told, err) = check(folder.path(), &[BUG]);
    let name = labelled(&told, "replay ").rsplit(' ').next().expect(&err).to_owned();
    let kept = folder.path().join(format!("guest.lamprey/trails/{name}.trail"));
    let text = fs::read_to_string(kept).expect("kept");
    let edited = text.replace("property lost-update", "property foo");
    fs::write(folder.path().join("edited.trail"), edited).expect("written");
    let args = ["replay", "-v", "--image", "guest", "./edited.trail"];
    let (exit, told, err) = run(lamprey(folder.path()).args(args));
    assert_eq!(exit, 0, "{err}");
    let warned = "the trail claims to violate foo, but its run violates lost-update";
    assert!(err.contains(warned), "{err}");
    // Nothing is searched.
    assert!(told.contains(" instructions executed") && !told.contains("searched:"), "{told}");
}
