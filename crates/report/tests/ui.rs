//! `tests/ui`: a folder is a case. `outcome.json` is what was found; the other files are what each
//! form says of it. `options.json`, if there is one, holds `{options, context}`.
//!
//! `cargo xtask bless ui` writes what is said now.

use std::fs;
use std::path::{Path, PathBuf};

use outcome::Outcome;
use report::{Context, Form, Options, Role, Text};
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Setting {
    options: Options,
    context: Context,
}

struct Case {
    folder: PathBuf,
    outcome: Outcome,
    setting: Setting,
}

#[test]
fn every_form_says_what_it_said() {
    let mut wrong = Vec::new();
    for case in cases() {
        let Case { outcome, setting: Setting { options, context }, .. } = &case;
        let width = outcome.scenario.chars().count().max(24);
        let line = report::verdict_line(outcome, width, options);
        let key = report::first_line(outcome);

        // Commands are not wrapped, and a verdict line is one line, however long its name.
        let verdict = |line: &str| !line.starts_with(' ') && outcome.finding.is_none();
        let free = |line: &str| {
            line.starts_with("  replay") || line.starts_with("  more") || verdict(line)
        };
        for form in Form::ALL {
            let text = form.render(outcome, context, options);
            match form {
                Form::Columns | Form::Asm => {
                    tidy(&case, form.name(), &text, options.width, options.utf8, free);
                }
                Form::Mail => tidy(&case, form.name(), &text, 72, false, |_| false),
                Form::Json => {}
            }
            let ending = if form == Form::Json { "json" } else { "txt" };
            let file = format!("{}.{ending}", form.name());
            let compare = match form {
                Form::Json => snapshot::json_difference,
                Form::Columns | Form::Asm | Form::Mail => snapshot::difference,
            };
            wrong.extend(compare(&case.folder.join(file), &text.to_string()));
        }
        tidy(&case, "line.txt", &line, options.width, options.utf8, |line| !line.starts_with(' '));

        let file = case.folder.join("line.txt");
        wrong.extend(snapshot::difference(&file, &format!("{line}{key}\n")));
    }
    snapshot::assert_none(&wrong, "ui");
}

#[test]
fn the_summary_counts_every_case() {
    let outcomes: Vec<Outcome> = cases().into_iter().map(|case| case.outcome).collect();
    let text = report::summary(&outcomes, None, &Options::default()).to_string();
    let wrong = snapshot::difference(&folder().join("summary.txt"), &text);
    snapshot::assert_none(wrong.as_slice(), "ui");
}

/// A saved outcome that is read and saved again is the same file.
#[test]
fn seconds_are_read_back_exactly() {
    let mut outcome = cases().swap_remove(0).outcome;
    for seconds in [0.9410000000000001, 1.2309999999999999, 1.1600000000000001] {
        outcome.stats.seconds = seconds;
        let text = serde_json::to_string(&outcome).expect("an outcome is JSON");
        let read: Outcome = serde_json::from_str(&text).expect("what is written can be read");
        assert_eq!(read.stats.seconds.to_bits(), seconds.to_bits());
    }
}

#[test]
fn no_width_overflows() {
    for mut case in cases().into_iter().filter(|case| case.outcome.finding.is_some()) {
        for width in 40..160 {
            let Setting { options, context } = &mut case.setting;
            options.width = width;
            let utf8 = options.utf8;
            let command = |line: &str| line.starts_with("  replay") || line.starts_with("  more");
            let columns = report::columns(&case.outcome, context, options);
            let asm = report::asm(&case.outcome, context, options);
            tidy(&case, "columns", &columns, width, utf8, command);
            tidy(&case, "asm", &asm, width, utf8, command);
        }
    }
}

#[test]
fn painting_adds_only_paint() {
    for case in cases() {
        let Setting { options, context } = &case.setting;
        let text = report::columns(&case.outcome, context, options);
        assert_eq!(text.painted(|_, part| part.to_owned()), text.to_string());
        let violated = spans(&text, |role| role == Role::Violated);
        assert_eq!(violated > 0, case.outcome.finding.is_some(), "{}", case.folder.display());
        assert_eq!(spans(&text, |role| matches!(role, Role::Verdict(_))), 1);
    }
}

fn spans(text: &Text, wanted: impl Fn(Role) -> bool) -> usize {
    let spans = text.lines.iter().flat_map(|line| line.spans());
    spans.filter(|span| wanted(span.role)).count()
}

/// No trailing space, no line too wide, ASCII where that is promised.
fn tidy(
    case: &Case,
    form: &str,
    text: &Text,
    width: usize,
    utf8: bool,
    may_be_wide: impl Fn(&str) -> bool,
) {
    for line in text.to_string().lines() {
        let place = format!("{} {form}: {line}", case.folder.display());
        assert_eq!(line.trim_end(), line, "trailing space: {place}");
        assert!(utf8 || line.is_ascii(), "not ASCII: {place}");
        assert!(!line.contains(char::is_control), "control character: {place}");
        assert!(line.chars().count() <= width || may_be_wide(line), "too wide: {place}");
    }
    let painted = text.painted(|role, _| if role == Role::Plain { "plain" } else { "" }.into());
    assert!(!painted.contains("plain"), "plain text is not painted");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ui")
}

fn cases() -> Vec<Case> {
    let entries = fs::read_dir(folder()).expect("tests/ui is there");
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "tests/ui holds no case");
    folders.into_iter().map(case).collect()
}

fn case(folder: PathBuf) -> Case {
    let outcome = folder.join("outcome.json");
    let text = fs::read_to_string(&outcome)
        .unwrap_or_else(|error| panic!("{}: {error}", outcome.display()));
    let outcome = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{}: {error}", outcome.display()));
    let setting = match fs::read_to_string(folder.join("options.json")) {
        Err(_) => Setting::default(),
        Ok(text) => serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display())),
    };
    Case { folder, outcome, setting }
}
