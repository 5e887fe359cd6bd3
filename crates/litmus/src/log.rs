//! Logs of herd and litmus7, and how a set of final states differs from one.

use std::collections::BTreeMap;

use crate::report::Report;
use crate::states::StateReader;
use crate::test::{FinalState, OBSERVATIONS, Test};

/// A log: its entries for each test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Entries by the tests' names, which different tests may share.
    pub tests: BTreeMap<String, Vec<LogEntry>>,
}

/// An entry of a log, about one test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// The first line of the entry, from 1.
    pub line: usize,
    /// The states, one line each; none if the log has only the observation.
    pub states: Option<Vec<String>>,
    /// `Never`, `Sometimes` or `Always`.
    pub observation: Option<String>,
}

/// A syntax error in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LogError {
    /// Line number, from 1.
    pub line: usize,
    /// The message.
    pub message: String,
}

impl Log {
    /// Reads a log: for each test `Test NAME …`, then `States N` or `Histogram (N states)` with that many
    /// lines, then `Observation NAME WORD …`. An observation may appear alone. All other lines are skipped.
    ///
    /// # Errors
    ///
    /// Fails if states are missing or too many, or if the log has no test.
    pub fn parse(text: &str) -> Result<Log, LogError> {
        let mut log = Log::default();
        let mut current: Option<(String, LogEntry)> = None;
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["Test", name, ..] => {
                    log.end(current.take());
                    current = Some((name.into(), LogEntry { line: number, ..LogEntry::default() }));
                }
                ["States", count] | ["Histogram", count, "states)" | "state)"] => {
                    let Some((_, listed)) = &mut current else { continue };
                    let count = count.trim_start_matches('(').parse::<usize>();
                    let Ok(count) = count else { continue };
                    let states: Vec<String> =
                        lines.by_ref().take(count).map(|(_, line)| state(line)).collect();
                    let is_state = |state: &String| state.is_empty() || state.ends_with(';');
                    if states.len() < count || !states.iter().all(is_state) {
                        let message = format!("{count} states are announced, but fewer follow");
                        return Err(LogError { line: number, message });
                    }
                    if lines.clone().next().is_some_and(|(_, line)| is_state_line(line)) {
                        let message = format!("{count} states are announced, but more follow");
                        return Err(LogError { line: number, message });
                    }
                    listed.states = Some(states);
                }
                ["Observation", name, word, ..] => {
                    if current.as_ref().is_none_or(|(known, _)| known != name) {
                        log.end(current.take());
                        current =
                            Some((name.into(), LogEntry { line: number, ..LogEntry::default() }));
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
            let message = "this is not a log of herd or litmus7: no line starts with `Test`".into();
            return Err(LogError { line: 1, message });
        }
        Ok(log)
    }

    fn end(&mut self, test: Option<(String, LogEntry)>) {
        if let Some((name, listed)) = test {
            self.tests.entry(name).or_default().push(listed);
        }
    }
}

/// Returns whether a line is a state with contents.
fn is_state_line(line: &str) -> bool {
    line.contains('=') && line.trim_end().ends_with(';')
}

/// Returns the state in a line such as `12 *>0:rax=0;`, without the number of times it was seen.
fn state(line: &str) -> String {
    let line = line.trim();
    let Some((count, state)) = line.split_once('>') else { return line.into() };
    let counts = |c: char| c.is_ascii_digit() || c.is_whitespace() || c == ':' || c == '*';
    if count.chars().all(counts) { state.trim().into() } else { line.into() }
}

/// The difference between the final states of a test and the expected ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDifference {
    /// Expected states that no run ends in.
    pub missing: Vec<String>,
    /// States that some run ends in but that are not expected.
    pub extra: Vec<String>,
    /// Any other difference: another observation, or a list that cannot be compared.
    pub other: Option<String>,
}

impl StateDifference {
    /// Returns whether there is no difference.
    pub fn is_none(&self) -> bool {
        *self == StateDifference::default()
    }

    /// Returns the difference between two sets of states of `test`.
    pub fn of_states(
        test: &Test,
        states: &[FinalState],
        expected: &[FinalState],
    ) -> StateDifference {
        let but = |all: &[FinalState], without: &[FinalState]| {
            let rest: Vec<FinalState> =
                all.iter().filter(|state| !without.contains(state)).cloned().collect();
            test.lines(&rest)
        };
        StateDifference {
            missing: but(expected, states),
            extra: but(states, expected),
            other: None,
        }
    }

    /// Returns the difference between the observation of `states` and the one that `who` expects.
    pub fn of_observation(
        test: &Test,
        states: &[FinalState],
        who: &str,
        expected: &str,
    ) -> StateDifference {
        let observed = Report::new(test, states).observation();
        let other = format!("{who} {expected}, the model {observed}");
        StateDifference {
            other: (expected != observed).then_some(other),
            ..StateDifference::default()
        }
    }
}

/// Returns the difference between the final states of `test` and the entry of a log under its name,
/// and the line of the entry. If there are several entries, one that agrees is enough.
///
/// # Panics
///
/// Panics if `listed` is empty.
pub fn compare(
    test: &Test,
    states: &[FinalState],
    listed: &[LogEntry],
) -> (usize, StateDifference) {
    let compared = || listed.iter().map(|one| (one.line, compare_one(test, states, one)));
    let agrees = compared().find(|(_, difference)| difference.is_none());
    agrees.or_else(|| compared().next()).expect("something is listed")
}

/// Returns the states that a processor has shown, by the entries of a log under the name of `test`,
/// but that are not among its final states, and the line of the entry. A processor need not show
/// all allowed states; if several runs are listed, each must be a subset.
///
/// # Panics
///
/// Panics if `listed` is empty.
pub fn compare_subset(
    test: &Test,
    states: &[FinalState],
    listed: &[LogEntry],
) -> (usize, StateDifference) {
    let compared = || listed.iter().map(|one| (one.line, subset(test, states, one)));
    let differs = compared().find(|(_, difference)| !difference.is_none());
    differs.or_else(|| compared().next()).expect("something is listed")
}

fn subset(test: &Test, states: &[FinalState], listed: &LogEntry) -> StateDifference {
    if listed.states.is_some() {
        return StateDifference { extra: Vec::new(), ..compare_one(test, states, listed) };
    }
    // An observation says that states of either kind were seen, never that there are no others.
    let report = Report::new(test, states);
    let [_, sometimes, always] = OBSERVATIONS;
    let seen = listed.observation.as_deref().unwrap_or_default();
    let positive = (seen == sometimes || seen == always) && report.positive == 0;
    let negative = seen != always && !seen.is_empty() && report.negative == 0;
    let other = format!("the log observes {seen}, the model {}", report.observation());
    StateDifference { other: (positive || negative).then_some(other), ..StateDifference::default() }
}

/// Returns the difference from one entry. Without states, compares only the observation.
fn compare_one(test: &Test, states: &[FinalState], listed: &LogEntry) -> StateDifference {
    let Some(lines) = &listed.states else {
        return match &listed.observation {
            Some(expected) => {
                StateDifference::of_observation(test, states, "the log observes", expected)
            }
            None => StateDifference::default(),
        };
    };
    let reader = StateReader::new(test);
    match lines.iter().map(|line| reader.read(line)).collect::<Result<Vec<FinalState>, String>>() {
        Ok(expected) => StateDifference::of_states(test, states, &expected),
        Err(why) => {
            let other = Some(format!("cannot be compared: {why}"));
            StateDifference { other, ..StateDifference::default() }
        }
    }
}
