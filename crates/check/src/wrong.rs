//! Violations with names, and the events that they refer to.

use explore::What;
use machine::{Access, Agent, Bad, Kept, Machine, Route, State, Violation};
use outcome::{AccessKind, Details, Exception, Waiting};

use crate::guest::Guest;
use crate::names::{Names, level};
use crate::narrate::{Narrator, Raw, Story};

/// Vector of a page fault.
const PAGE_FAULT: u8 = 14;

/// Attaches names to a violation.
pub(crate) fn details(guest: &Guest, machine: &Machine, bad: &Bad) -> Details {
    let names = Names::new(&guest.image, machine);
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    match &bad.what {
        Violation::Failure(failure) => Details::Check {
            sentence: failure.sentence.clone(),
            expected: some(&failure.expected),
            found: some(&failure.found),
        },
        Violation::Fault(fault) => {
            let undefined = fault.vector == machine::Fault::UD.vector;
            let lacks = if undefined { machine.lacking(bad.rip) } else { None };
            Details::Fault {
                exception: Exception { vector: fault.vector, code: fault.code },
                address: (fault.vector == PAGE_FAULT).then(|| names.object(fault.va)),
                instruction: machine.disassembly(bad.rip),
                lacks: lacks.map(|set| set.to_string()),
            }
        }
        Violation::Endless => Details::Endless,
        Violation::InterruptsOff => Details::InterruptsOff { cpu: bad.agent.cpu() },
        Violation::FreedFrame { cpu, frame, route } => {
            Details::FreedFrame { cpu: *cpu, frame: names.frame(*frame), route: names.route(route) }
        }
        Violation::FreedUnderStore { cpu, frame } => {
            Details::FreedUnderStore { cpu: *cpu, frame: names.frame(*frame) }
        }
        Violation::FreedTwice { frame } => {
            Details::FreedTwice { cpu: bad.agent.cpu(), frame: names.frame(*frame) }
        }
        Violation::FreedTable { cpu, frame, route } => {
            Details::FreedTable { cpu: *cpu, frame: names.frame(*frame), route: names.route(route) }
        }
        Violation::StackUseAfterReturn { by, write, owner, va, below } => {
            Details::StackUseAfterReturn {
                by: named(*by),
                access: if *write { AccessKind::Write } else { AccessKind::Read },
                owner: named(*owner),
                object: names.object(*va),
                below: *below,
            }
        }
    }
}

fn named(agent: Agent) -> outcome::Agent {
    outcome::Agent { cpu: agent.cpu(), level: level(agent) }
}

/// Tells whether the story of a violation needs changes of the interrupt flag.
pub(crate) fn is_about_interrupts(bad: &Bad) -> bool {
    matches!(bad.what, Violation::InterruptsOff)
}

/// The events that a finding refers to, by their indices.
#[derive(Clone, Copy, Default)]
pub(crate) struct References {
    /// The event since which it is so.
    pub(crate) since: Option<usize>,
    /// The last write to what it is about.
    pub(crate) write: Option<usize>,
}

/// Finds the events that a violation refers to.
pub(crate) fn references(bad: &Bad, narrator: &Narrator<'_>, story: &Story) -> References {
    if let Violation::Failure(failure) = &bad.what {
        let write = mentioned_write(story, [&failure.expected, &failure.found]);
        return References { since: None, write };
    }
    let raw = &narrator.raw;
    let since = raw.iter().rposition(|raw| begins(&bad.what, bad.agent.cpu(), raw));
    let write = since.and_then(|since| match raw[since].access {
        Access::Cached { entry, .. } => change(&raw[..since], entry),
        _ => None,
    });
    let event = |raw: Option<usize>| raw.and_then(|raw| story.event_of(raw));
    References { since: event(since), write: event(write) }
}

/// Finds the store that has changed a paging-structure entry last. One that was buffered has changed it when it
/// left the store buffer, and others may have been made since.
fn change(raw: &[Raw], entry: u64) -> Option<usize> {
    let is_there = |va: u64| va & !7 == entry;
    let drains = |raw: &Raw| matches!(raw.access, Access::Drain { va, .. } if is_there(va));
    let stores = |raw: &Raw, in_buffer: bool| matches!(raw.access, Access::Store { va, buffered, .. } if is_there(va) && buffered == in_buffer);
    let last = raw.iter().rposition(|raw| drains(raw) || stores(raw, false))?;
    if !drains(&raw[last]) {
        return Some(last);
    }
    // A store buffer is emptied in order.
    let cpu = raw[last].agent.cpu();
    let of_cpu = || raw[..=last].iter().enumerate().filter(|(_, raw)| raw.agent.cpu() == cpu);
    let before = of_cpu().filter(|(_, raw)| drains(raw)).count() - 1;
    of_cpu().filter(|(_, raw)| stores(raw, true)).nth(before).map(|(at, _)| at)
}

/// Tells whether what is violated, on `cpu`, is so since `raw` at the latest.
fn begins(what: &Violation, cpu: u8, raw: &Raw) -> bool {
    let left = |of: u8, kept: &Kept| {
        of == raw.agent.cpu()
            && matches!(&raw.access, Access::Cached { kept: left, .. } if left == kept)
    };
    match what {
        Violation::FreedFrame { cpu, route, .. } | Violation::FreedTable { cpu, route, .. } => {
            match route {
                Route::Kept(kept) => left(*cpu, kept),
                Route::Walk { .. } | Route::Entries { .. } => {
                    *cpu == raw.agent.cpu()
                        && matches!(raw.access, Access::WriteRegister { register: "CR3", .. })
                }
                Route::Partly { .. } => false,
            }
        }
        Violation::FreedTwice { frame } => {
            matches!(raw.access, Access::FrameFreed { pa } if pa == *frame)
        }
        Violation::InterruptsOff => {
            cpu == raw.agent.cpu() && raw.access == Access::InterruptFlag { on: false }
        }
        Violation::Failure(_)
        | Violation::Fault(_)
        | Violation::Endless
        | Violation::FreedUnderStore { .. }
        | Violation::StackUseAfterReturn { .. } => false,
    }
}

/// The last write to an object that a check's own words mention, by whatever CPU: what the guest says is
/// text, and a name in it the only link to what it means.
fn mentioned_write(story: &Story, texts: [&String; 2]) -> Option<usize> {
    story.events.iter().rposition(|event| match &event.what {
        outcome::What::Write { object, .. } | outcome::What::Update { object, .. } => {
            let name = object.name.as_deref().unwrap_or_default();
            texts.into_iter().any(|text| mentions(text, name))
        }
        _ => false,
    })
}

/// Tells whether `text` contains `object` as a whole name.
fn mentions(text: &str, object: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    !object.is_empty()
        && text.match_indices(object).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + object.len()..].chars().next();
            !before.is_some_and(|c| in_name(c) || c == '.') && !after.is_some_and(in_name)
        })
}

/// Lists the CPUs that have not ended, in a state that no run leaves to an end. Returns the agent at which it
/// shows as well.
pub(crate) fn hang(
    guest: &Guest,
    hang: &What<Bad>,
    state: &State,
    narrator: &Narrator<'_>,
) -> (Details, Option<Agent>) {
    let mut waiting = Vec::new();
    let mut shown = None;
    for cpu in 0..state.cpu_count() {
        let agent = state.cpu(cpu).level(cpu);
        let is_halted = match state.cpu(cpu).activity() {
            machine::Activity::Ended if agent == Agent::thread(cpu) => continue,
            activity => activity == machine::Activity::Halted,
        };
        shown.get_or_insert(agent);
        // A halted CPU stands behind its HLT, which is one byte long (SDM vol. 2).
        let behind = u64::from(is_halted && agent == Agent::thread(cpu));
        let rip = state.cpu(cpu).rip().wrapping_sub(behind);
        let place = narrator.stacks.place(&guest.image, agent, rip);
        waiting.push(Waiting { cpu, is_halted, place });
    }
    let details = match hang {
        What::Livelock => Details::Livelock { waiting },
        _ => Details::Deadlock { waiting },
    };
    (details, shown)
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_mention_is_a_whole_name() {
        assert!(mentions("1, from mm_a.mask.", "mm_a.mask"));
        assert!(!mentions("1, from mm_a.mask_old", "mm_a.mask"));
        assert!(!mentions("1, from a.mask", "mask"));
        assert!(mentions("mm_a.mask_old and mm_a.mask", "mm_a.mask"));
        assert!(!mentions("anything", ""));
    }
}
