//! An outcome for other tools.

use outcome::{Event, Finding, Mark, Outcome, Place, Reason, Verdict};
use serde_json::{Value, json as object};

use crate::{Context, first_line};

/// Version of all objects that are printed: raised where a key is removed or changes its meaning.
pub const VERSION: u32 = 1;

/// The outcome as one object. Keys are in snake_case, are always there, and are `null` where there
/// is nothing to say; keys may be added, none changes its meaning within a version.
///
/// | key | value |
/// |---|---|
/// | `version` | [`VERSION`] |
/// | `name`, `about` | the scenario and the first line of its documentation |
/// | `verdict` | `pass`, `fail`, `found`, `lost`, `undecided` or `skip` |
/// | `property` | the violated property |
/// | `finds` | the property that the scenario declares to violate |
/// | `key` | as [`first_line`] |
/// | `cpus`, `states`, `transitions`, `transitions_all`, `instructions`, `depth`, `rounds`, `shared_words` | figures of the search |
/// | `switches` | of the counterexample; else the bound up to which every run is known, or null |
/// | `livelocks_apart` | whether that bound does not hold for livelocks |
/// | `steps` | of the trail |
/// | `seconds`, `peak_memory`, `bytes_per_state` | wall-clock seconds, bytes, bytes |
/// | `warnings` | list of sentences, whatever the verdict |
/// | `marks` | list of `{name, reached}` |
/// | `bounds` | `{cpus, memory_model, built_for, others}` |
/// | `reason` | `{sentence, place, instruction, cpu}` |
/// | `finding` | `{property, sentence, expected, found, cpu, place, switches, steps, shortest, folded, events}` |
/// | `image` | `{name, id, compiler}` |
/// | `trail`, `replay` | name of the trail, command that runs it |
///
/// A `place` is `{symbol, file, line}`. An event is `{step, cpu, level, stack, instruction, what}`;
/// `what` has a `kind` in kebab-case and the fields of [`outcome::What`]; an instruction's
/// `address` is a string, `0x…`, for a number would lose digits in many readers.
pub fn json(outcome: &Outcome, context: &Context) -> Value {
    let stats = &outcome.stats;
    let finding = outcome.finding.as_ref();
    object!({
        "version": VERSION,
        "name": outcome.scenario,
        "about": outcome.about,
        "verdict": verdict(outcome.verdict),
        "property": finding.map(|finding| &finding.property),
        "finds": outcome.finds,
        "key": first_line(outcome),
        "cpus": outcome.cpus,
        "states": stats.states,
        "transitions": stats.transitions,
        "transitions_all": stats.transitions_all,
        "instructions": stats.instructions,
        "depth": stats.depth,
        "switches": finding.map_or(stats.switches, |finding| Some(finding.switches)),
        "livelocks_apart": stats.livelocks_apart,
        "rounds": stats.rounds,
        "shared_words": stats.shared_words,
        "steps": finding.map(|finding| finding.steps),
        "seconds": stats.seconds,
        "peak_memory": stats.peak_bytes,
        "bytes_per_state": stats.bytes_per_state,
        "warnings": outcome.warnings,
        "marks": outcome.marks.iter().map(mark).collect::<Vec<_>>(),
        "bounds": {
            "cpus": outcome.cpus,
            "memory_model": outcome.bounds.memory_model,
            "built_for": outcome.bounds.built_for,
            "others": outcome.bounds.others,
        },
        "reason": outcome.reason.as_ref().map(reason),
        "finding": finding.map(told),
        "image": {
            "name": outcome.image.name,
            "id": outcome.image.id,
            "compiler": outcome.image.compiler,
        },
        "trail": context.trail,
        "replay": context.replay,
    })
}

fn verdict(verdict: Verdict) -> String {
    crate::verdict_word(verdict).to_lowercase()
}

fn mark(mark: &Mark) -> Value {
    object!({ "name": mark.name, "reached": mark.reached })
}

fn reason(reason: &Reason) -> Value {
    object!({
        "sentence": reason.sentence,
        "place": reason.place.as_ref().map(place),
        "instruction": reason.instruction,
        "cpu": reason.cpu,
    })
}

fn place(place: &Place) -> Value {
    object!({ "symbol": place.symbol, "file": place.file, "line": place.line })
}

fn told(finding: &Finding) -> Value {
    object!({
        "property": finding.property,
        "sentence": finding.sentence,
        "expected": finding.expected,
        "found": finding.found,
        "cpu": finding.cpu,
        "place": finding.place.as_ref().map(place),
        "switches": finding.switches,
        "steps": finding.steps,
        "shortest": finding.shortest,
        "folded": finding.folded,
        "events": events(finding),
    })
}

/// The events as [`outcome`] serialises them, addresses apart.
fn events(finding: &Finding) -> Vec<Value> {
    let value = |event: &Event| {
        let mut value = serde_json::to_value(event).expect("an event has only string keys");
        let address = value.pointer_mut("/instruction/address");
        if let (Some(address), Some(at)) = (address, &event.instruction) {
            *address = Value::String(format!("{:#x}", at.address));
        }
        value
    };
    finding.events.iter().map(value).collect()
}
