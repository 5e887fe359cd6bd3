//! What an instruction sees of the machine: accesses, faults, suspension.
//!
//! # Scheduling points inside an instruction
//!
//! A step may perform *one* visible operation: an access to a word that two agents touch and one writes.
//! When a second is about to happen, the step ends before it. If that is in the middle of an instruction
//! (a plain `inc` of a shared word is a load and a store that another CPU may come between), the values
//! of the accesses already made are kept in the CPU's latch; the instruction starts again in the next
//! step and takes those from the latch. This works because an instruction's accesses depend only on its
//! registers, which have not changed, and on the values it loaded (the contract of `x86::Env`).
//!
//! A LOCKed instruction performs all its accesses as one operation. A plain access that crosses an
//! 8-byte boundary, or is 16 bytes wide, is performed word by word in ascending order.

use std::sync::Arc;

use interrupts::Shadow;
use memory::Memory;
use mmu::Fill;
use x86::{Fault, RSP, Refusal, Regs, flags};

use crate::agent::Agent;
use crate::apic::{Apic, Sending};
use crate::cpu::System;
use crate::frames::{Depth, Frames};
use crate::halt::{Misuse, Violation};
use crate::layout::Layout;
use crate::look::Look;
use crate::next::{NextOperation, Wait};
use crate::walker::UserAccess;
use crate::watch::{Access, Seen, Watch};
use crate::word::{Part, Word};

/// What the caller knows of words, and learns.
pub trait Accesses {
    /// Is an access to `word` a scheduling point? Must not change during a step.
    fn is_shared(&self, word: Word) -> bool;

    /// `agent` touches `word`.
    fn touch(&mut self, agent: Agent, word: Word, write: bool);
}

/// Why an instruction did not complete.
#[derive(Debug)]
pub(crate) enum Stop {
    Fault(Fault),
    /// It stands before a second visible operation: [`Progress::pending`].
    Yield,
    Unmodelled(String),
    /// So is something that the instruction there has done.
    UnmodelledAt(u64, String),
    /// The scenario makes a call that makes no sense.
    Wrong(Misuse),
    /// A property is violated.
    Fail(Box<Violation>),
    /// `assume` does not hold.
    Discard,
    /// Code that runs by itself is cut off.
    CutOff,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        match refusal {
            Refusal::Fault(fault) => Stop::Fault(fault),
            Refusal::Unmodelled(what) => Stop::Unmodelled(what),
        }
    }
}

/// What a step has done to page tables and frames.
#[derive(Default)]
pub(crate) struct Changes {
    /// What CPUs can walk through may be different.
    pub(crate) any: bool,
    /// The instruction that has changed that last.
    pub(crate) at: Option<u64>,
    /// Words of entries that were stored to, with what they held.
    pub(crate) entries: Vec<(u64, u64)>,
    /// Frames that were freed.
    pub(crate) freed: Vec<u64>,
}

/// Conditions of a step, which do not change while it runs.
pub(crate) struct Fixed<'a> {
    /// Runs by itself: nothing is a scheduling point.
    pub(crate) alone: bool,
    /// It is the set-up that runs alone, not a check.
    pub(crate) setup: bool,
    /// Stores go through the store buffer.
    pub(crate) tso: bool,
    /// An interrupt may come between two instructions.
    pub(crate) interruptible: bool,
    /// Handlers of interrupts, and of NMIs, that find the registers and the frame of what they interrupt.
    pub(crate) raw: (bool, bool),
    /// Where interrupts can be sent.
    pub(crate) apic: Apic,
    /// The stack pointer with which an IRETQ ends this handler.
    pub(crate) returns_to: Option<u64>,
    /// The user half is what page tables say.
    pub(crate) paged: bool,
    /// When translations come to be cached.
    pub(crate) fill: Fill,
    /// What RDTSC reads, if the scenario allows that time stands still.
    pub(crate) clock: Option<u64>,
    /// The agent's own stack: its lowest address, and the first one above it.
    pub(crate) stack: (u64, u64),
    /// Where set-up stopped allocating.
    pub(crate) heap_next: u64,
    /// What is below the stack pointer becomes dead at the end of a step.
    pub(crate) masking: bool,
    /// Every CPU as it was when this step began.
    pub(crate) others: &'a [Look],
}

/// Progress of one instruction: [`Exec::begin`] resets it.
pub(crate) struct Instruction {
    /// Its address.
    pub(crate) rip: u64,
    /// RSP before it.
    pub(crate) rsp: u64,
    /// RFLAGS.AC before it.
    pub(crate) ac: bool,
    /// An interrupt or an NMI may come before it.
    pub(crate) open_to_interrupts: bool,
    /// Values of its accesses so far.
    pub(crate) done: Vec<u64>,
    /// One of them was visible.
    pub(crate) visible: bool,
    /// It may make several accesses, between which no interrupt comes.
    pub(crate) several: bool,
    /// It stores to two words of which one is shared: both stores are visible.
    pub(crate) together: bool,
    /// It is LOCKed and has started its visible operation.
    locked_open: bool,
    /// That goes on to the next word: CMPXCHG16B, or one that crosses into it.
    pub(crate) locks_two: bool,
    /// Where a LOCKed instruction has been translated to, and for which address.
    pub(crate) locked_place: Option<(u64, u64)>,
    /// An address on the agent's stack below RSP to which it stores; the highest if none.
    pub(crate) stored_below: u64,
    /// The shadow it leaves.
    pub(crate) casts: Shadow,
    /// It is the IRETQ that ends the handler.
    pub(crate) ends_handler: bool,
}

impl Instruction {
    fn new() -> Instruction {
        Instruction {
            rip: 0,
            rsp: 0,
            ac: false,
            open_to_interrupts: false,
            done: Vec::new(),
            visible: false,
            several: false,
            together: false,
            locked_open: false,
            locks_two: false,
            locked_place: None,
            stored_below: u64::MAX,
            casts: Shadow::None,
            ends_handler: false,
        }
    }
}

/// What a step has done, and leaves to whoever runs it.
pub(crate) struct Progress {
    /// The step's visible operation is still to come.
    pub(crate) credit: bool,
    /// The translation it stood before, and which way that goes.
    pub(crate) pick: Option<(UserAccess, u16)>,
    /// The translation it stands before, after [`Stop::Yield`].
    pub(crate) choosing: Option<UserAccess>,
    /// What it stands before, after [`Stop::Yield`].
    pub(crate) pending: NextOperation,
    /// Interrupts sent.
    pub(crate) sent: Vec<Sending>,
    /// Changes of page tables.
    pub(crate) changes: Changes,
    /// Where set-up last changed what closures start without.
    pub(crate) lost_at: u64,
    /// Lowest address stored to on the agent's own stack.
    pub(crate) low_water: u64,
    /// Which frames on that stack are gone.
    pub(crate) frames: Frames,
    /// How much of that stack was in frames.
    pub(crate) depth: Depth,
    /// The floor of the frames is behind RSP.
    pub(crate) lags: bool,
    /// The words that are gone on the stacks below this handler, and free for it.
    pub(crate) lent: Vec<Word>,
}

impl Progress {
    /// Makes what a step starts with on a stack that ends at `top`.
    pub(crate) fn new(credit: bool, pick: Option<(UserAccess, u16)>, top: u64) -> Progress {
        Progress {
            credit,
            pick,
            choosing: None,
            pending: NextOperation::new(0, &[]),
            sent: Vec::new(),
            changes: Changes::default(),
            lost_at: 0,
            low_water: top,
            frames: Frames::default(),
            depth: Depth::new(top),
            lags: false,
            lent: Vec::new(),
        }
    }
}

/// One agent at work on the parts of the machine that it may change.
pub(crate) struct Exec<'a, A, W> {
    pub(crate) agent: Agent,
    pub(crate) layout: &'a Layout,
    pub(crate) memory: &'a mut Memory,
    pub(crate) system: &'a mut System,
    /// Frames that were freed.
    pub(crate) freed: &'a mut Arc<Vec<u64>>,
    pub(crate) accesses: &'a mut A,
    pub(crate) watch: &'a mut W,
    pub(crate) fixed: Fixed<'a>,
    pub(crate) insn: Instruction,
    pub(crate) step: Progress,
}

impl<'a, A: Accesses, W: Watch> Exec<'a, A, W> {
    /// Puts `agent` to work on these parts of the machine.
    pub(crate) fn new(
        agent: Agent,
        (layout, memory): (&'a Layout, &'a mut Memory),
        (system, freed): (&'a mut System, &'a mut Arc<Vec<u64>>),
        (accesses, watch): (&'a mut A, &'a mut W),
        fixed: Fixed<'a>,
        step: Progress,
    ) -> Self {
        let insn = Instruction::new();
        Exec { agent, layout, memory, system, freed, accesses, watch, fixed, insn, step }
    }

    /// An instruction begins, or begins again.
    #[inline]
    pub(crate) fn begin(&mut self, regs: &Regs, open_to_interrupts: bool) {
        let mut done = std::mem::take(&mut self.insn.done);
        done.clear();
        self.insn = Instruction {
            rip: regs.rip,
            rsp: regs.gpr[RSP],
            ac: regs.rflags & flags::AC != 0,
            open_to_interrupts,
            done,
            ..Instruction::new()
        };
    }

    /// The instruction has completed.
    #[inline]
    pub(crate) fn retire(&mut self) {
        self.system.shadow = self.insn.casts;
        if !self.system.latch.is_empty() {
            self.system.latch.clear();
        }
    }

    /// The instruction is suspended: keep what a visible operation has already decided.
    pub(crate) fn suspend(&mut self) {
        if self.insn.visible || !self.system.latch.is_empty() {
            self.system.latch = std::mem::take(&mut self.insn.done);
        }
    }

    /// The next access of this instruction: `Some` if an earlier step has made it.
    #[inline]
    pub(crate) fn part(
        &mut self,
        word: Word,
        write: bool,
        locked: bool,
    ) -> Result<Option<u64>, Stop> {
        if let Some(value) = self.system.latch.get(self.insn.done.len()) {
            return Ok(Some(*value));
        }
        let together = self.insn.together && (locked || !self.fixed.tso);
        let shared =
            together || self.accesses.is_shared(word) || (write && self.is_entry_word(word));
        if !self.fixed.alone && shared {
            if self.step.credit {
                self.step.credit = false;
                self.insn.locked_open = locked;
            } else if !(locked && self.insn.locked_open) {
                self.step.pending = self.before(word, write, locked);
                return Err(Stop::Yield);
            }
            self.insn.visible = true;
        }
        self.accesses.touch(self.agent, word, write);
        if !self.fixed.alone
            && shared
            && let Some(location) = word.location()
        {
            self.may_access(location, write)?;
        }
        Ok(None)
    }

    /// The operation the agent stands before.
    #[cold]
    pub(crate) fn before(&self, word: Word, write: bool, locked: bool) -> NextOperation {
        let point = self.point();
        if locked {
            let mut touches = vec![(word, true)];
            touches.extend(self.insn.locks_two.then_some((Word(word.0 + 1), true)));
            touches.extend(self.fixed.paged.then_some((Word::TABLES, true)));
            let next = NextOperation::new(point, &touches);
            if self.fixed.tso { next.waiting(Wait::Empty, self.buffer_word()) } else { next }
        } else {
            // The first of several accesses keeps interrupts out until the last: an interrupt now and
            // one after the instruction are two things, whatever the handler touches.
            let keeps_out = self.insn.several && self.system.latch.is_empty();
            let flag = (Word::part(self.agent.cpu(), Part::InterruptFlag), false);
            let mut touches = vec![(word, write)];
            touches.extend(keeps_out.then_some(flag));
            touches.extend((write && self.is_entry_word(word)).then_some((Word::TABLES, true)));
            NextOperation::new(point, &touches)
        }
    }

    pub(crate) fn buffer_word(&self) -> Word {
        self.part_word(Part::Buffer)
    }

    /// Tells whether the store buffer holds anything that this code has to mind.
    #[inline]
    pub(crate) fn has_stores(&self) -> bool {
        !self.system.buffer.is_empty() && !self.fixed.alone
    }

    /// Goes on only with an empty store buffer.
    #[inline]
    pub(crate) fn drain(&mut self) -> Result<(), Stop> {
        if self.has_stores() { Err(self.wait(Wait::Empty)) } else { Ok(()) }
    }

    /// Goes on only when all stores before an MFENCE are visible.
    #[inline]
    pub(crate) fn pass_fence(&mut self) -> Result<(), Stop> {
        let held = self.has_stores() && self.system.buffer.fenced() > 0;
        if held { Err(self.wait(Wait::Fenced)) } else { Ok(()) }
    }

    /// Stands before what it cannot do until the store buffer has changed.
    #[cold]
    pub(crate) fn wait(&mut self, wait: Wait) -> Stop {
        self.step.pending = NextOperation::new(self.point(), &[]).waiting(wait, self.buffer_word());
        Stop::Yield
    }

    /// Two suspension points of one instruction are two program points.
    fn point(&self) -> u64 {
        let progress =
            u64::try_from(self.system.latch.len().max(self.insn.done.len())).unwrap_or(0);
        self.insn.rip.rotate_left(8) ^ progress
    }

    /// An access to a part of this CPU: `true` if it is to be performed now, `false` if an earlier step did.
    pub(crate) fn part_of_cpu(&mut self, part: Part, write: bool) -> Result<bool, Stop> {
        self.part_of(self.agent.cpu(), part, write)
    }

    /// Reads a control register of this CPU on the way to something else.
    pub(crate) fn consult(&mut self, part: Part) -> Result<(), Stop> {
        self.insn.several = true;
        self.part_of_cpu(part, false).map(|_| ())
    }

    pub(crate) fn part_of(&mut self, cpu: u8, part: Part, write: bool) -> Result<bool, Stop> {
        self.operation(&[(Word::part(cpu, part), write)])
    }

    pub(crate) fn part_word(&self, part: Part) -> Word {
        Word::part(self.agent.cpu(), part)
    }

    /// Something that is done to several words at once: `true` if it is to be performed now, `false` if an
    /// earlier step did.
    pub(crate) fn operation(&mut self, touches: &[(Word, bool)]) -> Result<bool, Stop> {
        if !self.is_latched() && self.any_shared(touches) {
            self.pass_fence()?;
        }
        self.unfenced_operation(touches)
    }

    /// The same, and no MFENCE keeps it back.
    pub(crate) fn unfenced_operation(&mut self, touches: &[(Word, bool)]) -> Result<bool, Stop> {
        if self.latched().is_some() {
            return Ok(false);
        }
        self.gate(touches)?;
        self.touch_all(touches);
        self.insn.done.push(0);
        Ok(true)
    }

    /// Passes if this step may perform the operation.
    pub(crate) fn gate(&mut self, touches: &[(Word, bool)]) -> Result<(), Stop> {
        if !self.fixed.alone && self.any_shared(touches) {
            if !std::mem::take(&mut self.step.credit) {
                return Err(self.before_operation(touches));
            }
            self.insn.visible = true;
        }
        Ok(())
    }

    fn any_shared(&self, touches: &[(Word, bool)]) -> bool {
        touches.iter().any(|(word, _)| self.accesses.is_shared(*word))
    }

    pub(crate) fn touch_all(&mut self, touches: &[(Word, bool)]) {
        touches.iter().for_each(|(word, write)| self.accesses.touch(self.agent, *word, *write));
    }

    /// Is a translation with these touches to be performed now? Not if it has to be chosen first.
    pub(crate) fn may_translate(&self, touches: &[(Word, bool)], several: bool) -> bool {
        self.fixed.alone || !(several || self.any_shared(touches))
    }

    /// Stands before an operation with these touches.
    #[cold]
    pub(crate) fn before_operation(&mut self, touches: &[(Word, bool)]) -> Stop {
        let mut touches = touches.to_vec();
        let keeps_out = self.insn.several && self.system.latch.is_empty();
        touches.extend(keeps_out.then_some((self.part_word(Part::InterruptFlag), false)));
        self.step.pending = NextOperation::new(self.point(), &touches);
        Stop::Yield
    }

    /// Tells whether an earlier step has made the next access of this instruction.
    pub(crate) fn is_latched(&self) -> bool {
        self.insn.done.len() < self.system.latch.len()
    }

    /// What the next access of this instruction gave, if an earlier step has made it.
    pub(crate) fn latched(&mut self) -> Option<u64> {
        let value = *self.system.latch.get(self.insn.done.len())?;
        self.insn.done.push(value);
        Some(value)
    }

    fn is_entry_word(&self, word: Word) -> bool {
        self.fixed.paged && word.location().is_some_and(|location| self.is_entry(location))
    }

    /// Tells whether an address of code is canonical.
    pub(crate) fn is_canonical(&self, va: u64) -> bool {
        mmu::lam::canonical(va, self.system.paging().la57())
    }

    pub(crate) fn is_visible(&self, word: Word) -> bool {
        self.accesses.is_shared(word)
    }

    #[inline]
    pub(crate) fn report(&mut self, access: Access) {
        if W::ON {
            self.watch.seen(Seen { agent: self.agent, rip: self.insn.rip, access });
        }
    }
}
