//! What is wrong with the tests in `tests/litmus-errors`, and where: `NAME.txt` beside each.
//!
//! `BLESS=1 cargo test -p litmus --test errors` writes what is said now.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use litmus::parse;

#[test]
fn errors_say_what_and_where() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/litmus-errors");
    let entries = fs::read_dir(folder).expect("a folder of tests");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_test = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "litmus");
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in paths.filter(is_test) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("readable");
        let said = match parse(&name, &text) {
            Ok(_) => panic!("{name}: nothing is wrong with it"),
            Err(error) => format!("{error}\n"),
        };
        let file = path.with_extension("txt");
        if env::var_os("BLESS").is_some() {
            fs::write(&file, &said).expect("written");
        } else if fs::read_to_string(&file).unwrap_or_default() != said {
            wrong.push(format!("{name}: {said}"));
        }
        count += 1;
    }
    assert!(count >= 30, "only {count} tests");
    assert!(wrong.is_empty(), "BLESS=1 writes what is said now\n{}", wrong.join("\n"));
}
