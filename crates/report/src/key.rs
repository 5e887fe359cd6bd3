//! What identifies a finding: the violating CPU's function, and the other party's.

use outcome::{Event, Finding, Outcome, What};

use crate::wrap::clean;

/// `lamprey: PROPERTY in FUNC1 / FUNC2`: the same for every run that shows one bug, for grouping
/// and search.
///
/// FUNC1 is the innermost function in which the property is violated, or the last one its CPU was
/// in if it is in none there. FUNC2 is the function of the other party's step. What is not known,
/// or would say the same twice, is left out. Without a finding the line names the verdict.
pub fn first_line(outcome: &Outcome) -> String {
    let Some(finding) = &outcome.finding else {
        let word = crate::verdict_word(outcome.verdict).to_lowercase();
        return clean(&format!("lamprey: {word}: {}", outcome.scenario), true);
    };
    let last = finding.events.len().checked_sub(1);
    let mut functions: Vec<&str> = function_of(finding, last).into_iter().collect();
    let other = function_of(finding, other_party(finding));
    functions.extend(other.filter(|other| functions.first() != Some(other)));
    let place = match functions.as_slice() {
        [] => String::new(),
        some => format!(" in {}", some.join(" / ")),
    };
    clean(&format!("lamprey: {}{place}", finding.property), true)
}

/// The CPU on which the property is violated.
pub(crate) fn violating_cpu(finding: &Finding) -> Option<u8> {
    finding.cpu.or_else(|| finding.events.last().map(|event| event.cpu))
}

/// The event at which the other CPU did its part: the last write to what the finding is about, else the
/// last step of another CPU that changes anything.
pub(crate) fn other_party(finding: &Finding) -> Option<usize> {
    let cpu = violating_cpu(finding)?;
    let by_other = |event: &Event| event.cpu != cpu;
    let write = finding.write.filter(|&i| finding.events.get(i).is_some_and(by_other));
    write.or_else(|| {
        finding.events.iter().rposition(|event| by_other(event) && changes_something(&event.what))
    })
}

fn function_of(finding: &Finding, index: Option<usize>) -> Option<&str> {
    let index = index?;
    let event = finding.events.get(index)?;
    finding.events[..=index]
        .iter()
        .rev()
        .filter(|earlier| earlier.cpu == event.cpu)
        .find_map(|earlier| earlier.stack.last())
        .map(|frame| without_arguments(&frame.function))
}

/// `prctl_enable_tagged_addr(A, 6)` without what differs between runs.
fn without_arguments(function: &str) -> &str {
    match function.split_once('(') {
        Some((name, arguments)) if !name.is_empty() && arguments.ends_with(')') => name,
        _ => function,
    }
}

fn changes_something(what: &What) -> bool {
    match what {
        What::Update { old, value, .. } => old != value,
        What::Write { .. }
        | What::Drained { .. }
        | What::Cached { .. }
        | What::Stale { .. }
        | What::WriteCr3 { .. }
        | What::WriteRegister { .. }
        | What::Invlpg { .. }
        | What::Invpcid { .. }
        | What::SendIpi { .. } => true,
        _ => false,
    }
}
