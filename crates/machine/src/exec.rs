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
//!
//! # Stores
//!
//! Under x86-TSO a plain store to a shared word goes into the store buffer, and it is the hardware that
//! makes it visible, in a step of its own. Putting it there concerns nobody else, so it is *no* scheduling
//! point: whatever another agent does between the step's visible operation and the store, it may as well do
//! after the store (the buffer is emptied at the other end), and nothing can keep the store from
//! happening. With one exception: the delivery of an interrupt waits for an empty buffer, and it makes
//! a difference whether the handler runs before the store or after it. So where an interrupt can come
//! in before the instruction, the store is a visible operation on the word [`Part::Buffer`]; and where an
//! invariant looks at what is stored, on the word's [`Word::made`].

use std::sync::Arc;

use abi::layout::HEAP_BASE;
use mmu::{Fill, Invpcid, Kind};
use x86::{At, Env, FarReturn, Fault, Fence, IfChange, Regs, Segment, Table, flags};

use crate::agent::Agent;
use crate::apic::{self, Apic, Message};
use crate::buffer::{self, Forward, Store};
use crate::control::{self, Refusal, msr};
use crate::cpu::System;
use crate::frame::{KERNEL_CS, KERNEL_SS};
use crate::halt::Failure;
use crate::layout::{Layout, Want};
use crate::memory::Memory;
use crate::next::{NextOperation, Wait};
use crate::translation::UserAccess;
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
    /// It stands before a second visible operation: [`Exec::pending`].
    Yield,
    Unmodelled(String),
    /// The scenario makes a call that makes no sense.
    Wrong(String),
    /// The guest reports a violated property.
    Fail(Box<Failure>),
    /// `assume` does not hold.
    Discard,
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

/// One agent at work.
pub(crate) struct Exec<'a, A, W> {
    pub(crate) layout: &'a Layout,
    pub(crate) memory: &'a mut Memory,
    pub(crate) system: &'a mut System,
    pub(crate) accesses: &'a mut A,
    pub(crate) watch: &'a mut W,
    pub(crate) agent: Agent,
    /// Runs by itself: nothing is a scheduling point.
    pub(crate) alone: bool,
    /// The step's visible operation is still to come.
    pub(crate) credit: bool,
    /// Stores go through the store buffer.
    pub(crate) tso: bool,
    /// An interrupt may come between two instructions.
    pub(crate) interruptible: bool,
    /// An interrupt or an NMI may come before this instruction.
    pub(crate) open_to_interrupts: bool,
    /// Where interrupts can be sent.
    pub(crate) apic: Apic,
    /// Interrupts sent in this step, and to which CPU.
    pub(crate) sent: Vec<(u8, Message)>,
    /// The stack pointer with which an IRETQ ends this handler.
    pub(crate) returns_to: Option<u64>,
    /// It is the IRETQ that ends the handler.
    pub(crate) ends_handler: bool,
    /// The user half is what page tables say.
    pub(crate) paged: bool,
    /// RFLAGS.AC before this instruction.
    pub(crate) ac: bool,
    /// When translations come to be cached.
    pub(crate) fill: Fill,
    /// Frames that were freed.
    pub(crate) freed: &'a mut Arc<Vec<u64>>,
    /// Which way the translation it stood before goes.
    pub(crate) pick: Option<u16>,
    /// The translation it stands before, after [`Stop::Yield`].
    pub(crate) choosing: Option<UserAccess>,
    /// Words of entries that were changed in this step, with what they held.
    pub(crate) entry_stores: Vec<(u64, u64)>,
    /// What CPUs can walk through may have changed.
    pub(crate) tables_changed: bool,
    /// What RDTSC reads, if the scenario allows that time stands still.
    pub(crate) clock: Option<u64>,
    /// Address of the instruction.
    pub(crate) rip: u64,
    /// Lowest address stored to on the agent's own stack.
    pub(crate) low_water: u64,
    pub(crate) stack: (u64, u64),
    /// What it stands before, after [`Stop::Yield`].
    pub(crate) pending: NextOperation,
    /// Values of this instruction's accesses so far.
    done: Vec<u64>,
    /// One of them was visible.
    visible: bool,
    /// A LOCKed instruction has started its visible operation.
    locked_open: bool,
    /// It is an STI that turns interrupts on: they stay inhibited for one more instruction.
    opens_interrupts: bool,
    /// It is a MOV to SS: interrupts and NMIs are inhibited for one more instruction.
    pub(crate) holds_back: bool,
    /// It may make several accesses, between which no interrupt comes.
    pub(crate) several: bool,
    /// It stores to two words of which one is shared: both stores are visible.
    together: bool,
}

impl<'a, A: Accesses, W: Watch> Exec<'a, A, W> {
    pub(crate) fn new(
        layout: &'a Layout,
        memory: &'a mut Memory,
        system: &'a mut System,
        freed: &'a mut Arc<Vec<u64>>,
        accesses: &'a mut A,
        watch: &'a mut W,
        agent: Agent,
    ) -> Self {
        let stack = crate::layout::stack(agent);
        Exec {
            layout,
            memory,
            system,
            accesses,
            watch,
            agent,
            alone: false,
            credit: true,
            tso: false,
            interruptible: false,
            open_to_interrupts: false,
            apic: Apic::new(&[], false, 0),
            sent: Vec::new(),
            returns_to: None,
            ends_handler: false,
            paged: false,
            ac: false,
            fill: Fill::Eager,
            freed,
            pick: None,
            choosing: None,
            entry_stores: Vec::new(),
            tables_changed: false,
            clock: None,
            rip: 0,
            low_water: stack.1,
            stack,
            pending: NextOperation::new(0, &[]),
            done: Vec::new(),
            visible: false,
            locked_open: false,
            opens_interrupts: false,
            holds_back: false,
            several: false,
            together: false,
        }
    }

    /// An instruction at `rip` begins, or begins again.
    #[inline]
    pub(crate) fn begin(&mut self, rip: u64) {
        self.rip = rip;
        self.done.clear();
        self.visible = false;
        self.locked_open = false;
        self.opens_interrupts = false;
        self.holds_back = false;
        self.several = false;
        self.together = false;
    }

    /// The instruction has completed.
    #[inline]
    pub(crate) fn retire(&mut self) {
        self.system.shadow = self.opens_interrupts || self.holds_back;
        self.system.nmi_shadow = self.holds_back;
        if !self.system.latch.is_empty() {
            self.system.latch.clear();
        }
    }

    /// The instruction is suspended: keep what a visible operation has already decided.
    pub(crate) fn suspend(&mut self) {
        if self.visible || !self.system.latch.is_empty() {
            self.system.latch = std::mem::take(&mut self.done);
        }
    }

    /// The next access of this instruction: `Some` if an earlier step has made it.
    #[inline]
    fn part(&mut self, word: Word, write: bool, locked: bool) -> Result<Option<u64>, Stop> {
        if let Some(value) = self.system.latch.get(self.done.len()) {
            return Ok(Some(*value));
        }
        let together = self.together && (locked || !self.tso);
        let shared =
            together || self.accesses.is_shared(word) || (write && self.is_entry_word(word));
        if !self.alone && shared {
            if self.credit {
                self.credit = false;
                self.locked_open = locked;
            } else if !(locked && self.locked_open) {
                self.pending = self.before(word, write, locked);
                return Err(Stop::Yield);
            }
            self.visible = true;
        }
        self.accesses.touch(self.agent, word, write);
        Ok(None)
    }

    /// The operation the agent stands before.
    #[cold]
    fn before(&self, word: Word, write: bool, locked: bool) -> NextOperation {
        let point = self.point();
        if locked {
            // CMPXCHG16B goes on to the next word; saying so for the others too only costs reduction.
            let touches = [(word, true), (Word(word.0 + 1), true), (Word::TABLES, true)];
            let next = NextOperation::new(point, &touches[..2 + usize::from(self.paged)]);
            if self.tso { next.waiting(Wait::Empty, self.buffer_word()) } else { next }
        } else {
            // The first of several accesses keeps interrupts out until the last: an interrupt now and
            // one after the instruction are two things, whatever the handler touches.
            let keeps_out = self.several && self.system.latch.is_empty();
            let flag = (Word::part(self.agent.cpu(), Part::InterruptFlag), false);
            let mut touches = vec![(word, write)];
            touches.extend(keeps_out.then_some(flag));
            touches.extend((write && self.is_entry_word(word)).then_some((Word::TABLES, true)));
            NextOperation::new(point, &touches)
        }
    }

    fn buffer_word(&self) -> Word {
        self.part_word(Part::Buffer)
    }

    /// Is there anything in the store buffer that this code has to mind?
    #[inline]
    fn has_stores(&self) -> bool {
        !self.system.buffer.is_empty() && !self.alone
    }

    /// Goes on only with an empty store buffer.
    #[inline]
    pub(crate) fn drain(&mut self) -> Result<(), Stop> {
        if self.has_stores() { Err(self.wait(Wait::Empty)) } else { Ok(()) }
    }

    /// Stands before what it cannot do until the store buffer has changed.
    #[cold]
    pub(crate) fn wait(&mut self, wait: Wait) -> Stop {
        self.pending = NextOperation::new(self.point(), &[]).waiting(wait, self.buffer_word());
        Stop::Yield
    }

    /// Two suspension points of one instruction are two program points.
    fn point(&self) -> u64 {
        let progress = u64::try_from(self.system.latch.len().max(self.done.len())).unwrap_or(0);
        self.rip.rotate_left(8) ^ progress
    }

    /// An access to a part of this CPU: `true` if it is to be performed now, `false` if an earlier step did.
    pub(crate) fn part_of_cpu(&mut self, part: Part, write: bool) -> Result<bool, Stop> {
        self.part_of(self.agent.cpu(), part, write)
    }

    /// Reads a control register of this CPU on the way to something else.
    fn consult(&mut self, part: Part) -> Result<(), Stop> {
        self.several = true;
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
        if self.latched().is_some() {
            return Ok(false);
        }
        self.gate(touches)?;
        self.touch_all(touches);
        self.done.push(0);
        Ok(true)
    }

    /// Passes if this step may perform the operation.
    fn gate(&mut self, touches: &[(Word, bool)]) -> Result<(), Stop> {
        if !self.alone && self.any_shared(touches) {
            if !std::mem::take(&mut self.credit) {
                return Err(self.before_operation(touches));
            }
            self.visible = true;
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
        self.alone || self.pick.is_some() || !(several || self.any_shared(touches))
    }

    /// Stands before an operation with these touches.
    #[cold]
    pub(crate) fn before_operation(&mut self, touches: &[(Word, bool)]) -> Stop {
        let mut touches = touches.to_vec();
        let keeps_out = self.several && self.system.latch.is_empty();
        touches.extend(keeps_out.then_some((self.part_word(Part::InterruptFlag), false)));
        self.pending = NextOperation::new(self.point(), &touches);
        Stop::Yield
    }

    /// Has an earlier step made the next access of this instruction?
    pub(crate) fn is_latched(&self) -> bool {
        self.done.len() < self.system.latch.len()
    }

    /// What the next access of this instruction gave, if an earlier step has made it.
    pub(crate) fn latched(&mut self) -> Option<u64> {
        let value = *self.system.latch.get(self.done.len())?;
        self.done.push(value);
        Some(value)
    }

    /// A translation was performed, and is kept.
    pub(crate) fn keep(&mut self, value: u64) {
        self.visible = true;
        self.done.push(value);
    }

    fn is_entry_word(&self, word: Word) -> bool {
        self.paged && word.location().is_some_and(|location| self.is_entry(location))
    }

    fn is_visible(&self, word: Word) -> bool {
        self.accesses.is_shared(word)
    }

    #[inline]
    pub(crate) fn report(&mut self, access: Access) {
        if W::ON {
            self.watch.seen(Seen { agent: self.agent, rip: self.rip, access });
        }
    }

    /// Linear address to location, with the rules of the half it is in.
    #[inline]
    fn translate(&mut self, at: At, want: Want) -> Result<u64, Stop> {
        if at.va >> 63 == 1
            && let Some(location) = self.layout.kernel(at.va, at.size, want)
        {
            return Ok(location);
        }
        self.translate_slowly(at, want)
    }

    #[cold]
    fn translate_slowly(&mut self, at: At, want: Want) -> Result<u64, Stop> {
        let user = at.va >> 63 == 0;
        self.several = true;
        if user && self.paged {
            let kind = if want == Want::Write { Kind::Write } else { Kind::Read };
            let (pointer, size, ac) = (at.va, at.size, self.ac);
            let access = UserAccess { pointer, size, kind, user: false, ac };
            return self.translate_paged(access)?.map_err(|fault| match fault.vector {
                13 if at.stack => Fault { vector: 12, ..fault }.into(),
                _ => fault.into(),
            });
        }
        if user {
            // Whether a user pointer is legal depends on CR3: a remote change is visible here.
            self.part_of_cpu(Part::Cr3, false)?;
        }
        self.part_of_cpu(Part::Cr4, false)?;
        let check = |va| mmu::lam::data_address(va, self.system.cr3, self.system.cr4);
        let last = at.va.wrapping_add(u64::from(at.size) - 1);
        let (Some(va), Some(_)) = (check(at.va), check(last)) else {
            let vector = if at.stack { 12 } else { 13 };
            return Err(Fault { vector, code: 0, va: 0 }.into());
        };
        let location = if user {
            self.layout.user(va, at.size)
        } else {
            self.layout.kernel(va, at.size, want)
        };
        location.ok_or_else(|| self.page_fault(va, at.size, want))
    }

    fn page_fault(&mut self, va: u64, size: u8, want: Want) -> Stop {
        let write = u32::from(want == Want::Write);
        let present = u32::from(self.layout.kernel(va, size, Want::Read).is_some());
        self.system.cr2 = va;
        Fault { vector: 14, code: write << 1 | present, va }.into()
    }

    /// Loads at most 8 bytes at a location, word by word.
    #[inline]
    pub(crate) fn load_at(&mut self, location: u64, at: At) -> Result<u64, Stop> {
        let offset = location % 8;
        self.several |= at.for_write || offset + u64::from(at.size) > 8;
        let first = self.load_part(location, location / 8, at)?;
        let shift = 8 * offset;
        let mut value = first >> shift;
        if offset + u64::from(at.size) > 8 {
            value |= self.load_part(location, location / 8 + 1, at)? << (64 - shift);
        }
        let value = value & crate::memory::mask(at.size);
        Ok(value)
    }

    /// One whole word of an access.
    #[inline]
    fn load_part(&mut self, location: u64, word: u64, at: At) -> Result<u64, Stop> {
        let name = Word::memory(word * 8);
        let mut forward = Forward::Memory;
        if self.has_stores() {
            forward = self.forward(location, word, at)?;
        }
        let value = match self.part(name, at.locked, at.locked)? {
            Some(value) => value,
            None => {
                let value = match forward {
                    Forward::Value(value) => value,
                    _ => self.memory.word(word),
                };
                if W::ON && word == location / 8 {
                    self.report_load(location, name, at, value);
                }
                value
            }
        };
        self.done.push(value);
        Ok(value)
    }

    /// What the store buffer has for a load; the load waits if it can have nothing now.
    #[cold]
    fn forward(&mut self, location: u64, word: u64, at: At) -> Result<Forward, Stop> {
        if self.system.latch.get(self.done.len()).is_some() {
            return Ok(Forward::Memory);
        }
        let name = Word::memory(word * 8);
        if at.locked {
            self.pending = self.before(name, true, true);
            return Err(Stop::Yield);
        }
        let offset = location % 8;
        let bytes = if word == location / 8 {
            buffer::bytes(offset, at.size)
        } else {
            let rest = offset + u64::from(at.size) - 8;
            buffer::bytes(0, u8::try_from(rest).expect("at most 7"))
        };
        let forward = self.system.buffer.forward(name, bytes);
        if forward == Forward::Overlap {
            let pending = self.before(name, false, false);
            self.pending = pending.waiting(Wait::Gone(name), self.buffer_word());
            return Err(Stop::Yield);
        }
        Ok(forward)
    }

    #[cold]
    fn report_load(&mut self, location: u64, name: Word, at: At, word: u64) {
        let offset = location % 8;
        let value = if offset + u64::from(at.size) > 8 {
            self.memory.load(location, at.size)
        } else {
            (word >> (8 * offset)) & crate::memory::mask(at.size)
        };
        let shared = self.is_visible(name) || self.is_entry(location);
        self.report(Access::Load { va: at.va, size: at.size, value, shared, locked: at.locked });
    }

    /// Stores at most 8 bytes at a location, word by word.
    #[inline]
    pub(crate) fn store_at(&mut self, location: u64, at: At, value: u64) -> Result<(), Stop> {
        let offset = location % 8;
        let fits = (8 - offset).min(u64::from(at.size));
        let (head, tail) = (fits, u64::from(at.size) - fits);
        if tail > 0 {
            self.several = true;
            // Stopped between the two, it would load again what it has stored (MOVS onto itself).
            let shared = |at| self.is_visible(Word::memory(at));
            self.together = shared(location) || shared(location + head);
        }
        self.store_part(location, head, at, value)?;
        if tail > 0 {
            self.store_part(location + head, tail, at, value >> (8 * head))?;
            self.together = false;
        }
        if at.va < self.low_water && at.va >= self.stack.0 {
            self.low_water = at.va;
        }
        Ok(())
    }

    #[inline]
    fn store_part(&mut self, location: u64, size: u64, at: At, value: u64) -> Result<(), Stop> {
        let size = u8::try_from(size).expect("at most 8");
        let name = Word::memory(location);
        if self.tso && !at.locked && !self.alone {
            if self.is_visible(name) || self.is_entry(location) {
                return self.buffer_store(Store { location, size, value }, at);
            }
            // The other half is buffered: what was loaded before this store must not be loaded again.
            self.visible |= self.together;
        }
        if at.locked && self.has_stores() {
            // XCHG and the like have loaded before, with an empty buffer.
            self.pending = self.before(name, true, true);
            return Err(Stop::Yield);
        }
        if self.part(name, true, at.locked)?.is_none() {
            if W::ON {
                self.report_store(Store { location, size, value }, at, false);
            }
            if self.is_entry(location) {
                self.entry_changes(location);
            }
            self.memory.store(location, size, value);
        }
        self.done.push(0);
        Ok(())
    }

    /// Puts a store into the store buffer.
    fn buffer_store(&mut self, store: Store, at: At) -> Result<(), Stop> {
        if self.system.latch.get(self.done.len()).is_none() {
            if self.system.buffer.is_full() {
                return Err(self.wait(Wait::Room));
            }
            self.notice_store(store)?;
            self.visible = true;
            if W::ON {
                self.report_store(store, at, true);
            }
            self.system.buffer.push(store);
        }
        self.done.push(0);
        Ok(())
    }

    /// Buffering a store is a visible operation where an interrupt could come before it or an invariant
    /// sees it.
    fn notice_store(&mut self, store: Store) -> Result<(), Stop> {
        let made = store.word().made().expect("a store goes to memory");
        // After a visible access of the same instruction no interrupt comes before it is complete.
        let open = self.open_to_interrupts && !self.visible && self.system.latch.is_empty();
        let buffer = self.buffer_word();
        let touches = [(made, true), (buffer, true)];
        let touches = &touches[..1 + usize::from(open)];
        self.gate(touches)?;
        self.touch_all(touches);
        Ok(())
    }

    #[cold]
    fn report_store(&mut self, store: Store, at: At, buffered: bool) {
        let Store { location, size, value } = store;
        let access = Access::Store {
            va: at.va,
            size,
            old: self.memory.load(location, size),
            value: value & crate::memory::mask(size),
            shared: self.is_visible(store.word()) || self.is_entry(location),
            locked: at.locked,
            buffered,
        };
        self.report(access);
    }

    fn halves(at: At) -> (At, At) {
        let low = At { size: 8, ..at };
        (low, At { va: at.va.wrapping_add(8), ..low })
    }
}

impl<A: Accesses, W: Watch> Env for Exec<'_, A, W> {
    type Stop = Stop;

    #[inline]
    fn load(&mut self, at: At) -> Result<u64, Stop> {
        let want = if at.for_write { Want::Write } else { Want::Read };
        let location = self.translate(at, want)?;
        self.load_at(location, at)
    }

    #[inline]
    fn store(&mut self, at: At, value: u64) -> Result<(), Stop> {
        let location = self.translate(at, Want::Write)?;
        self.store_at(location, at, value)
    }

    fn load128(&mut self, at: At) -> Result<u128, Stop> {
        let want = if at.for_write { Want::Write } else { Want::Read };
        let location = self.translate(at, want)?;
        self.several = true;
        let (low, high) = Self::halves(at);
        let low = self.load_at(location, low)?;
        let high = self.load_at(location + 8, high)?;
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    fn store128(&mut self, at: At, value: u128) -> Result<(), Stop> {
        let location = self.translate(at, Want::Write)?;
        self.several = true;
        let (low, high) = Self::halves(at);
        let half = |value: u128| u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
        self.store_at(location, low, half(value))?;
        self.store_at(location + 8, high, half(value >> 64))
    }

    fn fence(&mut self, fence: Fence) -> Result<(), Stop> {
        match fence {
            Fence::Mfence => self.drain(),
            Fence::Sfence => {
                self.system.buffer.fence();
                Ok(())
            }
            Fence::Lfence => Ok(()),
        }
    }

    /// Kernel code only.
    fn cpl(&self) -> u8 {
        0
    }

    fn interrupt_flag(&mut self, regs: &Regs, change: IfChange) -> Result<(), Stop> {
        let before = regs.rflags & flags::IF != 0;
        let on = match change {
            IfChange::Cli => false,
            IfChange::Sti => true,
            IfChange::Popf(on) => on,
        };
        if before == on {
            return Ok(());
        }
        if on && self.agent.level() > 0 {
            return Err(Stop::Unmodelled("interrupts enabled inside an interrupt handler".into()));
        }
        if self.part_of_cpu(Part::InterruptFlag, true)? {
            self.report(Access::InterruptFlag { on });
        }
        self.opens_interrupts = matches!(change, IfChange::Sti);
        Ok(())
    }

    /// Whether it sleeps depends on what is pending, which other agents change.
    fn hlt(&mut self, _: &Regs) -> Result<(), Stop> {
        if self.alone {
            return Err(Stop::Unmodelled("hlt in code that runs by itself".into()));
        }
        if self.agent.level() > 0 {
            return Err(Stop::Unmodelled("hlt inside an interrupt handler".into()));
        }
        let pending = |part| (Word::part(self.agent.cpu(), part), false);
        let touches = [pending(Part::Pending), pending(Part::Nmi)];
        self.operation(&touches[..1 + usize::from(self.apic.nmi())])?;
        self.report(Access::Halt);
        self.system.halting = true;
        Ok(())
    }

    fn read_cr(&mut self, cr: u8) -> Result<u64, Stop> {
        let (part, register, value) = match cr {
            0 => (Part::Cr0, "CR0", self.system.cr0),
            2 => (Part::Cr2, "CR2", self.system.cr2),
            3 => (Part::Cr3, "CR3", self.system.cr3),
            4 => (Part::Cr4, "CR4", self.system.cr4),
            _ => return Err(Stop::Unmodelled(format!("mov from CR{cr}"))),
        };
        let of = self.agent.cpu();
        // The value is taken now: MOV from CR has no other access that could suspend it.
        if self.part_of_cpu(part, false)? {
            self.report(Access::ReadRegister { of, register, value });
        }
        Ok(value)
    }

    fn write_cr(&mut self, cr: u8, value: u64) -> Result<(), Stop> {
        self.drain()?;
        // What is legal in one register depends on another, which a handler may have changed.
        match cr {
            0 | 3 => self.consult(Part::Cr4)?,
            4 => self.consult(Part::Cr3)?,
            _ => {}
        }
        let (part, register, old, new) = match cr {
            0 => (
                Part::Cr0,
                "CR0",
                self.system.cr0,
                control::new_cr0(value, self.system.cr0, self.system.cr4)?,
            ),
            2 => (Part::Cr2, "CR2", self.system.cr2, value),
            3 => (Part::Cr3, "CR3", self.system.cr3, control::new_cr3(value, self.system.cr4)?),
            4 => (
                Part::Cr4,
                "CR4",
                self.system.cr4,
                control::new_cr4(value, self.system.cr3, self.system.cr4)?,
            ),
            _ => return Err(Stop::Unmodelled(format!("mov to CR{cr}"))),
        };
        if !self.invalidates(&[(self.part_word(part), true)])? {
            return Ok(());
        }
        self.report(Access::WriteRegister { register, old, operand: value });
        self.change_tlb(|tlb, now| match part {
            Part::Cr0 => tlb.mov_cr0(now, new),
            Part::Cr3 => tlb.mov_cr3(now, value),
            Part::Cr4 => tlb.mov_cr4(now, new),
            _ => {}
        });
        *match part {
            Part::Cr0 => &mut self.system.cr0,
            Part::Cr2 => &mut self.system.cr2,
            Part::Cr3 => &mut self.system.cr3,
            _ => &mut self.system.cr4,
        } = new;
        if matches!(part, Part::Cr3 | Part::Cr4) {
            self.entered_tables();
        }
        Ok(())
    }

    /// A non-canonical (tagged) operand makes it a no-operation (LAM §7.5): hardly what was meant.
    fn invlpg(&mut self, va: u64) -> Result<(), Stop> {
        self.drain()?;
        self.consult(Part::Cr4)?;
        if !self.invalidates(&[])? {
            return Ok(());
        }
        let nothing = !mmu::lam::canonical(va, self.system.paging().la57());
        self.report(Access::Invlpg { va, nothing });
        if nothing {
            let text = format!("invlpg of {va:#x}, which is not canonical, invalidates nothing");
            self.report_always(Access::Warning(text));
        }
        self.change_tlb(|tlb, now| {
            tlb.invlpg(now, va);
        });
        self.tables_changed = true;
        Ok(())
    }

    fn invpcid(&mut self, kind: u64, descriptor: [u64; 2]) -> Result<(), Stop> {
        self.drain()?;
        self.consult(Part::Cr4)?;
        let Some(operation) = Invpcid::new(kind, descriptor, &self.system.paging()) else {
            return Err(Fault::GP.into());
        };
        if self.invalidates(&[])? {
            self.report(Access::Invpcid { kind, descriptor });
            self.change_tlb(|tlb, now| tlb.invpcid(now, operation));
            self.tables_changed = true;
        }
        Ok(())
    }

    fn rdmsr(&mut self, regs: &Regs, number: u32) -> Result<u64, Stop> {
        Ok(match number {
            msr::FS_BASE => regs.fs_base,
            msr::GS_BASE => regs.gs_base,
            msr::KERNEL_GS_BASE => regs.kernel_gs_base,
            msr::TSC_AUX => self.system.tsc_aux,
            msr::EFER => msr::EFER_VALUE,
            apic::msr::FIRST..=apic::msr::LAST => return self.read_apic(number),
            _ => return Err(Stop::Unmodelled(format!("rdmsr of {number:#x}"))),
        })
    }

    fn wrmsr(&mut self, regs: &mut Regs, number: u32, value: u64) -> Result<(), Stop> {
        if (apic::msr::FIRST..=apic::msr::LAST).contains(&number) {
            return self.write_apic(number, value);
        }
        self.drain()?;
        let base = match number {
            msr::FS_BASE => &mut regs.fs_base,
            msr::GS_BASE => &mut regs.gs_base,
            msr::KERNEL_GS_BASE => &mut regs.kernel_gs_base,
            _ => return Err(Stop::Unmodelled(format!("wrmsr of {number:#x}"))),
        };
        if !mmu::lam::canonical(value, true) {
            return Err(Fault::GP.into());
        }
        let old = std::mem::replace(base, value);
        self.report(Access::WriteRegister { register: "a segment base MSR", old, operand: value });
        Ok(())
    }

    fn fsgsbase(&mut self) -> Result<bool, Stop> {
        self.consult(Part::Cr4)?;
        Ok(control::fsgsbase(self.system.cr4))
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> Result<[u32; 4], Stop> {
        self.drain()?;
        control::cpuid(leaf, subleaf, self.agent.cpu())
            .ok_or_else(|| Stop::Unmodelled(format!("cpuid leaf {leaf:#x}, subleaf {subleaf:#x}")))
    }

    fn rdtsc(&mut self) -> Result<u64, Stop> {
        self.clock.ok_or_else(|| {
            Stop::Unmodelled("time has no model; lamprey::fixed_clock lets it stand still".into())
        })
    }

    fn selector(&mut self, segment: Segment) -> Result<u16, Stop> {
        match segment {
            Segment::Cs => return Ok(KERNEL_CS),
            Segment::Ss => return Ok(KERNEL_SS),
            _ => {}
        }
        Err(Stop::Unmodelled(format!("mov from segment register {segment:?}")))
    }

    fn load_segment(&mut self, _: &mut Regs, segment: Segment, selector: u16) -> Result<(), Stop> {
        self.load_stack_segment(segment, selector)
    }

    fn table(&mut self, table: Table) -> Result<(u64, u16), Stop> {
        let name = if table == Table::Gdt { "sgdt" } else { "sidt" };
        Err(Stop::Unmodelled(name.into()))
    }

    fn load_table(&mut self, table: Table, _: u64, _: u16) -> Result<(), Stop> {
        let name = if table == Table::Gdt { "lgdt" } else { "lidt" };
        Err(Stop::Unmodelled(name.into()))
    }

    fn load_task_register(&mut self, _: u16) -> Result<(), Stop> {
        Err(Stop::Unmodelled("ltr".into()))
    }

    fn far_return(&mut self, regs: &mut Regs, to: &FarReturn) -> Result<(), Stop> {
        self.interrupt_return(regs, to)
    }

    /// A breakpoint in kernel code is a fault of it, like any other exception.
    fn software_interrupt(&mut self, vector: u8, _: u64) -> Stop {
        if vector == Fault::BP.vector {
            return Stop::Fault(Fault::BP);
        }
        Stop::Unmodelled(format!("int {vector:#x}"))
    }

    fn port_in(&mut self, port: u16, _: u8) -> Result<u32, Stop> {
        Err(Stop::Unmodelled(format!("in from port {port:#x}")))
    }

    fn port_out(&mut self, port: u16, _: u8, _: u32) -> Result<(), Stop> {
        Err(Stop::Unmodelled(format!("out to port {port:#x}")))
    }

    fn smap(&mut self) -> Result<bool, Stop> {
        Ok(true)
    }
}

const _: () = assert!(HEAP_BASE >> 63 == 1, "the kernel half is told by bit 63");
