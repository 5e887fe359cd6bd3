//! Compares the samples in the documentation with the program's output.
//!
//! `cargo xtask bless docs` writes the present output. In `README.md`,
//! `ARCHITECTURE.md`, `CONTRIBUTING.md` and `docs/*.md` these comments, right before a fenced block,
//! identify the block:
//!
//! | comment | the block |
//! |---|---|
//! | `<!-- output: lamprey … -->` | the command's standard output at the root |
//! | `<!-- output in mine: lamprey … -->` | the same in the crate that `lamprey new mine` makes |
//! | `<!-- output in mine, mended: lamprey … -->` | the same after its bug is fixed |
//! | `<!-- part of: PATH -->` | consecutive lines of that file; not written |
//!
//! Parts that differ from one machine or run to the next have a stable form in samples: times are `0.01s`,
//! the digits of a trail's name `0000`, offsets into functions `+0x0`, and the image in a mail is its file
//! name with the id 0. Scenarios are checked one at a time, so that lines keep their order, and
//! without UTF-8.
//!
//! Counts of states, steps and folded instructions are those of the machine code, and so of one
//! compiler: the one named in the comment `<!-- samples: … -->` of `docs/reports.md`. With another
//! compiler only verdicts and names are compared.

mod tool;

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tool::{folder, run};

const VERDICTS: [&str; 5] = ["PASS", "FAIL", "FOUND", "LOST", "UNDECIDED"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root.join("docs")).expect("docs").map(|e| e.expect("a file").path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|page| root.join(page)));
    pages.sort();
    pages
}

/// The folders in which commands run.
struct Bench {
    folder: tempfile::TempDir,
    made: OnceCell<PathBuf>,
}

impl Bench {
    /// Links `lamprey` into a temporary folder, so that it is called by its name.
    fn new() -> Self {
        let folder = folder();
        symlink(env!("CARGO_BIN_EXE_lamprey"), folder.path().join("lamprey")).expect("a link");
        Self { folder, made: OnceCell::new() }
    }

    fn shell(&self, line: &str, place: &Path) -> Command {
        let mut command = tool::shell(place, line);
        let path = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        command.env("CARGO_TARGET_DIR", builds).env("LAMPREY_JOBS", "1");
        command
    }

    /// Returns the crate that `lamprey new mine` creates.
    fn mine(&self) -> &Path {
        self.made.get_or_init(|| {
            let (exit, _, err) = run(&mut self.shell("lamprey new mine", self.folder.path()));
            assert_eq!(exit, 0, "{err}");
            self.folder.path().join("mine")
        })
    }

    fn mend(&self) {
        let source = self.mine().join("src/main.rs");
        let text = fs::read_to_string(&source).expect("made");
        let bug = "            let left = references.load(Relaxed) - 1;\n            \
                   references.store(left, Relaxed);\n";
        let mended = text.replace(bug, "").replace("// let left", "let left");
        fs::write(&source, mended).expect("written");
    }

    fn output(&self, place: &str, line: &str) -> String {
        let (_, out, err) = match place {
            "" => run(&mut self.shell(line, &root())),
            " in mine" => run(&mut self.shell(line, self.mine())),
            " in mine, mended" => {
                self.mend();
                run(&mut self.shell(line, self.mine()))
            }
            _ => panic!("`output{place}:` is not a kind of sample"),
        };
        assert!(!out.is_empty(), "{line}: {err}");
        stable(&out)
    }

    fn compiler(&self) -> String {
        let line = "lamprey check -q --format json example::lost_update";
        let (_, out, err) = run(&mut self.shell(line, &root()));
        let outcome: Value = serde_json::from_str(&out).expect(&err);
        outcome["image"]["compiler"].as_str().expect("a compiler").to_owned()
    }
}

/// Replaces the parts of an output that depend on machine and run.
fn stable(out: &str) -> String {
    let mut text = String::new();
    let mut lines = out.lines().peekable();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        if line.starts_with("Image ") {
            while let Some(more) = lines.next_if(|next| next.starts_with("  ")) {
                line += &format!(" {}", more.trim());
            }
            line = image(&line);
        }
        if let Some(start) = line.strip_suffix('\\') {
            line = start.to_owned() + lines.next().unwrap_or_default().trim();
        }
        text += offsets(&trail(&time(&line))).trim_end();
        text.push('\n');
    }
    text
}

/// Shortens the path in `Image   /a/b/seed, id 0123, rustc 1` to the file's name, and clears the id.
fn image(line: &str) -> String {
    let mut parts = line["Image".len()..].trim().splitn(3, ", ");
    let mut part = || parts.next().unwrap_or_default();
    let (path, _, rest) = (part(), part(), part());
    let name = path.rsplit('/').next().unwrap_or_default();
    format!("Image   {name}, id 0000000000000000, {rest}")
}

/// Replaces `[   1.23s]` by `[   0.01s]`, and an unpadded time by `[0.01s]`.
fn time(line: &str) -> String {
    let Some((before, after)) = line.rsplit_once('[') else { return line.to_owned() };
    let Some((inner, rest)) = after.split_once(']') else { return line.to_owned() };
    let is_time = |c: char| c.is_ascii_digit() || " .msh".contains(c);
    if !inner.ends_with('s') || !inner.chars().all(is_time) {
        return line.to_owned();
    }
    let width = if inner.starts_with(' ') { inner.len() } else { 0 };
    format!("{before}[{:>width$}]{rest}", "0.01s")
}

/// Replaces `seed.before.x-d8b4` by `seed.before.x-0000`.
fn trail(line: &str) -> String {
    let words = line.split_inclusive(' ').map(|word| {
        let name = word.trim_end();
        match name.rsplit_once('-') {
            Some((scenario, digits))
                if scenario.contains('.')
                    && digits.len() == 4
                    && digits.chars().all(|c| c.is_ascii_hexdigit()) =>
            {
                word.replace(name, &format!("{scenario}-0000"))
            }
            _ => word.to_owned(),
        }
    });
    words.collect()
}

/// Replaces `f+0x1a` by `f+0x0`.
fn offsets(line: &str) -> String {
    let mut pieces = line.split("+0x");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text += "+0x0";
        text += piece.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    text
}

/// Returns verdicts and names, which do not depend on the compiler.
fn verdicts(text: &str) -> Vec<String> {
    let words = text.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>());
    let told = words.filter(|words| words.first().is_some_and(|word| VERDICTS.contains(word)));
    told.map(|words| words.join(" ")).collect()
}

/// A sample: the kind and the subject from its comment, and the lines of its block.
struct Sample<'t> {
    kind: &'t str,
    of: &'t str,
    /// Lines of the page: the first within the fence, and the end of the fence.
    lines: (usize, usize),
}

fn samples(page: &str) -> Vec<Sample<'_>> {
    let lines: Vec<&str> = page.lines().collect();
    let mut samples = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let inner = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let Some((kind, of)) = inner.and_then(|inner| inner.split_once(": ")) else { continue };
        if !kind.starts_with("output") && kind != "part of" {
            continue;
        }
        assert!(lines[at + 1].starts_with("```"), "no block after {line}");
        let length = lines[at + 2..].iter().position(|line| *line == "```").expect("its end");
        samples.push(Sample { kind, of, lines: (at + 2, at + 2 + length) });
    }
    samples
}

/// Replaces the blocks of outputs in `page`.
fn with_outputs(page: &str, bench: &Bench) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let (mut text, mut at) = (String::new(), 0);
    for sample in samples(page).iter().filter(|sample| sample.kind != "part of") {
        lines[at..sample.lines.0].iter().for_each(|line| text += &format!("{line}\n"));
        let place = &sample.kind["output".len()..];
        text += &bench.output(place, sample.of);
        at = sample.lines.1;
    }
    lines[at..].iter().for_each(|line| text += &format!("{line}\n"));
    text
}

#[test]
fn samples_match_the_programs_output() {
    let bench = Bench::new();
    let bless = snapshot::is_blessing();
    let compiler = bench.compiler();
    let made_with = format!("<!-- samples: {compiler} -->");
    let reports = fs::read_to_string(root().join("docs/reports.md")).expect("docs/reports.md");
    let same_compiler = reports.contains(&made_with);
    let mut wrong = Vec::new();
    for page in pages() {
        let before = fs::read_to_string(&page).expect("readable");
        let after = with_outputs(&before, &bench);
        if bless {
            let named = |line: &str| match line.starts_with("<!-- samples: ") {
                true => made_with.clone() + "\n",
                false => line.to_owned() + "\n",
            };
            fs::write(&page, after.lines().map(named).collect::<String>()).expect("written");
        } else if same_compiler && before != after || verdicts(&before) != verdicts(&after) {
            let differs = before.lines().zip(after.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: {differs:?}", page.display()));
        }
    }
    snapshot::assert_none(&wrong, "docs");
}

/// Returns the first words of a trail's lines before its choices, and whether hardware takes steps.
fn shape(trail: &str) -> (Vec<&str>, bool) {
    let lines = trail.lines().filter(|line| !line.starts_with("cpu "));
    let keys = lines.map(|line| line.split(' ').next().unwrap_or_default()).collect();
    (keys, trail.contains(" drains"))
}

#[test]
fn the_sample_of_a_trail_has_the_shape_of_a_real_one() {
    let page = fs::read_to_string(root().join("docs/reports.md")).expect("docs/reports.md");
    let sample = page.split("```\n").find(|block| block.starts_with("lamprey-trail "));
    let sample = sample.expect("a sample");
    check::Trail::parse(sample).expect("a trail");
    let bench = Bench::new();
    let line = "lamprey check --format json example::lost_update";
    let (_, out, err) = run(&mut bench.shell(line, &root()));
    let name = serde_json::from_str::<Value>(&out).expect(&err)["trail"].take();
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests/lamprey");
    let file = format!("trails/{}.trail", name.as_str().expect("a name"));
    // Each workspace has its own folder there.
    let folders = fs::read_dir(builds).expect("built").map(|entry| entry.expect("an entry").path());
    let kept = folders.map(|folder| folder.join(&file)).find(|file| file.is_file());
    let real = fs::read_to_string(kept.expect("kept")).expect("readable");
    assert_eq!(shape(sample), shape(&real));
    assert!(!real.contains("# 0x0"), "{real}");
}

#[test]
fn code_samples_are_in_the_files_that_they_name() {
    for page in pages() {
        let text = fs::read_to_string(&page).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        for sample in samples(&text).iter().filter(|sample| sample.kind == "part of") {
            let block = lines[sample.lines.0..sample.lines.1].join("\n");
            let file = fs::read_to_string(root().join(sample.of)).expect(sample.of);
            assert!(file.contains(&block), "{}: not in {}:\n{block}", page.display(), sample.of);
        }
    }
}

/// Checks files in backquotes and links within the repository. Lines about planned files are skipped.
#[test]
fn named_files_and_scenarios_exist() {
    let bench = Bench::new();
    let (exit, list, err) = run(&mut bench.shell("lamprey list -q", &root()));
    assert_eq!(exit, 0, "{err}");
    let mut scenarios: Vec<String> = list.lines().map(str::to_owned).collect();
    for folder in ["find", "hold", "undecided"] {
        let expected = root().join("tests").join(folder).join("expected.txt");
        let expected = fs::read_to_string(expected).expect("a folder of cases");
        scenarios
            .extend(expected.lines().filter_map(|line| line.split(" | ").next()).map(Into::into));
    }
    let mut missing = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("readable");
        for line in text.lines().filter(|line| !line.contains("planned")) {
            for name in line.split('`').skip(1).step_by(2) {
                let rooms = ["crates/", "guest/", "scenarios/", "tests/", "xtask/", "docs/"];
                let is_file = rooms.iter().any(|room| name.starts_with(room));
                let is_path = is_file && !name.contains(|c: char| " *{<".contains(c));
                if is_path && !root().join(name).exists() {
                    missing.push(format!("{}: {name}", page.display()));
                }
                let guests = ["seed::", "example::", "aspace_scenarios::", "tlb::"];
                let cases = ["find::", "hold::", "undecided::"];
                let is_scenario = guests.iter().chain(&cases).any(|guest| name.starts_with(guest));
                if is_scenario && !scenarios.iter().any(|scenario| scenario.contains(name)) {
                    missing.push(format!("{}: {name}", page.display()));
                }
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = target.split('#').next().unwrap_or_default();
                let there = page.parent().expect("a folder").join(file);
                if !target.starts_with("http") && !there.exists() {
                    missing.push(format!("{}: {target}", page.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn parts_that_differ_between_runs_get_a_stable_form() {
    let out = "PASS x  [  12.30s]\nFOUND y  [1.23s]\n  replay   lamprey replay a.b-12af --mail\n";
    let same = "PASS x  [   0.01s]\nFOUND y  [0.01s]\n  replay   lamprey replay a.b-0000 --mail\n";
    assert_eq!(stable(out), same);
    let out = "Image   /a/b/se\n        ed, id 12, rustc 1\nat f+0xb9  x.rs:2\nReplay  l \\\n     x.y-beef\n";
    let same =
        "Image   se ed, id 0000000000000000, rustc 1\nat f+0x0  x.rs:2\nReplay  l x.y-0000\n";
    assert_eq!(stable(out), same);
    assert_eq!(stable("{mm [x]}\n"), "{mm [x]}\n");
}
