//! One event in words.

use outcome::{Level, What};

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
        What::Read { object, value } => format!("read {object} {equals} {value}"),
        What::Write { object, value, .. } if voice == Voice::Mail => format!("{object} = {value}"),
        What::Write { object, old, value } => {
            with_old(format!("write {object} = {value}"), old, verbose)
        }
        What::Update { object, old, value } if old == value => {
            format!("atomic {object}: {value} (unchanged)")
        }
        What::Update { object, old, value } => format!("atomic {object}: {old} -> {value}"),
        What::WriteRegister { register, old, value } => {
            with_old(format!("{register} = {value}"), old, verbose)
        }
        What::Hardware { text } => format!("~ {text}"),
        What::Invalidate { text } | What::Note { text } => text.clone(),
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
        What::User { access, pointer, result } => format!("user {access} {pointer} -> {result}"),
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
