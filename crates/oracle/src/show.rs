//! Programs and disagreements as text.

use std::fmt::Write;

use crate::compare::Disagreement;
use crate::outcome::Outcome;
use crate::program::{Code, Program};

/// The program, code by code.
pub fn show(program: &Program) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "data {:x?}", program.initial);
    if let Some(tables) = &program.tables {
        let _ = writeln!(text, "tables {tables:x?}");
    }
    for (kind, checks) in [("always", &program.always), ("finally", &program.finally)] {
        for check in checks {
            let _ = writeln!(text, "{kind} {check:?}");
        }
    }
    for code in program.codes() {
        let title = match code {
            Code::Cpu(cpu) => format!("CPU {cpu}"),
            Code::Handler(number) => {
                let handler = &program.handlers[usize::from(number)];
                let kind = if handler.raw { "raw" } else { "called" };
                format!("handler of {:#x}, {kind}", handler.vector)
            }
            Code::Nmi => {
                let raw = program.nmi.as_ref().is_some_and(|handler| handler.raw);
                let kind = if raw { "raw" } else { "called" };
                format!("NMI handler, {kind}, budget {}", program.nmi_budget)
            }
        };
        let _ = writeln!(text, "{title}");
        for (at, op) in program.code(code).iter().enumerate() {
            let _ = writeln!(text, "  {at:2}  {op:x?}");
        }
    }
    text
}

/// What both say, and in which they differ.
pub fn show_disagreement(program: &Program, disagreement: &Disagreement) -> String {
    let Disagreement { mode, naive, searched } = disagreement;
    let mut text = show(program);
    let mut side = |name: &str, this: &Outcome, other: &Outcome| {
        let _ = writeln!(
            text,
            "{name}: {:?}, switches {:?}, {} ends",
            this.bad,
            this.switches,
            this.ends.len()
        );
        for end in this.ends.difference(&other.ends).take(8) {
            let _ = writeln!(text, "  only here {end:x?}");
        }
        for end in this.ends.intersection(&other.ends).take(4) {
            let _ = writeln!(text, "  both {end:x?}");
        }
    };
    side("enumerator", naive, searched);
    side(&format!("search, {mode:?}"), searched, naive);
    text
}
