//! Logs of herd and litmus7, and how a set of final states differs from one.

use std::collections::BTreeMap;

use crate::report::Report;
use crate::states::Reader;
use crate::test::{OBSERVATIONS, State, Test};

/// What a log says of its tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// By the tests' names, which different tests may share.
    pub tests: BTreeMap<String, Vec<Listed>>,
}

/// What a log says of one test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The line of the log that begins it, from 1.
    pub line: usize,
    /// Its states, a line each; none if the log has only the observation.
    pub states: Option<Vec<String>>,
    /// `Never`, `Sometimes`, `Always`.
    pub observation: Option<String>,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LogError {
    /// From 1.
    pub line: usize,
    /// What.
    pub message: String,
}

impl Log {
    /// Reads a log: of each test `Test NAME …`, then `States N` or `Histogram (N states)` with so many
    /// lines, then `Observation NAME WORD …`. An observation may stand alone. All else is passed over.
    ///
    /// # Errors
    ///
    /// States that are missing or too many, or a log without any test.
    pub fn parse(text: &str) -> Result<Log, LogError> {
        let mut log = Log::default();
        let mut current: Option<(String, Listed)> = None;
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["Test", name, ..] => {
                    log.end(current.take());
                    current = Some((name.into(), Listed { line: number, ..Listed::default() }));
                }
                ["States", count] | ["Histogram", count, "states)" | "state)"] => {
                    let Some((_, listed)) = &mut current else { continue };
                    let count = count.trim_start_matches('(').parse::<usize>();
                    let Ok(count) = count else { continue };
                    let states: Vec<String> =
                        lines.by_ref().take(count).map(|(_, line)| state(line)).collect();
                    let is_state = |state: &String| state.is_empty() || state.ends_with(';');
                    if states.len() < count || !states.iter().all(is_state) {
                        let message = format!("{count} states are announced, fewer follow");
                        return Err(LogError { line: number, message });
                    }
                    if lines.clone().next().is_some_and(|(_, line)| is_state_line(line)) {
                        let message = format!("{count} states are announced, more follow");
                        return Err(LogError { line: number, message });
                    }
                    listed.states = Some(states);
                }
                ["Observation", name, word, ..] => {
                    if current.as_ref().is_none_or(|(known, _)| known != name) {
                        log.end(current.take());
                        current = Some((name.into(), Listed { line: number, ..Listed::default() }));
                    }
                    if let Some((_, listed)) = &mut current {
                        listed.observation = Some(word.into());
                    }
                    log.end(current.take());
                }
                _ => {}
            }
        }
        log.end(current);
        if log.tests.is_empty() {
            let message = "this is not a log of herd or litmus7: no line begins with `Test`".into();
            return Err(LogError { line: 1, message });
        }
        Ok(log)
    }

    fn end(&mut self, test: Option<(String, Listed)>) {
        if let Some((name, listed)) = test {
            self.tests.entry(name).or_default().push(listed);
        }
    }
}

/// Whether a line is a state that says something.
fn is_state_line(line: &str) -> bool {
    line.contains('=') && line.trim_end().ends_with(';')
}

/// A state without the number of times it was seen: `12 *>0:rax=0;`.
fn state(line: &str) -> String {
    let line = line.trim();
    let Some((count, state)) = line.split_once('>') else { return line.into() };
    let counts = |c: char| c.is_ascii_digit() || c.is_whitespace() || c == ':' || c == '*';
    if count.chars().all(counts) { state.trim().into() } else { line.into() }
}

/// How the final states of a test differ from what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Expected states that no run ends in.
    pub missing: Vec<String>,
    /// States that some run ends in and that are not expected.
    pub extra: Vec<String>,
    /// What else: another observation, or a list that cannot be compared.
    pub other: Option<String>,
}

impl Difference {
    /// Is there none?
    pub fn is_none(&self) -> bool {
        *self == Difference::default()
    }

    /// The difference between two sets of states of `test`.
    pub fn of_states(test: &Test, states: &[State], expected: &[State]) -> Difference {
        let but = |all: &[State], without: &[State]| {
            let rest: Vec<State> =
                all.iter().filter(|state| !without.contains(state)).cloned().collect();
            test.lines(&rest)
        };
        Difference { missing: but(expected, states), extra: but(states, expected), other: None }
    }

    /// The difference between what is observed of `states` and what `who` says.
    pub fn of_observation(test: &Test, states: &[State], who: &str, expected: &str) -> Difference {
        let observed = Report::new(test, states).observation();
        let other = format!("{who} {expected}, the model {observed}");
        Difference { other: (expected != observed).then_some(other), ..Difference::default() }
    }
}

/// How the final states of `test` differ from what a log lists under its name, and the line of that. Of
/// several that are listed, one that agrees is enough.
///
/// # Panics
///
/// If nothing is listed.
pub fn compare(test: &Test, states: &[State], listed: &[Listed]) -> (usize, Difference) {
    let compared = || listed.iter().map(|one| (one.line, compare_one(test, states, one)));
    let agrees = compared().find(|(_, difference)| difference.is_none());
    agrees.or_else(|| compared().next()).expect("something is listed")
}

/// Which states a processor has shown, as a log lists them under the name of `test`, that are not among
/// its final states, and the line of the log. A processor need not show all that is allowed; of several
/// runs that are listed, each must be a part.
///
/// # Panics
///
/// If nothing is listed.
pub fn compare_subset(test: &Test, states: &[State], listed: &[Listed]) -> (usize, Difference) {
    let compared = || listed.iter().map(|one| (one.line, subset(test, states, one)));
    let differs = compared().find(|(_, difference)| !difference.is_none());
    differs.or_else(|| compared().next()).expect("something is listed")
}

fn subset(test: &Test, states: &[State], listed: &Listed) -> Difference {
    if listed.states.is_some() {
        return Difference { extra: Vec::new(), ..compare_one(test, states, listed) };
    }
    // An observation says that states of either kind were seen, never that there are no others.
    let report = Report::new(test, states);
    let [_, sometimes, always] = OBSERVATIONS;
    let seen = listed.observation.as_deref().unwrap_or_default();
    let positive = (seen == sometimes || seen == always) && report.positive == 0;
    let negative = seen != always && !seen.is_empty() && report.negative == 0;
    let other = format!("the log observes {seen}, the model {}", report.observation());
    Difference { other: (positive || negative).then_some(other), ..Difference::default() }
}

/// Where no states are listed, only the observation is compared.
fn compare_one(test: &Test, states: &[State], listed: &Listed) -> Difference {
    let Some(lines) = &listed.states else {
        return match &listed.observation {
            Some(expected) => {
                Difference::of_observation(test, states, "the log observes", expected)
            }
            None => Difference::default(),
        };
    };
    let reader = Reader::new(test);
    match lines.iter().map(|line| reader.read(line)).collect::<Result<Vec<State>, String>>() {
        Ok(expected) => Difference::of_states(test, states, &expected),
        Err(why) => {
            let other = Some(format!("cannot be compared: {why}"));
            Difference { other, ..Difference::default() }
        }
    }
}
