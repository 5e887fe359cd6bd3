//! `lamprey litmus`: files, folders, logs, formats and exit codes.

mod tool;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tool::{folder, lamprey, run};

const SB: &str = "X86_64 SB\n{ x=0; y=0; }\n P0 | P1 ;\n movq $1,(x) | movq $1,(y) ;\n \
    movq (y),%rax | movq (x),%rax ;\nexists (0:rax=0 /\\ 1:rax=0)\n";
const MP: &str = "X86_64 MP\n{ x=0; y=0; }\n P0 | P1 ;\n movq $1,(x) | movq (y),%rax ;\n \
    movq $1,(y) | movq (x),%rbx ;\nexists (1:rax=1 /\\ 1:rbx=0)\n";
const MP_STATES: &str = "(* States 3 tso sc\n   1:rax=0; 1:rbx=0;\n   1:rax=0; 1:rbx=1;\n   \
    1:rax=1; 1:rbx=1;\n*)\n";

/// Returns a folder with `SB.litmus` and, in a folder below, `MP.litmus` with its states.
fn tests() -> tempfile::TempDir {
    let folder = folder();
    write(folder.path(), "a/SB.litmus", SB);
    write(folder.path(), "a/b/MP.litmus", &format!("{MP}{MP_STATES}"));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

#[test]
fn the_projects_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for model in ["tso", "sc"] {
        let args = ["litmus", "tests/litmus", "--model", model, "-q"];
        let (exit, out, err) = run(lamprey(&root).args(args));
        assert_eq!((exit, &*err), (0, ""), "{model}");
        assert!(out.lines().count() >= 200, "{out}");
        assert!(out.lines().all(|line| line.starts_with("Observation ")), "{out}");
    }
}

#[test]
fn a_report_can_serve_as_a_log() {
    let folder = tests();
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "a"]));
    assert_eq!(exit, 0, "{err}");
    assert!(out.starts_with("Test SB Allowed\nStates 4\n"), "{out}");
    assert!(out.contains("\n\nTest MP Allowed\nStates 3\n"), "{out}");
    let told = "     Summary 2 tests under tso: 1 agree, 1 with nothing to compare with  [";
    assert!(err.starts_with(told), "{err}");
    write(folder.path(), "log", &out);
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "log"]));
    assert_eq!(exit, 0, "{err}");
    assert!(err.starts_with("     Summary 2 tests under tso: 2 agree  ["), "{err}");
    let args = ["litmus", "a", "--expect", "log", "--model", "sc"];
    let (exit, _, err) = run(lamprey(folder.path()).args(args));
    assert_eq!(exit, 1, "{err}");
    let told = "error: a/SB.litmus: SB: differs from log:1\n  \
        expected, but not reached  0:rax=0; 1:rax=0;\n";
    assert!(err.starts_with(told), "{err}");
}

#[test]
fn states_in_the_file_are_compared() {
    let folder = folder();
    let wrong = MP_STATES.replace("1:rax=0; 1:rbx=1;", "1:rax=1; 1:rbx=0;");
    write(folder.path(), "MP.litmus", &format!("{MP}{wrong}"));
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "MP.litmus"]));
    assert_eq!(exit, 1, "{out}");
    let told = "error: MP.litmus: MP: differs from the states in the file\n  \
        expected, but not reached  1:rax=1; 1:rbx=0;\n  \
        reached, but not expected  1:rax=0; 1:rbx=1;\n";
    assert!(err.starts_with(told), "{err}");
    assert!(err.contains("1 test under tso: 1 differ"), "{err}");
}

#[test]
fn a_result_in_the_file_is_compared() {
    let folder = folder();
    let file = |result: &str| {
        write(folder.path(), "MP.litmus", &format!("{MP}(*\n * Result: {result}\n *)\n"));
        run(lamprey(folder.path()).args(["litmus", "MP.litmus"]))
    };
    let (exit, _, err) = file("Never");
    assert_eq!(exit, 0, "{err}");
    assert!(err.contains("1 test under tso: 1 agree"), "{err}");
    let (exit, _, err) = file("Sometimes");
    assert_eq!(exit, 1, "{err}");
    let told = "error: MP.litmus: MP: differs from the result in the file\n  \
        the file says Sometimes, the model Never\n";
    assert!(err.starts_with(told), "{err}");
    // A result in the file is about processors with store buffers.
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "--model=sc", "MP.litmus"]));
    assert_eq!(exit, 0, "{err}");
    assert!(err.contains("1 test under sc: 1 with nothing to compare with"), "{err}");
}

#[test]
fn unmatched_tests_and_log_entries_are_reported() {
    let folder = tests();
    write(folder.path(), "log", "Observation SB Sometimes 1 3\nObservation LB Never 0 3\n");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "log"]));
    assert_eq!(exit, 0, "{err}");
    assert!(err.contains("warning: log: lists tests that were not run: LB\n"), "{err}");
    assert!(err.contains("warning: log: does not list tests that were run: MP\n"), "{err}");
    write(folder.path(), "other", "Observation LB Never 0 3\n");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "other"]));
    assert_eq!(exit, 4, "{err}");
    assert!(err.contains("error: other: lists none of the tests that were run\n"), "{err}");
    write(folder.path(), "no-log", "nothing\n");
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "no-log"]));
    assert_eq!((exit, &*out), (2, ""), "{err}");
    assert!(err.starts_with("error: no-log: line 1: this is not a log"), "{err}");
}

#[test]
fn an_invalid_file_exits_with_2_and_the_others_still_run() {
    let folder = tests();
    write(folder.path(), "a/A.litmus", &SB.replace("movq (y)", "movz (y)"));
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "a"]));
    assert_eq!(exit, 2, "{err}");
    let told = "error: a/A.litmus:5:2: the instruction `movz` is not supported\n  |\n\
        5 |  movz (y),%rax | movq (x),%rax ;\n  |  ^^^^\n";
    assert!(err.starts_with(told), "{err}");
    assert!(out.contains("Test SB") && out.contains("Test MP"), "{out}");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "missing.litmus"]));
    assert_eq!(exit, 2, "{err}");
    assert!(err.starts_with("error: missing.litmus: cannot be read: No such file"), "{err}");
    fs::create_dir(folder.path().join("empty")).expect("made");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "empty"]));
    assert_eq!(exit, 4, "{err}");
    let (exit, _, err) = run(lamprey(folder.path()).arg("litmus"));
    assert_eq!(exit, 2, "{err}");
}

#[test]
fn an_undecided_test_exits_with_3() {
    let folder = folder();
    let endless = "X86_64 endless\n{ }\n P0 ;\n L: jmp L ;\nexists (true)\n";
    write(folder.path(), "endless.litmus", endless);
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "endless.litmus"]));
    assert_eq!((exit, &*out), (3, ""));
    let told = "error: endless.litmus: endless: undecided: some runs never end\n";
    assert!(err.starts_with(told), "{err}");
}

#[test]
fn a_log_of_a_processor_is_a_subset() {
    let folder = tests();
    let log = "Test SB Allowed\nHistogram (1 states)\n100 :>0:rax=1; 1:rax=0;\nNo\n\
        Observation SB Never 0 100\nTest MP Allowed\nHistogram (1 states)\n\
        100 :>1:rax=0; 1:rbx=0;\nNo\nObservation MP Never 0 100\n";
    write(folder.path(), "hardware", log);
    let subset = ["litmus", "a", "--expect-subset", "hardware"];
    let (exit, _, err) = run(lamprey(folder.path()).args(subset));
    assert_eq!(exit, 0, "{err}");
    assert!(err.contains("2 agree"), "{err}");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "hardware"]));
    assert_eq!(exit, 1, "{err}");
    write(folder.path(), "hardware", &log.replace("1:rax=0; 1:rbx=0", "1:rax=1; 1:rbx=0"));
    let (exit, _, err) = run(lamprey(folder.path()).args(subset));
    assert_eq!(exit, 1, "{err}");
    let told = "a/b/MP.litmus: MP: differs from hardware:6\n  \
        expected, but not reached  1:rax=1; 1:rbx=0;\n";
    assert!(err.contains(told), "{err}");
    let both = subset.iter().chain(&["--expect", "hardware"]);
    let (exit, _, err) = run(lamprey(folder.path()).args(both));
    assert_eq!(exit, 2, "{err}");
}

#[test]
fn an_invalid_file_takes_precedence_over_a_log_of_other_tests() {
    let folder = tests();
    write(folder.path(), "log", "Observation LB Never 0 3\n");
    write(folder.path(), "a/A.litmus", "X86_64 A\n");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "a", "--expect", "log"]));
    assert_eq!(exit, 2, "{err}");
    assert!(err.contains("error: log: lists none of the tests that were run\n"), "{err}");
}

#[test]
fn files_that_are_not_text_or_not_regular_are_refused() {
    let folder = folder();
    fs::write(folder.path().join("bytes.litmus"), b"X86_64 t\n\xff\n").expect("written");
    let huge = " ".repeat((1 << 20) + 1);
    write(folder.path(), "huge.litmus", &huge);
    write(folder.path(), "none.litmus", "");
    for (name, told) in [
        ("bytes.litmus", "cannot be read: line 2 is not UTF-8 text"),
        ("huge.litmus", "cannot be read: it has more than 1 MiB"),
        ("none.litmus", "the file is empty; a test starts with `X86_64 NAME` or `X86 NAME`"),
        ("/dev/zero", "cannot be read: it is a character device, not a regular file"),
    ] {
        let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", name]));
        assert_eq!(exit, 2, "{err}");
        assert!(err.contains(told), "{err}");
    }
    write(folder.path(), "@one", "@two\n");
    write(folder.path(), "@two", "@one\n");
    let (exit, _, err) = run(lamprey(folder.path()).args(["litmus", "@one"]));
    assert_eq!(exit, 2, "{err}");
    assert!(err.contains("the index names itself, or an index that names it"), "{err}");
}

#[test]
fn an_index_names_its_tests() {
    let folder = tests();
    write(folder.path(), "@all", "# all\na/SB.litmus\n\na/b/MP.litmus # further down\n");
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "@all", "-q"]));
    assert_eq!((exit, &*err), (0, ""));
    assert_eq!(out, "Observation SB Sometimes 1 3\nObservation MP Never 0 3\n");
}

#[test]
fn an_object_has_all_keys_whatever_the_verdict() {
    let folder = tests();
    write(folder.path(), "a/A.litmus", "X86_64\n");
    let (exit, out, err) = run(lamprey(folder.path()).args(["litmus", "a", "--format", "json"]));
    assert_eq!(exit, 2, "{err}");
    let objects: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let verdicts: Vec<&Value> = objects.iter().map(|object| &object["verdict"]).collect();
    assert_eq!(verdicts, ["refused", "ran", "agrees"]);
    let keys = |object: &Value| {
        object.as_object().expect("an object").keys().cloned().collect::<Vec<String>>()
    };
    assert!(objects.iter().all(|object| keys(object) == keys(&objects[0])), "{out}");
    assert_eq!(objects[1]["name"], "SB");
    assert_eq!(objects[1]["observation"], "Sometimes");
    assert_eq!(objects[1]["states"][0]["0:rax"], "0");
    assert_eq!(objects[2]["missing"].as_array().map(Vec::len), Some(0));
    assert!(objects[0]["reason"].as_str().is_some_and(|why| why.contains("has no name")));
}

#[test]
fn results_are_in_order_however_many_tests_run_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let with =
        |jobs| run(lamprey(&root).args(["litmus", "tests/litmus/coherence", "-q", "-j", jobs])).1;
    assert_eq!(with("1"), with("8"));
}
