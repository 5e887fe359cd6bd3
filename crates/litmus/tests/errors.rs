//! Errors about the tests in `tests/litmus-errors`, compared with `NAME.txt` beside each.
//!
//! `cargo xtask bless litmus-errors` writes the present errors.

use std::fs;
use std::path::{Path, PathBuf};

use litmus::parse;

#[test]
fn errors_have_a_message_and_a_position() {
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
            Ok(_) => panic!("{name}: it has no error"),
            Err(error) => format!("{error}\n"),
        };
        let file = path.with_extension("txt");
        wrong.extend(snapshot::difference(&file, &said));
        count += 1;
    }
    assert!(count >= 30, "only {count} tests");
    snapshot::assert_none(&wrong, "litmus-errors");
}
