//! `run`: boots a kernel, with its serial line on standard output.

use std::ops::ControlFlow;

use check::run::{Ended, Event, Options, Run};

use crate::args;
use crate::error::Error;
use crate::exit::Exit;
use crate::interrupt;
use crate::ui::{OutputError, Ui};

/// The value that the guest writes to port F4H on success.
const SUCCESS: u32 = 0x10;

/// Runs `run`.
pub(crate) fn run(args: &args::RunArgs, ui: &mut Ui) -> Result<Exit, Error> {
    let options = Options {
        cpus: args.cpus,
        memory: args.memory,
        seed: args.seed,
        limit: args.limit,
        trace: args.trace,
    };
    let mut run = Run::open(&args.image, options)?;
    let mut line = SerialLine::default();
    let ended = run.go(&mut |event| line.on_event(event, ui));
    line.end(ui)?;
    Ok(tell(&run, &ended, ui))
}

/// The serial line: bytes that are not printed yet, and an error of printing.
#[derive(Debug, Default)]
struct SerialLine {
    bytes: Vec<u8>,
    failed: Option<OutputError>,
}

impl SerialLine {
    fn on_event(&mut self, event: Event<'_>, ui: &mut Ui) -> ControlFlow<()> {
        match event {
            Event::Output(bytes) => {
                self.bytes.extend_from_slice(bytes);
                let whole = self.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
                self.print(whole, ui)
            }
            Event::Instruction { cpu, rip, text } => {
                self.trace(format_args!("cpu{cpu} {rip:x}: {text}"), ui)
            }
            Event::Delivery { cpu, vector, rip } => {
                self.trace(format_args!("cpu{cpu} takes vector {vector}, to {rip:x}"), ui)
            }
            Event::Turn if interrupt::is_requested() => ControlFlow::Break(()),
            Event::Turn => ControlFlow::Continue(()),
        }
    }

    fn trace(&self, words: std::fmt::Arguments<'_>, ui: &mut Ui) -> ControlFlow<()> {
        ui.trace(words);
        ControlFlow::Continue(())
    }

    /// Prints the first `count` bytes.
    fn print(&mut self, count: usize, ui: &mut Ui) -> ControlFlow<()> {
        if count == 0 {
            return ControlFlow::Continue(());
        }
        let text: Vec<u8> = self.bytes.drain(..count).collect();
        match ui.print(&String::from_utf8_lossy(&text)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Prints the remaining bytes.
    fn end(mut self, ui: &mut Ui) -> Result<(), OutputError> {
        if self.failed.is_none() {
            let _ = self.print(self.bytes.len(), ui);
        }
        self.failed.map_or(Ok(()), Err)
    }
}

/// Prints how the run ended, unless it succeeded.
fn tell(run: &Run, ended: &Ended, ui: &mut Ui) -> Exit {
    match ended {
        Ended::Exit(SUCCESS) => Exit::Passed,
        Ended::Exit(status) => {
            ui.error(format_args!("the guest ended with {status:#x}; {SUCCESS:#x} is success"));
            Exit::Violated
        }
        Ended::TripleFault { cpu, rip, faults } => {
            let faults = faults.join(", then ");
            ui.error(format_args!("CPU{cpu}: triple fault at {}: {faults}", run.place(*rip)));
            Exit::Violated
        }
        Ended::Halted => {
            ui.error("every CPU is halted and nothing can wake one; the guest did not end the run");
            Exit::Violated
        }
        Ended::Limit(places) => {
            let cpus = (0..).zip(places);
            let cpus: Vec<String> = cpus
                .map(|(cpu, rip): (u32, &u64)| format!("CPU{cpu} at {}", run.place(*rip)))
                .collect();
            ui.error(format_args!(
                "not ended after {} instructions: {}; a larger --limit lets it continue",
                run.time(),
                cpus.join(", ")
            ));
            Exit::Undecided
        }
        Ended::Gap { cpu, rip, what, instruction } => {
            let instruction = instruction.as_ref().map(|text| format!(": {text}"));
            ui.error(format_args!(
                "not modelled: {what}; CPU{cpu} at {}{}",
                run.place(*rip),
                instruction.unwrap_or_default()
            ));
            Exit::Undecided
        }
        Ended::Stopped => Exit::Interrupted,
    }
}
