//! The naive machine: from a state to all that can come next.

use std::collections::HashMap;

use abi::hypercall::Hypercall;

use crate::assemble::{Image, descriptor, stub};
use crate::outcome::Bad;
use crate::program::{Code, DATA, KEEPS, Op, Program, RESULTS, Reg, SHARED_WORDS, VALUES};
use crate::state::{Buffered, Cpu, Level, Message, Shadow, State};
use crate::switches::SERVES;
use crate::tlb::Tlb;

/// What CPUs start with: PCIDE, FSGSBASE, OSXMMEXCPT, OSFXSR, PGE, PAE.
const CR4: u64 = 0x3_06a0;

/// Why nothing follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Bad(Bad),
    Discarded,
    NoRule(&'static str),
}

/// One step: where it leads.
pub(crate) struct Step {
    pub(crate) state: State,
    /// The CPU, and [`SERVES`] if it is its store buffer.
    pub(crate) by: u8,
    /// An NMI that nobody sent: it need not come.
    pub(crate) unsent: bool,
    pub(crate) result: Result<(), Stopped>,
}

/// A program and where its parts are.
pub(crate) struct Naive<'p> {
    pub(crate) program: &'p Program,
    pub(crate) image: &'p Image,
    pub(crate) heap: u64,
    words: HashMap<u64, usize>,
    observed: Vec<usize>,
}

impl<'p> Naive<'p> {
    pub(crate) fn new(program: &'p Program, image: &'p Image, heap: u64) -> Naive<'p> {
        let cpus = program.cpus.len() as u64;
        let shared = (0..SHARED_WORDS as u64).map(|word| DATA + 8 * word);
        let results = (0..cpus * KEEPS as u64).map(|word| RESULTS + 8 * word);
        let values = (0..cpus).map(|cpu| VALUES + 8 * cpu);
        let tables = program.tables.iter();
        let descriptors = tables.clone().flat_map(|tables| {
            (0..tables.descriptors.len() as u8).flat_map(|at| [descriptor(at), descriptor(at) + 8])
        });
        let heap_words = tables.flat_map(|tables| tables.entries.iter().chain(&tables.words));
        let heap_words = heap_words.map(|(frame, word, _)| heap + (4096 * frame + 8 * word) as u64);
        let all = shared.chain(results).chain(values).chain(descriptors).chain(heap_words);
        let mut words = HashMap::new();
        for word in all {
            let next = words.len();
            words.entry(word).or_insert(next);
        }
        let observed = program.observed(heap).iter().map(|word| words[word]).collect();
        Naive { program, image, heap, words, observed }
    }

    /// The number of the word at `va`, if the program uses it.
    pub(crate) fn word(&self, va: u64) -> Option<usize> {
        self.words.get(&(va & !7)).copied()
    }

    /// The state after set-up.
    pub(crate) fn first(&self, program: &Program) -> State {
        let mut memory = vec![0; self.words.len()];
        let mut put = |va: u64, value: u64| memory[self.words[&va]] = value;
        for (word, value) in program.initial.iter().enumerate() {
            put(DATA + 8 * word as u64, *value);
        }
        if let Some(tables) = &program.tables {
            for (number, (pcid, va)) in (0u8..).zip(&tables.descriptors) {
                put(descriptor(number), *pcid);
                put(descriptor(number) + 8, *va);
            }
            for (frame, word, value) in tables.entries.iter().chain(&tables.words) {
                put(self.heap + (4096 * frame + 8 * word) as u64, *value);
            }
        }
        let cpu = |number: u8| Cpu {
            levels: vec![Level::new(Code::Cpu(number))],
            buffer: Vec::new(),
            fenced: 0,
            requested: Vec::new(),
            in_service: Vec::new(),
            nmi_requested: false,
            nmis_blocked: false,
            cr2: 0,
            cr3: 0,
            cr4: CR4,
            tlb: Tlb::default(),
        };
        let mut first = State {
            cpus: (0..program.cpus.len() as u8).map(cpu).collect(),
            memory,
            messages: Vec::new(),
            unsent: if program.nmi.is_some() { program.nmi_budget } else { 0 },
            freed: Vec::new(),
            stored: Vec::new(),
        };
        // Nothing is free yet, so that nothing goes wrong.
        let cache = |first: &mut State| drop(self.cache(first));
        if let Some(tables) = &program.tables {
            first.cpus[0].cr3 = tables.cr3;
            cache(&mut first);
            for (frame, word, value) in &tables.later {
                let at = self.heap + (4096 * frame + 8 * word) as u64;
                self.anticipate(&mut first);
                self.put(&mut first, at, 8, *value);
                self.conclude(&mut first);
                cache(&mut first);
            }
        }
        first
    }

    /// The observed words.
    pub(crate) fn observe(&self, state: &State) -> Vec<u64> {
        self.observed.iter().map(|word| state.memory[*word]).collect()
    }

    /// Everything that can come next.
    pub(crate) fn successors(&self, state: &State, out: &mut Vec<Step>) {
        for (number, cpu) in state.cpus.iter().enumerate() {
            let by = number as u8;
            let mut step = |by, unsent, act: &dyn Fn(&mut State) -> Result<(), Stopped>| {
                let mut after = state.clone();
                self.anticipate(&mut after);
                let result = act(&mut after);
                self.conclude(&mut after);
                let result = result.and_then(|()| self.cache(&mut after));
                out.push(Step { state: after, by, unsent, result });
            };
            if !cpu.buffer.is_empty() {
                step(by | SERVES, false, &|after| {
                    self.drain(after, number);
                    Ok(())
                });
            }
            // Delivery waits for the store buffer (SDM vol. 3 §11.10).
            if cpu.between() && cpu.buffer.is_empty() {
                let nmis = cpu.top().shadow != Shadow::All && !cpu.nmis_blocked;
                if nmis && cpu.nmi_requested {
                    step(by, false, &|after| {
                        after.cpus[number].nmi_requested = false;
                        self.deliver_nmi(after, number);
                        Ok(())
                    });
                }
                if nmis && state.unsent > 0 {
                    step(by, true, &|after| {
                        after.unsent -= 1;
                        self.deliver_nmi(after, number);
                        Ok(())
                    });
                }
                if let Some(vector) = deliverable(cpu) {
                    step(by, false, &|after| self.deliver(after, number, vector));
                }
            }
            if cpu.top().halted || cpu.top().ended {
                continue;
            }
            for pick in 0..self.picks(state, number) {
                let mut after = state.clone();
                self.anticipate(&mut after);
                let result = self.execute(&mut after, number, pick);
                if result == Ok(false) {
                    continue;
                }
                self.conclude(&mut after);
                let result = result.and_then(|_| self.cache(&mut after));
                out.push(Step { state: after, by, unsent: false, result });
            }
        }
        self.arrivals(state, out);
    }

    /// Each message that can arrive.
    fn arrivals(&self, state: &State, out: &mut Vec<Step>) {
        for (at, (to, message)) in state.messages.iter().enumerate() {
            if at > 0 && state.messages[at - 1] == (*to, *message) {
                continue;
            }
            let mut after = state.clone();
            after.messages.remove(at);
            let cpu = &mut after.cpus[usize::from(*to)];
            match message {
                Message::Vector(vector) => request(cpu, *vector),
                Message::Nmi => cpu.nmi_requested = true,
            }
            out.push(Step { state: after, by: to | SERVES, unsent: false, result: Ok(()) });
        }
    }

    /// The oldest store of the buffer reaches memory.
    fn drain(&self, state: &mut State, cpu: usize) {
        let cpu = &mut state.cpus[cpu];
        let Buffered { va, width, value, .. } = cpu.buffer.remove(0);
        cpu.fenced = cpu.fenced.saturating_sub(1);
        self.put(state, va, width, value);
    }

    /// An interrupt is delivered: on a stack of the handler, with interrupts off.
    fn deliver(&self, state: &mut State, cpu: usize, vector: u8) -> Result<(), Stopped> {
        let handlers = &self.program.handlers;
        let number = handlers.iter().position(|handler| handler.vector == vector);
        let number = number.ok_or(Stopped::NoRule("a vector without a handler"))?;
        let raw = handlers[number].raw;
        let cpu = &mut state.cpus[cpu];
        cpu.requested.retain(|other| *other != vector);
        if raw {
            // One with a called handler is acknowledged by its entry code.
            cpu.in_service.push(vector);
        }
        enter(cpu, Code::Handler(number as u8), raw);
        Ok(())
    }

    fn deliver_nmi(&self, state: &mut State, cpu: usize) {
        let raw = self.program.nmi.as_ref().is_some_and(|handler| handler.raw);
        let cpu = &mut state.cpus[cpu];
        cpu.nmis_blocked = true;
        enter(cpu, Code::Nmi, raw);
    }

    /// RIP of a level.
    pub(crate) fn rip(&self, level: &Level) -> u64 {
        if level.ended {
            // It idles where no code of the program is.
            return 0;
        }
        match (level.at_call, self.program.code(level.code).get(level.pc)) {
            (true, Some(Op::Call(call))) => stub(*call),
            (true, Some(Op::Ret)) => stub(Hypercall::Return),
            _ => self.image.address(level.code, level.pc),
        }
    }

    /// Ends the level that runs, by IRETQ or by a return to the entry code, which does the same.
    pub(crate) fn leave(&self, cpu: &mut Cpu, raw: bool) -> Result<bool, Stopped> {
        let code = cpu.top().code;
        if let Code::Cpu(_) = code {
            if raw {
                return Err(Stopped::NoRule("IRETQ outside a handler"));
            }
            let top = cpu.top_mut();
            if !top.interrupts_on {
                return Err(Stopped::Bad(Bad::Failed("ends-with-interrupts-off".into())));
            }
            // What is in the registers of an idle CPU is nothing of the program's.
            top.regs = [0; 16];
            (top.ended, top.interrupts_on, top.shadow) = (true, true, Shadow::None);
            return Ok(true);
        }
        if self.is_raw(code) != raw {
            return Err(Stopped::NoRule("a handler that ends the wrong way"));
        }
        // It serialises (SDM vol. 3 §8.3).
        if !cpu.buffer.is_empty() {
            return Ok(false);
        }
        let regs = cpu.top().regs;
        cpu.levels.pop();
        if raw {
            cpu.top_mut().regs = regs;
        }
        cpu.nmis_blocked = false;
        Ok(true)
    }

    fn is_raw(&self, code: Code) -> bool {
        match code {
            Code::Cpu(_) => false,
            Code::Handler(number) => self.program.handlers[usize::from(number)].raw,
            Code::Nmi => self.program.nmi.as_ref().is_some_and(|handler| handler.raw),
        }
    }

    /// The register of the level that runs.
    pub(crate) fn reg(state: &State, cpu: usize, reg: Reg) -> u64 {
        state.cpus[cpu].top().reg(reg)
    }
}

/// A vector arrives: equal ones that have both arrived are one (SDM vol. 3 §10.8.4).
pub(crate) fn request(cpu: &mut Cpu, vector: u8) {
    if let Err(at) = cpu.requested.binary_search(&vector) {
        cpu.requested.insert(at, vector);
    }
}

/// The highest vector that has arrived, if it can be delivered now (SDM vol. 3 §10.8.3.1).
fn deliverable(cpu: &Cpu) -> Option<u8> {
    let top = cpu.top();
    let vector = *cpu.requested.last()?;
    let held_back = cpu.in_service.iter().any(|other| other >> 4 >= vector >> 4);
    (top.interrupts_on && top.shadow == Shadow::None && !held_back).then_some(vector)
}

/// A handler begins.
fn enter(cpu: &mut Cpu, code: Code, raw: bool) {
    let below = cpu.top_mut();
    (below.shadow, below.halted) = (Shadow::None, false);
    let mut level = Level::new(code);
    level.interrupts_on = false;
    if raw {
        level.regs = below.regs;
    }
    cpu.levels.push(level);
}
