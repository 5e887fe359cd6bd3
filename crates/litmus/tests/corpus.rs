//! The tests in `tests/litmus`: the final states that they list are those that the oracle allows,
//! and those that the machine reaches.
//!
//! `cargo xtask bless litmus` writes the states into the files. They come from the
//! oracle, never from the machine.

mod oracle;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use litmus::{Expected, FinalState, LitmusModel, Report, Test, parse};

/// Published results of some tests: SDM vol. 3 §8.2.3 (the examples), Owens, Sarkar, Sewell, TPHOLs
/// 2009, and Sewell et al., CACM 53(7), 2010 (n4b to n7, amd3, SB, IRIW and the like), and for cycles
/// the rule that x86-TSO can only delay a store past a later load without a fence between them.
const PUBLISHED: [(&str, &str); 47] = [
    ("example-8-1", "Never"),
    ("example-8-2", "Never"),
    ("example-8-3", "Sometimes"),
    ("example-8-4", "Always"),
    ("example-8-5", "Sometimes"),
    ("example-8-6", "Never"),
    ("example-8-7", "Never"),
    ("example-8-8", "Never"),
    ("example-8-9", "Never"),
    ("example-8-10", "Never"),
    ("n4b", "Never"),
    ("n5", "Never"),
    ("n6", "Sometimes"),
    ("n7", "Sometimes"),
    ("amd3", "Sometimes"),
    ("amd10", "Never"),
    ("SB+po+po", "Sometimes"),
    ("SB+po+mfence", "Sometimes"),
    ("SB+mfence+mfence", "Never"),
    ("SB+xchg+xchg", "Never"),
    ("SB+sfence+sfence", "Sometimes"),
    ("SB+lfence+lfence", "Sometimes"),
    ("MP+po+po", "Never"),
    ("LB+po+po", "Never"),
    ("S+po+po", "Never"),
    ("R+po+po", "Sometimes"),
    ("R+mfence+po", "Sometimes"),
    ("R+po+mfence", "Never"),
    ("2+2W+po+po", "Never"),
    ("WRC+po+po", "Never"),
    ("RWC+po+po", "Sometimes"),
    ("RWC+po+mfence", "Never"),
    ("WWC+po+po", "Never"),
    ("IRIW+po+po", "Never"),
    ("ISA2+po+po+po", "Never"),
    ("Z6.0+po+po+po", "Sometimes"),
    ("Z6.3+po+po+po", "Never"),
    ("Z6.4+mfence+mfence+mfence", "Never"),
    ("W+RWC+po+po+po", "Sometimes"),
    ("W+RWC+po+po+mfence", "Never"),
    ("3.SB+po+po+po", "Sometimes"),
    ("3.SB+mfence+mfence+mfence", "Never"),
    ("4.LB+po+po+po+po", "Never"),
    ("CoRR", "Never"),
    ("CoWW", "Never"),
    ("CoRW1", "Never"),
    ("CoWR0", "Never"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of tests");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "litmus") {
            found.push(path);
        }
    }
}

fn corpus() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/litmus"), &mut found);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        (path, text)
    };
    found.into_iter().map(read).collect()
}

fn read(path: &Path, text: &str) -> Test {
    parse(&path.display().to_string(), text).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the comments that a file should have.
fn comments(test: &Test) -> String {
    let states = |model| oracle::outcomes(test, model).into_iter().collect::<Vec<FinalState>>();
    let (tso, sc) = (states(LitmusModel::Tso), states(LitmusModel::Sc));
    let comment = |models: &str, states: &[FinalState]| {
        let mut text = format!("(* States {} {models}\n", states.len());
        for line in test.lines(states) {
            writeln!(text, "   {line}").expect("a text");
        }
        text + "*)\n"
    };
    match tso == sc {
        true => comment("tso sc", &tso),
        false => comment("tso", &tso) + &comment("sc", &sc),
    }
}

#[test]
fn files_list_the_states_that_the_oracle_allows() {
    let mut wrong = Vec::new();
    let corpus = corpus();
    assert!(corpus.len() >= 200, "only {} tests", corpus.len());
    for (path, text) in &corpus {
        let body = text.split("(* States ").next().expect("there is a first part").trim_end();
        let test = read(path, body);
        let blessed = format!("{body}\n{}", comments(&test));
        wrong.extend(snapshot::difference(path, &blessed));
    }
    snapshot::assert_none(&wrong, "litmus");
}

#[test]
fn the_machine_ends_in_the_states_that_files_list() {
    for (path, text) in corpus() {
        let test = read(&path, &text);
        let models = test.expected.iter().flat_map(|expected| &expected.models).count();
        assert_eq!(models, 2, "{}: under both models", path.display());
        for Expected { models, states } in &test.expected {
            for model in models {
                let found = litmus::run(&test, *model, &litmus::SearchBudget::default(), &|| false);
                let found = found.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
                let (lines, expected) = (test.lines(&found.states), test.lines(states));
                assert_eq!(lines, expected, "{} under {}", path.display(), model.name());
            }
        }
    }
}

#[test]
fn files_agree_with_published_results() {
    let mut observed = BTreeMap::new();
    for (path, text) in corpus() {
        let test = read(&path, &text);
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(&*test.name));
        let mut expected = test.expected.iter();
        let tso =
            expected.find(|expected| expected.models.contains(&LitmusModel::Tso)).expect("states");
        let observation = Report::new(&test, &tso.states).observation();
        let before = observed.insert(test.name.clone(), observation);
        assert_eq!(before, None, "two tests are named {}", test.name);
    }
    for (name, observation) in PUBLISHED {
        assert_eq!(observed.get(name), Some(&observation), "{name}");
    }
}

#[test]
fn the_oracle_distinguishes_the_models() {
    let corpus = corpus();
    let (path, text) =
        corpus.iter().find(|(path, _)| path.ends_with("two-threads/SB+po+po.litmus")).expect("SB");
    let test = read(path, text);
    let both_zero = vec![0, 0];
    assert!(oracle::outcomes(&test, LitmusModel::Tso).contains(&both_zero));
    assert!(!oracle::outcomes(&test, LitmusModel::Sc).contains(&both_zero));
}
