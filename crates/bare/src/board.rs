//! Loading, one instruction, the schedule.

use std::ops::ControlFlow;

use interrupts::{Accepted, Delivered, Gate, Pending, Shadow, accept};
use x86::{Fault, RDI, Regs, exec, flags};

use crate::apic::Apic;
use crate::core::Core;
use crate::deliver::{Failed, deliver};
use crate::ports::Ports;
use crate::ram::Ram;
use crate::random::Random;
use crate::view::{Stop, View};

/// Instructions that a CPU executes before it is the next one's turn, without a seed.
const QUANTUM: u32 = 256;
/// Most CPUs, and most bytes of memory: below the local APIC's place in memory.
const CPUS_MAX: u8 = 8;
const MEMORY_MAX: u64 = 3 << 30;

/// Size of a machine, and its schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of CPUs, 1 to 8.
    pub cpus: u8,
    /// Bytes of memory from physical address 0 on; a multiple of 4096, at most 3 GiB.
    pub memory: u64,
    /// Without a seed each CPU in turn executes 256 instructions, and then its stores become visible. With
    /// one, how many it executes and when its stores become visible is random; equal seeds give equal runs.
    pub seed: Option<u64>,
    /// Instructions and deliveries of all CPUs after which the run ends.
    pub limit: u64,
    /// Tell of every instruction.
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { cpus: 2, memory: 64 << 20, seed: None, limit: 200_000_000, trace: false }
    }
}

/// Bytes at a physical address at the start.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Physical address of the first.
    pub pa: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Bytes in memory, at least as many; the rest is zero.
    pub size: u64,
}

/// The place where CPUs start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// RIP.
    pub rip: u64,
    /// CR3.
    pub cr3: u64,
}

/// An event of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes on the serial line.
    Output(&'a [u8]),
    /// A CPU is about to execute this; only with [`Settings::trace`].
    Instruction {
        /// Number of the CPU.
        cpu: u8,
        /// RIP.
        rip: u64,
        /// Disassembly; empty if the page is not mapped.
        text: &'a str,
    },
    /// A CPU has taken an exception or interrupt; only with [`Settings::trace`].
    Delivery {
        /// Number of the CPU.
        cpu: u8,
        /// Its vector.
        vector: u8,
        /// Address of the handler.
        rip: u64,
    },
    /// Every CPU has had its turn.
    Turn,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The guest wrote this to port F4H.
    Exit(u32),
    /// A fault while a double fault was delivered.
    TripleFault {
        /// Number of the CPU.
        cpu: u8,
        /// RIP.
        rip: u64,
        /// The faults that led to it, in order.
        faults: Vec<String>,
    },
    /// Every CPU is halted, and nothing that waits can wake one.
    Halted,
    /// [`Settings::limit`] is reached; where each CPU is.
    Limit(Vec<u64>),
    /// The model ends here.
    Gap {
        /// Number of the CPU.
        cpu: u8,
        /// RIP.
        rip: u64,
        /// The thing that is not modelled.
        what: String,
        /// The instruction, if there is one.
        instruction: Option<String>,
    },
    /// Whoever watches wanted no more.
    Stopped,
}

/// Result of a CPU's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// An instruction or a delivery.
    Work,
    /// It is halted, and nothing wakes it.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Cpu {
    pub(crate) regs: Regs,
    pub(crate) core: Core,
}

/// A machine.
#[derive(Debug)]
pub struct Board {
    settings: Settings,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) apics: Vec<Apic>,
    ports: Ports,
    pub(crate) ram: Ram,
    random: Option<Random>,
    time: u64,
}

impl Board {
    /// A machine with `loads` in memory, in which every CPU stands at `start`, in 64-bit mode at CPL 0: RDI
    /// is the number of the CPU; CR0 80010033H, CR4 620H, EFER D01H, RFLAGS 2; descriptor tables are empty;
    /// local APICs are as after reset.
    ///
    /// # Errors
    ///
    /// Settings or loads that do not fit, in a sentence.
    pub fn new(loads: &[Load<'_>], start: Start, settings: Settings) -> Result<Board, String> {
        let Settings { cpus, memory, .. } = settings;
        if cpus == 0 || cpus > CPUS_MAX {
            return Err(format!("{cpus} CPUs; there can be 1 to {CPUS_MAX}"));
        }
        if memory == 0 || memory % 4096 != 0 || memory > MEMORY_MAX {
            return Err(format!(
                "{memory:#x} bytes of memory; it must be a multiple of 4096, at most {MEMORY_MAX:#x}"
            ));
        }
        let mut ram = Ram::new(memory);
        for load in loads {
            let end = u64::try_from(load.bytes.len()).unwrap_or(u64::MAX).max(load.size);
            if !ram.holds(load.pa, end) {
                return Err(format!(
                    "{end:#x} bytes at physical address {:#x} are not in {memory:#x} bytes of memory",
                    load.pa
                ));
            }
            for (pa, byte) in (load.pa..).zip(load.bytes).filter(|(_, byte)| **byte != 0) {
                ram.store(pa, 1, u64::from(*byte));
            }
        }
        let random = settings.seed.map(Random::new);
        let cpu = |number: u8| {
            let mut regs = Regs {
                gpr: [0; 16],
                rip: start.rip,
                rflags: flags::FIXED,
                xmm: [0; 16],
                fs_base: 0,
                gs_base: 0,
                kernel_gs_base: 0,
            };
            regs.gpr[RDI] = number.into();
            Cpu { regs, core: Core::new(number, start.cr3) }
        };
        Ok(Board {
            cpus: (0..cpus).map(cpu).collect(),
            apics: (0..cpus).map(Apic::new).collect(),
            ports: Ports::default(),
            ram,
            random,
            time: 0,
            settings,
        })
    }

    /// Instructions and deliveries so far.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Runs to an end. `watch` is told what happens; `Break` ends the run.
    pub fn run(&mut self, watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Ended {
        loop {
            let mut worked = false;
            for number in 0..self.settings.cpus {
                match self.turn(number, watch) {
                    Ok(did) => worked |= did == Did::Work,
                    Err(ended) => {
                        let _ = self.tell_output(watch);
                        return ended;
                    }
                }
                if self.tell_output(watch).is_break() {
                    return Ended::Stopped;
                }
                if let Some(status) = self.ports.exit {
                    return Ended::Exit(status);
                }
            }
            if !worked {
                return Ended::Halted;
            }
            if watch(Event::Turn).is_break() {
                return Ended::Stopped;
            }
        }
    }

    fn tell_output(
        &mut self,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.ports.sent.is_empty() {
            return ControlFlow::Continue(());
        }
        watch(Event::Output(&std::mem::take(&mut self.ports.sent)))
    }

    /// The instructions that CPU `number` executes in a row.
    fn turn(
        &mut self,
        number: u8,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Did, Ended> {
        let quantum = self.random.as_mut().map_or(QUANTUM, |random| 1 + random.below(QUANTUM));
        let mut result = Did::Nothing;
        for _ in 0..quantum {
            if self.time >= self.settings.limit {
                return Err(Ended::Limit(self.cpus.iter().map(|cpu| cpu.regs.rip).collect()));
            }
            if self.step(number, watch)? == Did::Nothing {
                self.view(number).drain();
                return Ok(result);
            }
            result = Did::Work;
            if self.ports.exit.is_some() {
                break;
            }
            self.drain_at_random(number);
        }
        if self.random.is_none() {
            self.view(number).drain();
        }
        Ok(result)
    }

    /// With a seed: now and then the oldest stores become visible.
    fn drain_at_random(&mut self, number: u8) {
        let Some(random) = &mut self.random else { return };
        let count = if random.below(8) == 0 { 1 + random.below(4) } else { 0 };
        let mut view = self.view(number);
        (0..count).all(|_| view.drain_one());
    }

    pub(crate) fn view(&mut self, number: u8) -> View<'_> {
        let cpu = &mut self.cpus[usize::from(number)];
        View {
            ac: cpu.regs.rflags & flags::AC != 0,
            core: &mut cpu.core,
            ram: &mut self.ram,
            apics: &mut self.apics,
            ports: &mut self.ports,
            time: self.time,
        }
    }

    /// CPU `number` takes an event, or executes one instruction.
    pub(crate) fn step(
        &mut self,
        number: u8,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Did, Ended> {
        let place = usize::from(number);
        let (regs, core) = (&self.cpus[place].regs, &self.cpus[place].core);
        let apic = &mut self.apics[place];
        let pending = Pending { nmi: apic.nmi, interrupt: apic.deliverable() };
        let gate =
            Gate { interrupts: regs.rflags & flags::IF != 0, nmis: core.nmis, shadow: core.shadow };
        let event = accept(pending, gate);
        if event.is_none() && core.halted {
            return Ok(Did::Nothing);
        }
        self.time += 1;
        let delivered = match event {
            None => return self.execute(number, watch),
            Some(Accepted::Nmi) => {
                apic.nmi = false;
                Delivered::Nmi
            }
            Some(Accepted::Interrupt(vector)) => {
                apic.acknowledge(vector);
                Delivered::Interrupt(vector)
            }
        };
        self.cpus[place].core.halted = false;
        self.take(number, delivered, watch)
    }

    fn execute(
        &mut self,
        number: u8,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Did, Ended> {
        let place = usize::from(number);
        let mut regs = self.cpus[place].regs.clone();
        if self.settings.trace {
            let text = self.view(number).text(regs.rip).unwrap_or_default();
            let event = Event::Instruction { cpu: number, rip: regs.rip, text: &text };
            if watch(event).is_break() {
                return Err(Ended::Stopped);
            }
        }
        let mut view = self.view(number);
        view.core.shadow_before = std::mem::take(&mut view.core.shadow);
        let stop = view.fetch(regs.rip).and_then(|op| {
            // Even if it faults.
            if op.is_iret() {
                view.core.nmis.iret();
            }
            exec(&op, &mut regs, &mut view)
        });
        let Err(stop) = stop else {
            if regs.rflags & flags::TF != 0 {
                return Err(self.gap(number, "RFLAGS.TF: single steps".into()));
            }
            self.cpus[place].regs = regs;
            return Ok(Did::Work);
        };
        view.core.shadow = Shadow::None;
        let event = match stop {
            Stop::Fault(fault) => Delivered::Exception(fault),
            Stop::Software { vector, next } => Delivered::Software { vector, next },
            Stop::Unmodelled(what) => return Err(self.gap(number, what)),
        };
        self.take(number, event, watch)
    }

    /// Delivers `event`.
    fn take(
        &mut self,
        number: u8,
        event: Delivered,
        watch: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Did, Ended> {
        let place = usize::from(number);
        let mut regs = self.cpus[place].regs.clone();
        let (interrupted, mut view) = (regs.rip, self.view(number));
        view.core.shadow = Shadow::None;
        match deliver(&mut view, &mut regs, event) {
            Ok(()) => {}
            Err(Failed::Unmodelled(what)) => return Err(self.gap(number, what)),
            Err(Failed::TripleFault(chain)) => {
                let faults = chain.into_iter().map(name).collect();
                return Err(Ended::TripleFault { cpu: number, rip: interrupted, faults });
            }
        }
        let rip = regs.rip;
        self.cpus[place].regs = regs;
        let told = Event::Delivery { cpu: number, vector: event.vector(), rip };
        if self.settings.trace && watch(told).is_break() {
            return Err(Ended::Stopped);
        }
        Ok(Did::Work)
    }

    fn gap(&mut self, number: u8, what: String) -> Ended {
        let rip = self.cpus[usize::from(number)].regs.rip;
        Ended::Gap { cpu: number, rip, what, instruction: self.view(number).text(rip) }
    }
}

/// As the manual writes it.
fn name(event: Delivered) -> String {
    let Delivered::Exception(Fault { vector, code, va }) = event else {
        return match event {
            Delivered::Nmi => "NMI".into(),
            other => format!("vector {}", other.vector()),
        };
    };
    let mnemonic = match vector {
        0 => "#DE",
        3 => "#BP",
        6 => "#UD",
        7 => "#NM",
        8 => "#DF",
        10 => "#TS",
        11 => "#NP",
        12 => "#SS",
        13 => "#GP",
        14 => return format!("#PF({code:#x}) at {va:#x}"),
        17 => "#AC",
        other => return format!("vector {other}"),
    };
    match vector {
        10..=13 => format!("{mnemonic}({code:#x})"),
        _ => mnemonic.into(),
    }
}
