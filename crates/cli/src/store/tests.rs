use outcome::{Details, Finding, Verdict};

use super::*;

fn outcome(scenario: &str, finds_something: bool) -> Outcome {
    let finding = Finding {
        property: "p".into(),
        details: Details::Endless,
        since: None,
        write: None,
        cpu: None,
        place: None,
        switches: 1,
        steps: 2,
        shortest: true,
        events: Vec::new(),
        folded: 0,
    };
    Outcome {
        scenario: scenario.into(),
        about: String::new(),
        verdict: if finds_something { Verdict::Fail } else { Verdict::Pass },
        finds: None,
        bounds: None,
        warnings: Vec::new(),
        cpus: 2,
        stats: Default::default(),
        marks: Vec::new(),
        finding: finds_something.then_some(finding),
        reason: None,
        image: Default::default(),
    }
}

fn store() -> (tempfile::TempDir, ResultStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ResultStore::new(folder.path().join("lamprey"));
    (folder, store)
}

#[test]
fn a_result_is_found_by_trail_by_path_and_by_scenario() {
    let (_folder, store) = store();
    store.save(&outcome("a::b", true), Some(("a.b-12ab", "the trail\n"))).expect("kept");
    let (path, text) = store.find_trail("a.b-12ab").expect("there");
    assert_eq!(text, "the trail\n");
    assert_eq!(store.find_trail("a.b-12ab.trail").expect("there").1, text);
    assert_eq!(store.name_of(&path).as_deref(), Some("a.b-12ab"));
    assert_eq!(store.name_of(Path::new("/etc/a.b-12ab.trail")), None);
    let path = path.to_str().expect("UTF-8");
    for name in [path, "a::b", "::b"] {
        assert_eq!(store.find_trail(name).expect(name).1, text, "{name}");
    }
    for name in ["a.b-12ab", "a.b-12ab.trail", path, "a::b", "::b"] {
        let record = store.find(name).expect(name);
        assert_eq!(record.outcome.scenario, "a::b", "{name}");
        assert_eq!(record.trail.as_deref(), Some("a.b-12ab"), "{name}");
    }
}

#[test]
fn a_trail_outlives_the_result_after_it() {
    let (_folder, store) = store();
    store.save(&outcome("a::b", true), Some(("a.b-12ab", "the trail\n"))).expect("kept");
    store.save(&outcome("a::b", false), None).expect("kept");
    assert_eq!(store.find("a::b").expect("there").outcome.verdict, Verdict::Pass);
    assert_eq!(store.find("a.b-12ab").expect("there").outcome.verdict, Verdict::Fail);
    let none = store.find_trail("a::b").expect_err("its result has none").to_string();
    assert!(none.starts_with("a::b: its last result has no trail"), "{none}");
    assert!(store.find_trail("a.b-12ab").is_ok());
    assert!(matches!(store.newest_finding(), Err(StoreError::NoFinding(_))));
}

#[test]
fn the_newest_finding_is_the_last_one() {
    let (_folder, store) = store();
    for name in ["b", "c", "a"] {
        store.save(&outcome(name, true), None).expect("kept");
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    store.save(&outcome("d", false), None).expect("kept");
    assert_eq!(store.newest_finding().expect("one").outcome.scenario, "a");
}

#[test]
fn a_name_of_no_result_or_of_several_is_an_error() {
    let (_folder, store) = store();
    let nothing = store.find("x").expect_err("nothing").to_string();
    assert!(nothing.ends_with("`check` saves them"), "{nothing}");
    for name in ["a::one", "a::two"] {
        store.save(&outcome(name, true), None).expect("kept");
    }
    assert!(
        matches!(store.find("a::"), Err(StoreError::Several { names, .. }) if names.len() == 2)
    );
    assert!(matches!(store.find_trail("a::"), Err(StoreError::Several { .. })));
    let nothing = store.find("a::onne").expect_err("nothing").to_string();
    assert!(nothing.contains("a::one"), "{nothing}");
    assert!(matches!(store.find_trail("nowhere-1"), Err(StoreError::NoSuch { .. })));
    assert!(matches!(store.find_trail("no/where.trail"), Err(StoreError::Read { .. })));
}

#[test]
fn no_name_leads_out_of_the_store() {
    assert_eq!(file_name("../../etc/passwd"), "_.._.._etc_passwd");
    assert_eq!(file_name("a::b<T>"), "a.b_T_");
}

#[test]
fn a_broken_record_is_told_by_its_path() {
    let (_folder, store) = store();
    store.save(&outcome("a", true), Some(("a-1", "t"))).expect("kept");
    fs::write(store.trails().join("a-1.json"), "{}").expect("written");
    let error = store.find("a-1").expect_err("broken").to_string();
    assert!(error.contains("a-1.json") && error.contains("version null"), "{error}");
}

#[test]
fn no_other_result_is_shown_in_place_of_a_broken_one() {
    let (_folder, store) = store();
    for name in ["x::wrong", "x::wrong_too", "y"] {
        store.save(&outcome(name, true), None).expect("kept");
    }
    std::thread::sleep(std::time::Duration::from_millis(3));
    fs::write(store.last().join("x.wrong.json"), "{").expect("written");
    for name in ["x::wrong", "wrong"] {
        let error = store.find(name).expect_err("broken").to_string();
        assert!(error.contains("x.wrong.json: not a result"), "{name}: {error}");
    }
    assert!(
        store.newest_finding().expect_err("the newest is broken").to_string().contains("x.wrong")
    );
    // The broken file does not affect other names.
    for name in ["x::wrong_too", "y"] {
        assert_eq!(store.find(name).expect("there").outcome.scenario, name);
    }
    std::thread::sleep(std::time::Duration::from_millis(3));
    store.save(&outcome("y", true), None).expect("kept");
    assert_eq!(store.newest_finding().expect("one").outcome.scenario, "y");
}

#[test]
fn a_trail_elsewhere_is_not_taken_for_a_saved_one() {
    let (folder, store) = store();
    let text = "lamprey-trail 1\nscenario a::b\nimage a 0123456789abcdef\ncpu 0\n";
    store.save(&outcome("a::b", true), Some(("a.b-12ab", text))).expect("kept");
    let copy = folder.path().join("a.b-12ab.trail");
    fs::write(&copy, text).expect("written");
    let copy = copy.to_str().expect("UTF-8");
    let error = store.find(copy).expect_err("not kept").to_string();
    let told = format!("{copy}: no result is saved for this trail; `lamprey replay {copy}` runs");
    assert!(error.starts_with(&told), "{error}");
    let error = store.find("/").expect_err("a folder").to_string();
    assert!(error.contains("it is a folder"), "{error}");
    fs::write(copy, "root:x:0\n").expect("written");
    let error = store.find(copy).expect_err("no trail").to_string();
    assert_eq!(error, format!("{copy}: not a trail: its first line is not `lamprey-trail 1`"));
}

#[test]
fn an_unwritable_folder_is_reported_with_the_reason() {
    let store = ResultStore::new("/dev/null/x".into());
    let error = store.save(&outcome("a", true), None).expect_err("no folder").to_string();
    assert!(error.starts_with("/dev/null/x/last/a.json: cannot be written: "), "{error}");
}
