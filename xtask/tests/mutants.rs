//! The files of `tests/mutants` fit the tree, without a build of what they break.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_text_of_each_stands_in_its_file_once() {
    let mut number = 0;
    for folder in ["aspace", "explore", "machine"] {
        for entry in fs::read_dir(root().join("tests/mutants").join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a file");
            let (_, rest) = text.split_once("file: ").expect("`file: `");
            let (file, rest) = rest.split_once('\n').expect("a path");
            let (from, to) = rest.split_once("=====\n").expect("`=====`");
            let whole = fs::read_to_string(root().join(file)).expect("the file to break");
            assert_eq!(whole.matches(from).count(), 1, "{}: its text in {file}", path.display());
            assert_ne!(from, to, "{}", path.display());
            number += 1;
        }
    }
    assert!(number > 100, "only {number} are found");
}

#[test]
fn those_that_the_oracle_is_said_to_notice_exist() {
    let list = fs::read_to_string(root().join("tests/mutants/oracle.txt")).expect("the list");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut last = "";
    for line in lines {
        let (name, what) = line.split_once(' ').expect("a name and what is said of it");
        let file = root().join("tests/mutants").join(format!("{name}.mutant"));
        assert!(file.exists(), "{name} is no mutant");
        let class = oracle::Class::ALL.iter().any(|class| class.name() == what);
        assert!(class || what.starts_with("- "), "{name}: {what} is no class and no reason");
        assert!(last < name, "{name} comes after {last}");
        last = name;
    }
}
