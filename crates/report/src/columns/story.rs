//! From events to rows: which functions are entered, what each event is called, what is folded.

use std::collections::BTreeMap;

use outcome::{Event, Finding, Frame, Level, What};

use super::words::{Voice, words};
use crate::sentences::found;
use crate::text::Role;
use crate::wrap::clean;

/// One row: an event, a function that is entered, or the violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The scheduling step, if this row is the first event of it.
    pub(crate) step: Option<u32>,
    /// Whose row it is; `None` for something that is true of no CPU in particular.
    pub(crate) cpu: Option<u8>,
    /// Depth of nesting.
    pub(crate) depth: usize,
    /// What is said.
    pub(crate) text: String,
    /// Where, if that is new.
    pub(crate) position: Option<Position>,
    /// The instruction, where one is wanted.
    pub(crate) instruction: Option<String>,
    /// `<== property`, at the violated step.
    pub(crate) marker: Option<String>,
    /// How it may be coloured.
    pub(crate) role: Role,
}

/// A source position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) text: String,
    /// Worth a line of its own where the row has no room: not so another line of the file that the
    /// function is known to be in.
    pub(crate) needed: bool,
}

/// How a story is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) voice: Voice,
    pub(crate) utf8: bool,
    /// With source positions.
    pub(crate) positions: bool,
    /// With the instruction of each event.
    pub(crate) instructions: bool,
    /// Addresses: as positions, and before instructions.
    pub(crate) raw: bool,
}

/// The rows of a finding.
pub(crate) fn rows(finding: &Finding, manner: Manner) -> Vec<Row> {
    let mut teller = Teller { manner, cpus: BTreeMap::new(), rows: Vec::new(), step: 0 };
    let other = finding.write;
    let mut index = 0;
    while let Some(event) = finding.events.get(index) {
        let times = match manner.voice {
            Voice::Terminal { verbose: true } => 1,
            _ => repetitions(&finding.events[index..]),
        };
        if event.what == What::Violation {
            let told = |event: &&Event| words(&event.what, event.level, manner.voice).is_some();
            teller.violation(finding, event, finding.events[..index].iter().rfind(told));
        } else {
            let role = if other == Some(index) { Role::Other } else { Role::Plain };
            teller.event(event, times, role);
        }
        index += times;
    }
    teller.rows
}

/// How many events at the start of `events` are one look at a value that does not change: a spin.
fn repetitions(events: &[Event]) -> usize {
    let first = &events[0];
    let spins = match &first.what {
        What::Read { .. } => true,
        What::Update { old, value, .. } => old == value,
        _ => false,
    };
    let functions = |event: &Event| event.stack.iter().map(|f| f.function.clone()).collect();
    let stack: Vec<String> = functions(first);
    let same = |event: &&Event| {
        event.cpu == first.cpu
            && event.level == first.level
            && event.what == first.what
            && functions(event) == stack
    };
    if spins { events.iter().take_while(same).count() } else { 1 }
}

struct Teller {
    manner: Manner,
    /// Per CPU what it is doing, innermost last: its thread, over it the handlers.
    cpus: BTreeMap<u8, Vec<Activity>>,
    rows: Vec<Row>,
    /// The step whose number was shown last.
    step: u32,
}

/// One level of a CPU, while it is active.
struct Activity {
    level: Level,
    /// Depth of its outermost function.
    base: usize,
    stack: Vec<Active>,
}

/// A function that was announced.
struct Active {
    activation: u64,
    /// The position shown last.
    shown: Option<(String, u32)>,
}

impl Activity {
    fn depth(&self) -> usize {
        self.base + self.stack.len()
    }
}

impl Teller {
    fn event(&mut self, event: &Event, times: usize, role: Role) {
        let Some(mut text) = words(&event.what, event.level, self.manner.voice) else { return };
        if times > 1 {
            let sign = if self.manner.utf8 { '×' } else { 'x' };
            text = format!("{text} ({sign}{times})");
        }
        let depth = match event.what {
            What::Ipi { .. } => self.enter_handler(event),
            What::IpiDone { .. } => self.leave_handler(event),
            _ => self.enter_functions(event),
        };
        let position = match event.what {
            What::Ipi { .. }
            | What::IpiDone { .. }
            | What::Drained { .. }
            | What::Cached { .. }
            | What::Stale { .. }
            | What::End => None,
            _ => self.position(event),
        };
        let row = self.row(event, depth, &text);
        self.rows.push(Row { position, role, instruction: self.instruction(event), ..row });
    }

    /// The violation marks the event told `before` it if it comes with that, or stands in a row of
    /// its own.
    fn violation(&mut self, finding: &Finding, event: &Event, before: Option<&Event>) {
        let words = match (self.manner.voice, found(finding)) {
            (Voice::Mail, Some(found)) => found,
            _ => finding.property.clone(),
        };
        let marker = format!("<== {}", clean(&words, self.manner.utf8));
        let comes_with = |before: &&Event| {
            let activations = |event: &Event| -> Vec<u64> {
                event.stack.iter().map(|frame| frame.activation).collect()
            };
            before.cpu == event.cpu
                && before.level == event.level
                && before.step == event.step
                && activations(before) == activations(event)
        };
        let marks_event = finding.cpu.is_some() && before.as_ref().is_some_and(comes_with);
        if let Some(row) = self.rows.last_mut().filter(|_| marks_event) {
            row.marker = Some(marker);
            row.role = Role::Violated;
            return;
        }
        let row = if finding.cpu.is_none() {
            Row { cpu: None, ..self.row(event, 0, &marker) }
        } else {
            let depth = self.enter_functions(event);
            let position = self.position(event);
            Row { position, ..self.row(event, depth, &marker) }
        };
        let instruction = self.instruction(event);
        self.rows.push(Row { instruction, role: Role::Violated, ..row });
    }

    /// A plain row; numbers it if `event` begins a step. What happens before the first step is counted
    /// to that, but a check that fails there is at none.
    fn row(&mut self, event: &Event, depth: usize, text: &str) -> Row {
        let step = (event.step > self.step).then_some(event.step);
        self.step = self.step.max(event.step);
        Row {
            step,
            cpu: Some(event.cpu),
            depth,
            text: clean(text, self.manner.utf8),
            position: None,
            instruction: None,
            marker: None,
            role: Role::Plain,
        }
    }

    /// Announces the functions entered since the last event of this CPU and level. Returns the
    /// depth at which the event stands.
    fn enter_functions(&mut self, event: &Event) -> usize {
        let Manner { voice, utf8, positions, raw, .. } = self.manner;
        let activity = self.activity(event.cpu, event.level);
        let known = activity.stack.iter().zip(&event.stack);
        let common = known.take_while(|(old, new)| old.activation == new.activation).count();
        activity.stack.truncate(common);
        let mut entered = Vec::new();
        for (i, frame) in event.stack.iter().enumerate().skip(common) {
            let innermost = i + 1 == event.stack.len();
            let wanted = positions && !raw && (innermost || verbose(voice));
            let shown = source(frame).filter(|_| wanted);
            entered.push(Row {
                step: None,
                cpu: Some(event.cpu),
                depth: activity.depth(),
                text: clean(&named(&frame.function, voice), utf8),
                position: shown.as_ref().map(|(file, line)| Position {
                    text: clean(&format!("{}:{line}", short(file)), utf8),
                    needed: true,
                }),
                instruction: None,
                marker: None,
                role: Role::Plain,
            });
            activity.stack.push(Active { activation: frame.activation, shown });
        }
        let depth = activity.depth();
        self.rows.append(&mut entered);
        depth
    }

    /// A handler starts, one level below whatever this CPU is doing.
    fn enter_handler(&mut self, event: &Event) -> usize {
        if event.level == Level::Thread {
            self.enter_functions(event);
        }
        let activities = self.cpus.entry(event.cpu).or_default();
        let depth = activities.last().map_or(0, Activity::depth);
        let level = event.level.max(Level::Interrupt);
        activities.push(Activity { level, base: depth + 1, stack: Vec::new() });
        depth
    }

    /// A handler ends: back to the depth at which it started.
    fn leave_handler(&mut self, event: &Event) -> usize {
        let level = event.level.max(Level::Interrupt);
        let activities = self.cpus.entry(event.cpu).or_default();
        activities.retain(|activity| activity.level <= level);
        match activities.pop_if(|activity| activity.level == level) {
            Some(handler) => handler.base.saturating_sub(1),
            None => activities.last().map_or(0, Activity::depth),
        }
    }

    /// What `cpu` does at `level`; whatever was above it has ended.
    fn activity(&mut self, cpu: u8, level: Level) -> &mut Activity {
        let activities = self.cpus.entry(cpu).or_default();
        activities.retain(|activity| activity.level <= level);
        if activities.last().is_none_or(|activity| activity.level < level) {
            let base = activities.last().map_or(0, |below| below.depth() + 1);
            activities.push(Activity { level, base, stack: Vec::new() });
        }
        activities.last_mut().expect("one was pushed if there was none")
    }

    /// The source position of `event`, if it is not the one shown last for its function.
    fn position(&mut self, event: &Event) -> Option<Position> {
        if !self.manner.positions {
            return None;
        }
        if self.manner.raw {
            let instruction = event.instruction.as_ref()?;
            return Some(Position { text: format!("{:x}", instruction.address.0), needed: true });
        }
        let now = source(event.stack.last()?)?;
        let utf8 = self.manner.utf8;
        let active = self.activity(event.cpu, event.level).stack.last_mut()?;
        let (text, needed) = match &active.shown {
            Some(shown) if *shown == now => return None,
            Some((file, _)) if *file == now.0 => (format!(":{}", now.1), false),
            _ => (format!("{}:{}", short(&now.0), now.1), true),
        };
        active.shown = Some(now);
        Some(Position { text: clean(&text, utf8), needed })
    }

    fn instruction(&self, event: &Event) -> Option<String> {
        let instruction = event.instruction.as_ref().filter(|_| self.manner.instructions)?;
        let mut text = format!("{}  {}", instruction.symbol, instruction.text);
        if self.manner.raw {
            text.insert_str(0, &format!("{:x}  ", instruction.address.0));
        }
        Some(clean(&text, self.manner.utf8))
    }
}

fn verbose(voice: Voice) -> bool {
    voice == Voice::Terminal { verbose: true }
}

/// A function as `voice` names it.
fn named(function: &str, voice: Voice) -> String {
    let bare = voice == Voice::Mail && !function.contains('(');
    if bare { format!("{function}()") } else { function.to_owned() }
}

fn source(frame: &Frame) -> Option<(String, u32)> {
    Some((frame.file.clone()?, frame.line?))
}

/// A file's name; with its folder where the name alone says nothing.
pub(crate) fn short(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').filter(|part| !matches!(*part, "" | "src")).collect();
    match parts.as_slice() {
        [.., folder, name @ ("lib.rs" | "main.rs" | "mod.rs")] => format!("{folder}/{name}"),
        [.., name] => (*name).to_owned(),
        [] => file.to_owned(),
    }
}
