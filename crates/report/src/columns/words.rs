//! One event in words.

use outcome::{Level, Object, Value, What};

use crate::facts;

/// Who is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A reader at a terminal: `write x = 1`.
    Terminal {
        /// With values before a write, and with marks.
        verbose: bool,
    },
    /// A kernel list: `x = 1`, `read x == 1`, `function()`.
    Mail,
}

/// What happens, or `None` if this voice does not tell it.
pub(crate) fn words(what: &What, level: Level, voice: Voice) -> Option<String> {
    let verbose = voice == Voice::Terminal { verbose: true };
    let equals = if voice == Voice::Mail { "==" } else { "=" };
    Some(match what {
        What::Read { object, value } => {
            format!("read {} {equals} {}", facts::object(object), facts::value(value))
        }
        What::Write { object, old, value } => {
            let (object, value) = (facts::object(object), facts::value(value));
            match voice {
                Voice::Mail => format!("{object} = {value}"),
                _ => with_old(format!("write {object} = {value}"), &facts::value(old), verbose),
            }
        }
        What::Update { object, old, value } if old == value => {
            format!("atomic {}: {} (unchanged)", facts::object(object), facts::value(value))
        }
        What::Update { object, old, value } => {
            format!("atomic {}", changes(object, old, value))
        }
        What::Drained { object, old, value } => {
            format!("~ store buffer drains: {}", changes(object, old, value))
        }
        What::WriteCr3 { old, value } => {
            with_old(format!("CR3 = {}", facts::cr3(value)), &facts::cr3(old), verbose)
        }
        What::WriteRegister { register, old, value } => {
            with_old(format!("{register} = {value}"), &old.to_string(), verbose)
        }
        What::Cached { entry, .. } => format!("~ {}", facts::may_keep(entry)),
        What::Stale { route } => format!("~ {}", facts::uses(route)),
        What::Invlpg { va, is_canonical: true } => format!("invlpg {va}"),
        What::Invlpg { va, is_canonical: false } => {
            format!("invlpg {va} (not canonical: nothing)")
        }
        What::Invpcid { operation, pcid, va } => {
            format!("invpcid {operation} {{pcid {pcid}, {va}}}")
        }
        What::FrameFreed { frame } => format!("{} is free", facts::frame(frame, "frame")),
        What::Note { text } => text.clone(),
        What::Interrupts { on: true } => "interrupts on".into(),
        What::Interrupts { on: false } => "interrupts off".into(),
        What::SendIpi { to, vector } => format!("send {} to CPU{to}", interrupt(*vector)),
        What::Ipi { vector, from } => {
            let from = from.map(|cpu| format!(" from CPU{cpu}")).unwrap_or_default();
            match level {
                Level::Nmi => format!("<- nmi{from}"),
                _ => format!("<- {}{from}", interrupt(*vector)),
            }
        }
        What::IpiDone { vector } if level == Level::Nmi || *vector == NMI => "nmi done".into(),
        What::IpiDone { .. } => "ipi done".into(),
        What::User { access, pointer, fault } => {
            let result = fault.as_ref().map_or("ok".into(), |it| facts::exception(it.vector));
            format!("user {} {pointer} -> {result}", facts::access(*access))
        }
        What::Mark { name } if verbose => format!("mark \"{name}\""),
        What::Choose { of, picked } => format!("choose({of}) = {picked}"),
        What::Halt => "halt".into(),
        What::End => "ends".into(),
        What::Mark { .. } | What::Violation => return None,
    })
}

/// The vector which, sent through the interrupt controller, is an NMI.
const NMI: u8 = 2;

fn interrupt(vector: u8) -> String {
    if vector == NMI { "nmi".into() } else { format!("ipi {vector}") }
}

fn with_old(text: String, old: &str, told: bool) -> String {
    if told { format!("{text} (was {old})") } else { text }
}

/// `hits: 0 -> 1`.
fn changes(object: &Object, old: &Value, value: &Value) -> String {
    format!("{}: {} -> {}", facts::object(object), facts::value(old), facts::value(value))
}
