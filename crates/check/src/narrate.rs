//! A run told as events.

use machine::{Access, Agent, CR4_PCIDE, Flow, Kind, Seen, State, Watch};
use outcome::{AccessKind, Event, Exception, Hex, Instruction, What};

use crate::guest::Guest;
use crate::model::Model;
use crate::names::{Names, level};
use crate::stacks::{Stacks, symbol};

/// Watches a run and keeps what a reader must know of it.
pub(crate) struct Narrator<'a> {
    guest: &'a Guest,
    scenario: &'a str,
    pub(crate) stacks: Stacks,
    pub(crate) raw: Vec<Raw>,
    /// The number of the step that is running, from 1; 0 before the first.
    pub(crate) step: u32,
    instructions: u64,
    /// Off while an invariant runs: its accesses are nobody's.
    pub(crate) listening: bool,
    /// Values of atomic loads whose store has not come yet.
    open: Vec<(u64, u64)>,
}

/// An event before objects have their names.
pub(crate) struct Raw {
    step: u32,
    pub(crate) agent: Agent,
    stack: Vec<outcome::Frame>,
    rip: u64,
    pub(crate) access: Access,
}

/// The story of a run.
pub(crate) struct Story {
    /// The events, named.
    pub(crate) events: Vec<Event>,
    /// For each of them, which of [`Narrator::raw`] it is.
    origins: Vec<usize>,
    /// Instructions that are not among them.
    pub(crate) folded: u64,
}

impl Story {
    /// The event that tells of this access, if one does.
    pub(crate) fn event_of(&self, raw: usize) -> Option<usize> {
        self.origins.iter().position(|origin| *origin == raw)
    }
}

impl<'a> Narrator<'a> {
    pub(crate) fn new(guest: &'a Guest, scenario: &'a str) -> Narrator<'a> {
        Narrator {
            guest,
            scenario,
            stacks: Stacks::default(),
            raw: Vec::new(),
            step: 0,
            instructions: 0,
            listening: true,
            open: Vec::new(),
        }
    }

    /// The event of the violation itself.
    pub(crate) fn violation(&mut self, agent: Agent, rip: u64) -> Event {
        let stack = self.frames(agent, rip);
        Event {
            step: self.step,
            cpu: agent.cpu(),
            level: level(agent),
            stack,
            instruction: None,
            what: What::Violation,
        }
    }

    /// Names the events so far. Changes of the interrupt flag are among them where something could interrupt,
    /// or if the story is about them.
    ///
    /// `state` is the last one, if one was reached.
    pub(crate) fn story(&self, model: &Model, state: Option<&State>, flags: bool) -> Story {
        let names = Names::new(&self.guest.image, &model.machine);
        // Where nothing can interrupt, nobody cares whether it may.
        let interruptible = flags || model.machine.registered().interrupts();
        let told = |raw: &Raw| interruptible || !matches!(raw.access, Access::InterruptFlag { .. });
        let (mut events, mut origins) = (Vec::new(), Vec::new());
        for (at, raw) in self.raw.iter().enumerate() {
            if !told(raw) || self.drains_unnoticed(at) {
                continue;
            }
            let Some(what) = self.what(&names, state, raw) else { continue };
            let instruction = model.machine.disassembly(raw.rip).map(|text| Instruction {
                address: Hex(raw.rip),
                symbol: symbol(&self.guest.image, raw.rip),
                text,
            });
            events.push(Event {
                step: raw.step,
                cpu: raw.agent.cpu(),
                level: level(raw.agent),
                stack: raw.stack.clone(),
                instruction,
                what,
            });
            origins.push(at);
        }
        let told = u64::try_from(events.len()).unwrap_or(0);
        let folded = self.instructions.saturating_sub(told);
        Story { events, origins, folded }
    }

    fn what(&self, names: &Names<'_>, state: Option<&State>, raw: &Raw) -> Option<What> {
        Some(match &raw.access {
            Access::Load { .. } | Access::Store { .. } | Access::Drain { .. } => {
                memory_access(names, &raw.access)?
            }
            Access::WriteRegister { register: "CR3", old, operand } => {
                let cr4 = state.map_or(0, |state| state.cpu(raw.agent.cpu()).cr4());
                let cr3 = |value| names.cr3(value, cr4 & CR4_PCIDE != 0);
                What::WriteCr3 { old: cr3(*old), value: cr3(*operand) }
            }
            Access::WriteRegister { register, old, operand } => What::WriteRegister {
                register: (*register).into(),
                old: Hex(*old),
                value: Hex(*operand),
            },
            Access::Invlpg { va, nothing } => What::Invlpg { va: Hex(*va), is_canonical: !nothing },
            Access::Invpcid { kind, descriptor: [pcid, va] } => {
                What::Invpcid { operation: *kind, pcid: *pcid, va: Hex(*va) }
            }
            Access::Cached { kept, entry } => {
                What::Cached { entry: names.kept(kept), of: names.accessed(*entry, 8) }
            }
            Access::Stale(route) => What::Stale { route: names.route(route) },
            Access::FrameFreed { pa } => What::FrameFreed { frame: names.frame(*pa) },
            Access::Warning(_) | Access::Bound(_) => return None,
            Access::InterruptFlag { on } => What::Interrupts { on: *on },
            Access::SendIpi { to, vector } => What::SendIpi { to: *to, vector: *vector },
            Access::Ipi { vector, sent } => {
                let from = if *sent { self.sender(raw, *vector) } else { None };
                What::Ipi { vector: *vector, from }
            }
            Access::IpiDone { vector } => What::IpiDone { vector: *vector },
            Access::User { kind, pointer, fault } => What::User {
                access: match kind {
                    Kind::Read => AccessKind::Read,
                    Kind::Write => AccessKind::Write,
                    Kind::Execute => AccessKind::Execute,
                },
                pointer: Hex(*pointer),
                fault: fault.map(|(vector, code)| Exception { vector, code }),
            },
            Access::Note(text) => What::Note { text: text.clone() },
            Access::Mark(name) => What::Mark { name: name.clone() },
            Access::Choose { of, picked } => {
                What::Choose { of: u64::from(*of), picked: u64::from(*picked) }
            }
            Access::Halt => What::Halt,
            Access::End => What::End,
        })
    }

    /// Tells whether this is a store that became visible before anybody could notice that it was not.
    fn drains_unnoticed(&self, at: usize) -> bool {
        let Access::Drain { va, .. } = self.raw[at].access else { return false };
        let cpu = self.raw[at].agent.cpu();
        for raw in self.raw[..at].iter().rev() {
            match raw.access {
                _ if raw.agent.cpu() != cpu => return false,
                Access::Store { buffered: true, va: stored, .. } if stored == va => return true,
                Access::Store { .. } | Access::Drain { .. } | Access::Mark(_) => {}
                _ => return false,
            }
        }
        false
    }

    /// Finds the CPU that sent the interrupt of `delivery`, if only one did since the last delivery.
    fn sender(&self, delivery: &Raw, vector: u8) -> Option<u8> {
        let target = delivery.agent.cpu();
        let mut senders = Vec::new();
        for raw in &self.raw {
            if std::ptr::eq(raw, delivery) {
                break;
            }
            match raw.access {
                Access::SendIpi { to, vector: v } if to == target && v == vector => {
                    senders.push(raw.agent.cpu());
                }
                Access::Ipi { vector: v, sent: true }
                    if raw.agent.cpu() == target && v == vector =>
                {
                    senders.clear();
                }
                _ => {}
            }
        }
        senders.dedup();
        if let [sender] = senders[..] { Some(sender) } else { None }
    }

    fn frames(&mut self, agent: Agent, rip: u64) -> Vec<outcome::Frame> {
        self.stacks.frames(&self.guest.image, self.scenario, agent, rip)
    }

    fn keep(&mut self, seen: Seen) {
        let stack = match seen.access {
            // Delivery and return belong to no function of the handler.
            Access::Ipi { .. }
            | Access::IpiDone { .. }
            | Access::Drain { .. }
            | Access::Cached { .. }
            | Access::Stale(_) => Vec::new(),
            // The instruction's own wrapper says nothing that the event does not.
            Access::WriteRegister { .. } | Access::InterruptFlag { .. } => {
                let mut frames = self.frames(seen.agent, seen.rip);
                if frames.len() > 1 {
                    frames.pop();
                }
                frames
            }
            _ => self.frames(seen.agent, seen.rip),
        };
        self.raw.push(Raw {
            step: self.step,
            agent: seen.agent,
            stack,
            rip: seen.rip,
            access: seen.access,
        });
    }
}

impl Watch for Narrator<'_> {
    const ON: bool = true;

    fn seen(&mut self, seen: Seen) {
        if !self.listening || seen.agent == Agent::OBSERVER {
            return;
        }
        match seen.access {
            Access::Load { shared: false, .. } | Access::Store { shared: false, .. } => {}
            // An atomic update is one event: its store says what it read.
            Access::Load { locked: true, va, value, .. } => self.open.push((va, value)),
            Access::Store { locked: true, va, .. } => {
                self.open.retain(|(open, _)| *open != va);
                self.keep(seen);
            }
            Access::Ipi { .. } | Access::IpiDone { .. } | Access::End => {
                self.stacks.clear(seen.agent);
                self.keep(seen);
            }
            _ => self.keep(seen),
        }
    }

    fn retired(&mut self, agent: Agent, rip: u64, flow: Flow, rsp_after: u64) {
        if !self.listening || agent == Agent::OBSERVER {
            return;
        }
        self.instructions += 1;
        self.stacks.retired(agent, flow, rip, rsp_after);
    }
}

/// A load or store, or a store that leaves the store buffer, with names.
fn memory_access(names: &Names<'_>, access: &Access) -> Option<What> {
    let named = |va: u64, size: u8, old: u64, value: u64| {
        (names.accessed(va, size), names.value(old, size), names.value(value, size))
    };
    Some(match *access {
        Access::Load { va, size, value, .. } => {
            What::Read { object: names.accessed(va, size), value: names.value(value, size) }
        }
        Access::Store { va, size, old, value, locked, .. } => {
            let (object, old, value) = named(va, size, old, value);
            match locked {
                true => What::Update { object, old, value },
                false => What::Write { object, old, value },
            }
        }
        Access::Drain { va, size, old, value } => {
            let (object, old, value) = named(va, size, old, value);
            What::Drained { object, old, value }
        }
        _ => return None,
    })
}
