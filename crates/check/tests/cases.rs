//! Guests of which the verdict is known: `tests/find`, `tests/hold` and `tests/undecided`.
//!
//! The folder says what must come out. A case is a scenario in a file there; comments above it may
//! say more (`// key: value`, see [`Wanted`]). What else comes out stands in the folder's
//! `expected.txt`, which `cargo xtask bless cases` rewrites: look at the difference before you commit it. The counts
//! in it depend on the compiler and are compared only where that is the same, and not at all with
//! `COMPARE=verdicts`. `CASES=TEXT` runs those whose name contains it; with `CASES=first` nothing is
//! begun any more once a case is wrong. Neither compares with `expected.txt`.
//!
//! Every case is checked as it is by default, twice, then without the reduction, then without the
//! masking; all must agree. Every trail is written, read back and replayed. What holds under x86-TSO must
//! hold under sequential consistency, whose runs are among those of x86-TSO.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use check::{Checked, Config, Guest, Limits, MemoryModel, Scenario, Trail};
use outcome::{Budget, Cause, Outcome, Reason, Verdict};

#[test]
fn find() {
    Folder::open("find", Verdict::Found).run();
}

#[test]
fn hold() {
    Folder::open("hold", Verdict::Pass).run();
}

#[test]
fn undecided() {
    Folder::open("undecided", Verdict::Undecided).run();
}

/// Whether something is wrong with a case, of whichever folder.
static IS_WRONG: AtomicBool = AtomicBool::new(false);

/// A folder of cases, built.
struct Folder {
    path: PathBuf,
    verdict: Verdict,
    guest: Guest,
}

/// What the comments above a scenario ask for.
#[derive(Default)]
struct Wanted {
    /// `switches`: so many in the simplest counterexample.
    switches: Option<u32>,
    /// `reason`: how the sentence that says why nothing is claimed goes.
    reason: Option<String>,
    /// `at`: part of the symbol or file of the place.
    at: Option<String>,
    /// `instruction`: how the instruction begins that has no model.
    instruction: Option<String>,
    /// `cpu`: where that is.
    cpu: Option<u8>,
    /// `warns`: part of the warning that is given. Without it none must be.
    warns: Option<String>,
    /// `bound`: the beginning of the last bound that is printed.
    bound: Option<String>,
    /// `found`: how what was found instead begins.
    found: Option<String>,
    /// `names`: part of it.
    names: Option<String>,
    /// `writes`: the object of the write that the finding is about.
    writes: Option<String>,
    /// `only`: `tso` if there must be nothing to find under sequential consistency.
    only_tso: bool,
    /// `limits`: `states N`, `bytes N` or `seconds N`.
    limits: Limits,
}

impl Folder {
    fn open(name: &str, verdict: Verdict) -> Folder {
        let path = common::repository().join("tests").join(name);
        let image = common::build(&format!("tests/{name}"), name);
        let guest = Guest::open(&image).unwrap_or_else(|error| panic!("{error}"));
        Folder { path, verdict, guest }
    }

    /// Checks every case and tells of all that is wrong at once.
    fn run(&self) {
        let scenarios = Mutex::new(self.guest.scenarios().iter());
        let results = Mutex::new(BTreeMap::new());
        let only = std::env::var("CASES").ok();
        let next = || {
            let stops = only.as_deref() == Some("first") && IS_WRONG.load(Ordering::Relaxed);
            let mut scenarios = scenarios.lock().expect("no panic");
            scenarios.find(|scenario| match only.as_deref() {
                None | Some("first") => !stops,
                Some(part) => scenario.name.contains(part),
            })
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(scenario) = next() {
                        let case = Case { folder: self, scenario, wanted: self.wanted(scenario) };
                        let result = case.run();
                        IS_WRONG.fetch_or(!result.1.is_empty(), Ordering::Relaxed);
                        results.lock().expect("no panic").insert(scenario.name.clone(), result);
                    }
                });
            }
        });
        let results = results.into_inner().expect("no panic");
        let mut wrong = String::new();
        for (name, (_, complaints)) in &results {
            for complaint in complaints {
                writeln!(wrong, "{name}: {complaint}").expect("memory");
            }
        }
        if only.is_none() {
            wrong += &self.unused_files();
            wrong += &self.compare(results.values().map(|(line, _)| line.as_str()));
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }

    /// Files without a scenario: most likely not declared in `main.rs`.
    fn unused_files(&self) -> String {
        let used: BTreeSet<&str> = self
            .guest
            .scenarios()
            .iter()
            .filter_map(|scenario| scenario.name.split("::").nth(1))
            .collect();
        fs::read_dir(self.path.join("src"))
            .expect("a folder of sources")
            .map(|entry| entry.expect("an entry").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| {
                !matches!(name.as_str(), "main" | "cpu") && !used.contains(name.as_str())
            })
            .map(|name| format!("{name}.rs: no scenario; is it a module of main.rs?\n"))
            .collect()
    }

    /// Holds the results against `expected.txt`, or rewrites it.
    fn compare<'a>(&self, lines: impl Iterator<Item = &'a str>) -> String {
        let path = self.path.join("expected.txt");
        let compiler = self.guest.image_id().compiler.clone().unwrap_or_default();
        let mut text = format!("# {compiler}\n# case | verdict | run | search | why\n");
        for line in lines {
            text += line;
            text.push('\n');
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let same_compiler = expected.lines().next() == text.lines().next();
        let only_verdicts = std::env::var_os("COMPARE").is_some_and(|what| what == "verdicts");
        if snapshot::is_blessing() || same_compiler && !only_verdicts {
            return snapshot::difference(&path, &text).unwrap_or_default();
        }
        // Case and verdict do not depend on the compiler.
        let part = |line: &str| line.split(" | ").take(2).collect::<Vec<_>>().join(" | ");
        let lines = |text: &str| text.lines().skip(1).map(part).collect::<BTreeSet<String>>();
        let (expected, found) = (lines(&expected), lines(&text));
        let lost = expected.difference(&found).map(|line| format!("- {line}\n"));
        let new = found.difference(&expected).map(|line| format!("+ {line}\n"));
        lost.chain(new).collect()
    }

    /// Reads the comments above a scenario.
    fn wanted(&self, scenario: &Scenario) -> Wanted {
        let mut names = scenario.name.split("::").skip(1);
        let (Some(module), Some(function)) = (names.next(), names.next()) else {
            panic!("{}: a case is a function in a file", scenario.name)
        };
        let path = self.path.join("src").join(format!("{module}.rs"));
        let source = fs::read_to_string(&path).expect("the case's source");
        let mut wanted = Wanted::default();
        let head = format!("fn {function}");
        let is_head = |line: &str| {
            let rest = line.trim_start().strip_prefix(&head);
            rest.is_some_and(|rest| rest.starts_with([' ', '(']))
        };
        let lines: Vec<&str> = source.lines().collect();
        let at = lines.iter().position(|line| is_head(line)).expect("the scenario's function");
        for line in lines[..at].iter().rev().map(|line| line.trim()) {
            if let Some(comment) = line.strip_prefix("// ") {
                wanted.read(comment);
            } else if !line.starts_with("///") && !line.starts_with("#[") {
                break;
            }
        }
        wanted
    }
}

impl Wanted {
    fn read(&mut self, comment: &str) {
        let Some((key, value)) = comment.split_once(": ") else { return };
        let text = Some(value.to_owned());
        match key {
            "switches" => self.switches = Some(value.parse().expect("a number of switches")),
            "reason" => self.reason = text,
            "at" => self.at = text,
            "instruction" => self.instruction = text,
            "cpu" => self.cpu = Some(value.parse().expect("a CPU")),
            "found" => self.found = text,
            "names" => self.names = text,
            "writes" => self.writes = text,
            "warns" => self.warns = text,
            "bound" => self.bound = text,
            "only" => self.only_tso = value == "tso",
            "limits" => match value.split_once(' ') {
                Some(("states", n)) => self.limits.states = Some(n.parse().expect("a number")),
                Some(("bytes", n)) => self.limits.bytes = Some(n.parse().expect("a number")),
                Some(("seconds", n)) => self.limits.seconds = Some(n.parse().expect("a number")),
                _ => panic!("limits: {value}"),
            },
            _ => panic!("{key}: not known; see `Wanted`"),
        }
    }
}

/// A scenario and what is asked of it.
struct Case<'a> {
    folder: &'a Folder,
    scenario: &'a Scenario,
    wanted: Wanted,
}

impl Case<'_> {
    /// Its line for `expected.txt`, and what is wrong.
    fn run(&self) -> (String, Vec<String>) {
        let limits = &self.wanted.limits;
        let plain = self.check(limits);
        let mut wrong = Vec::new();
        let mut complain = |what: &str, is_wrong: Option<String>| {
            wrong.extend(is_wrong.map(|is_wrong| format!("{what}: {is_wrong}")));
        };
        complain("by default", self.judge(&plain.outcome));
        complain("by default", self.judge_warnings(&plain.outcome));
        complain("by default", self.judge_bounds(&plain.outcome));
        complain("read back", self.replay(&plain));
        let again = self.check(limits);
        if timeless(&plain) != timeless(&again) {
            complain("again", Some("another outcome".into()));
        }
        let unmasked = Config { masking: false, ..limits.config };
        for (what, limits) in [
            ("without reduction", Limits { reduction: false, ..limits.clone() }),
            ("without masking", Limits { config: unmasked, ..limits.clone() }),
        ] {
            let other = self.check(&limits);
            complain(what, self.judge(&other.outcome));
            complain(what, differs(&plain.outcome, &other.outcome));
            complain(what, self.replay(&other));
        }
        // What is decided within this small budget is the same; switches count for more there.
        let states = Some(5_000);
        let small = Limits { every_access: true, reduction: false, states, ..limits.clone() };
        let every = self.check(&small).outcome;
        let property = |o: &Outcome| o.finding.as_ref().map(|finding| finding.property.clone());
        let short = |outcome: &Outcome| (outcome.verdict, property(outcome));
        let untold =
            every.reason.as_ref().is_some_and(|why| matches!(why.cause, Cause::NoReplay { .. }));
        complain(
            "with every access a scheduling point",
            untold.then(|| format!("{:?}", every.reason)),
        );
        let decided = [&plain.outcome, &every].iter().all(|o| o.verdict != Verdict::Undecided);
        if decided && short(&plain.outcome) != short(&every) {
            complain("with every access a scheduling point", Some(format!("{:?}", short(&every))));
        }
        if self.folder.verdict != Verdict::Undecided {
            let config = Config { memory_model: MemoryModel::Sc, ..limits.config };
            let other = self.check(&Limits { config, ..limits.clone() }).outcome;
            let is_wrong = if self.wanted.only_tso {
                other.finding.is_some().then(|| line(&other))
            } else if self.folder.verdict == Verdict::Pass {
                self.judge(&other)
            } else {
                common::needs_more_switches(&plain.outcome, &other)
            };
            complain("under sequential consistency", is_wrong);
        }
        (line(&plain.outcome), wrong)
    }

    fn check(&self, limits: &Limits) -> Checked {
        check::check(&self.folder.guest, self.scenario, limits, &mut |_| ControlFlow::Continue(()))
    }

    /// One warning if it is wanted, else none.
    fn judge_warnings(&self, outcome: &Outcome) -> Option<String> {
        let as_wanted = match (&self.wanted.warns, outcome.warnings.as_slice()) {
            (None, []) => true,
            (Some(wanted), [warning]) => report::warning(warning).contains(wanted),
            _ => false,
        };
        (!as_wanted).then(|| format!("warnings: {:?}", outcome.warnings))
    }

    /// The wanted bound comes last; a bound that runs come to is told where they do, and not elsewhere.
    fn judge_bounds(&self, outcome: &Outcome) -> Option<String> {
        let bounds = outcome.bounds.as_ref().map(report::bounds_in_words).unwrap_or_default();
        let last = bounds.last().map_or("", String::as_str);
        let as_wanted = match &self.wanted.bound {
            Some(wanted) => last.starts_with(wanted),
            None => !last.starts_with("more than"),
        };
        (!as_wanted).then(|| format!("bounds: {bounds:?}"))
    }

    /// What is wrong with an outcome by itself.
    fn judge(&self, outcome: &Outcome) -> Option<String> {
        let wanted = &self.wanted;
        if outcome.verdict != self.folder.verdict {
            return Some(line(outcome));
        }
        let unlike = |what: &str, found: String, wanted: &str| {
            Some(format!("{what} is `{found}`, wanted `{wanted}`"))
        };
        if let Some(finding) = &outcome.finding {
            if let Some(switches) = wanted.switches
                && finding.switches != switches
            {
                return unlike("switches", finding.switches.to_string(), &switches.to_string());
            }
            let found = report::found(finding).unwrap_or_default();
            if let Some(wanted) = &wanted.found
                && !found.starts_with(wanted)
            {
                return unlike("found", found, wanted);
            }
            if let Some(wanted) = &self.wanted.names
                && !found.contains(wanted)
            {
                return unlike("found", found, wanted);
            }
            let write = finding.write.and_then(|index| finding.events.get(index));
            let written = write.and_then(|event| match &event.what {
                outcome::What::Write { object, .. } | outcome::What::Update { object, .. } => {
                    object.name.as_deref()
                }
                _ => None,
            });
            if let Some(wanted) = &wanted.writes
                && written != Some(&**wanted)
            {
                return unlike("the write", format!("{write:?}"), wanted);
            }
            if finding.events.last().map(|event| &event.what) != Some(&outcome::What::Violation) {
                return Some("the last event is not the violation".into());
            }
        }
        let reason = outcome.reason.clone();
        let sentence = report::reason(outcome).unwrap_or_default();
        if let Some(wanted) = &wanted.reason
            && !sentence.contains(wanted)
        {
            return unlike("reason", sentence, wanted);
        }
        let place = outcome.finding.as_ref().and_then(|finding| finding.place.clone());
        let place = place.or(reason.as_ref().and_then(|reason| reason.place.clone()));
        if let Some(wanted) = &wanted.at
            && !place.as_ref().is_some_and(|place| place.symbol.contains(wanted))
        {
            return unlike("place", format!("{place:?}"), wanted);
        }
        let reason = reason?;
        let instruction = reason.instruction.unwrap_or_default();
        if let Some(wanted) = &wanted.instruction {
            if !instruction.starts_with(wanted) {
                return unlike("instruction", instruction, wanted);
            }
            if !place.is_some_and(|place| place.file.is_some() && place.line.is_some()) {
                return Some("an instruction without a source line".into());
            }
        }
        if wanted.cpu.is_some() && reason.cpu != wanted.cpu {
            return unlike("cpu", format!("{:?}", reason.cpu), &format!("{:?}", wanted.cpu));
        }
        None
    }

    /// Writes, reads and runs the trail: the same must be found.
    fn replay(&self, checked: &Checked) -> Option<String> {
        let Some(finding) = &checked.outcome.finding else {
            return checked.trail.as_ref().map(|_| "a trail to nothing".into());
        };
        let Some(trail) = &checked.trail else { return Some("no trail".into()) };
        let text = trail.to_string();
        let read = match Trail::parse(&text) {
            Ok(read) => read,
            Err(error) => return Some(format!("{error}, in\n{text}")),
        };
        let strip = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split('#').next().unwrap_or("").trim().into()).collect()
        };
        if strip(&read.to_string()) != strip(&text) {
            return Some(format!("the trail changes when read:\n{text}\n{read}"));
        }
        let outcome = match check::replay(&self.folder.guest, &read) {
            Ok(outcome) => outcome,
            Err(error) => return Some(format!("{error}, with\n{text}")),
        };
        let Some(again) = &outcome.finding else { return Some("replay finds nothing".into()) };
        let short = |finding: &outcome::Finding| {
            (finding.property.clone(), finding.details.clone(), finding.steps, finding.switches)
        };
        let references = |finding: &outcome::Finding| (finding.since, finding.write);
        if short(finding) != short(again)
            || references(finding) != references(again)
            || finding.events != again.events
        {
            return Some(format!("found {:?}, replayed {:?}", short(finding), short(again)));
        }
        None
    }
}

/// How two outcomes of one case differ, where they must not.
fn differs(left: &Outcome, right: &Outcome) -> Option<String> {
    let short = |outcome: &Outcome| {
        let finding = outcome.finding.as_ref();
        let finding = finding.map(|finding| (finding.property.clone(), finding.switches));
        let reason = outcome.reason.as_ref().map(|reason| reason.cause.clone());
        (outcome.verdict, finding, reason, outcome.marks.clone())
    };
    // A search that ends early has not reached what another has.
    let ended = |outcome: &Outcome| outcome.verdict == Verdict::Pass;
    let (mut left_short, mut right_short) = (short(left), short(right));
    if !ended(left) {
        left_short.3.clear();
        right_short.3.clear();
    }
    (left_short != right_short).then(|| format!("{right_short:?}, by default {left_short:?}"))
}

/// All of an outcome that must be the same the next time.
fn timeless(checked: &Checked) -> String {
    let mut outcome = checked.outcome.clone();
    outcome.stats.seconds = 0.0;
    let trail = checked.trail.as_ref().map(ToString::to_string).unwrap_or_default();
    // Where time is the limit the counts are not.
    if outcome.reason.as_ref().is_some_and(is_by_time) {
        outcome.stats = outcome::Stats::default();
    }
    format!("{outcome:?}\n{trail}")
}

/// Is the time used up?
fn is_by_time(reason: &Reason) -> bool {
    matches!(
        reason.cause,
        Cause::Budget { of: Budget::Time } | Cause::CutOff { interrupted: false, .. }
    )
}

/// An outcome as a line of `expected.txt`.
fn line(outcome: &Outcome) -> String {
    let stats = &outcome.stats;
    let verdict = format!("{:?}", outcome.verdict).to_lowercase();
    let run = outcome.finding.as_ref().map_or_else(String::new, |finding| {
        format!("{}: {} switches, {} steps", finding.property, finding.switches, finding.steps)
    });
    let why = match (&outcome.finding, &outcome.reason) {
        (Some(finding), _) => report::sentence(finding),
        (None, _) => report::reason(outcome).unwrap_or_default(),
    };
    let search = if outcome.reason.as_ref().is_some_and(is_by_time) {
        String::new()
    } else {
        format!(
            "{} states, {} transitions, {} words, {} rounds",
            stats.states, stats.transitions, stats.shared_words, stats.rounds
        )
    };
    format!("{} | {verdict} | {run} | {search} | {why}", outcome.scenario)
}
