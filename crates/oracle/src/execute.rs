//! What one instruction does, access by access.

use abi::hypercall::Hypercall;

use crate::naive::{Naive, Stopped, request};
use crate::outcome::Bad;
use crate::paging::Called;
use crate::program::{Op, PROPERTIES, Place, RAX, RCX, RDI, RDX, RSI, Reg, Rmw, failure, result};
use crate::state::{Buffered, Level, Message, Shadow, State, mask};

/// Bit IF of RFLAGS.
const IF: u64 = 1 << 9;
/// SDM vol. 3 table 10-6: the x2APIC's EOI, ICR and SELF IPI.
const EOI: u64 = 0x80b;
const ICR: u64 = 0x830;
const SELF_IPI: u64 = 0x83f;

/// Whether the step was made; if not, it waits.
pub(crate) type Made = Result<bool, Stopped>;

impl Naive<'_> {
    /// In how many ways the CPU can go on: [`execute`](Self::execute) gets a number below that.
    pub(crate) fn picks(&self, state: &State, cpu: usize) -> usize {
        let top = state.cpus[cpu].top();
        match self.program.code(top.code).get(top.pc) {
            Some(Op::Call(Hypercall::Choose)) if top.at_call => top.reg(RDI) as usize,
            Some(op) => self.translations(state, cpu, *op),
            None => 1,
        }
    }

    /// Performs the next access of the instruction that the CPU stands before, and all that it does by
    /// itself.
    pub(crate) fn execute(&self, state: &mut State, cpu: usize, pick: usize) -> Made {
        let top = state.cpus[cpu].top();
        let (code, pc, shadow) = (top.code, top.pc, top.shadow);
        let Some(op) = self.program.code(code).get(pc).copied() else {
            return Err(Stopped::NoRule("code that has no end"));
        };
        let depth = state.cpus[cpu].levels.len();
        // A shadow is over when this instruction is; until then nothing is delivered anyway.
        state.cpus[cpu].top_mut().shadow = Shadow::None;
        if !self.perform(state, cpu, op, pick)? {
            return Ok(false);
        }
        if state.cpus[cpu].levels.len() != depth || !state.cpus[cpu].between() {
            return Ok(true);
        }
        // The instruction is done.
        let top = state.cpus[cpu].top_mut();
        if shadow == Shadow::All && matches!(op, Op::MovSs(_)) {
            // Of consecutive loads of SS only the first delays (SDM vol. 3 section 6.8.3).
            top.shadow = Shadow::None;
        }
        match op {
            _ if top.ended => {}
            Op::Call(_) | Op::Ret if top.at_call => {}
            Op::Jmp(to) => top.pc = to,
            Op::Jrcxz(to) if top.reg(RCX) == 0 => top.pc = to,
            Op::Rep(..) if top.reg(RCX) != 0 => {}
            _ => top.pc += 1,
        }
        Ok(true)
    }

    fn perform(&self, state: &mut State, cpu: usize, op: Op, pick: usize) -> Made {
        let in_handler = state.cpus[cpu].levels.len() > 1;
        let top = state.cpus[cpu].top_mut();
        match op {
            Op::Set(reg, value) => top.set(reg, 8, value),
            Op::Lea(to, from, by) => {
                let sum = top.reg(from).wrapping_add_signed(i64::from(by));
                top.set(to, 8, sum);
            }
            Op::And(reg, with) => {
                let with = i64::from(with.cast_signed()).cast_unsigned();
                let value = top.reg(reg) & with;
                top.set(reg, 8, value);
            }
            Op::Nop | Op::Sfence | Op::Jrcxz(_) | Op::Jmp(_) => {}
            Op::MovSs(_) => top.shadow = Shadow::All,
            Op::Cli => top.interrupts_on = false,
            Op::Sti => {
                if !top.interrupts_on {
                    // It delays only if interrupts were off before (SDM vol. 2 STI).
                    top.shadow = Shadow::Interrupts;
                }
                top.interrupts_on = true;
            }
            Op::Pushf => {
                let flags = if top.interrupts_on { IF } else { 0 };
                top.stack.push(flags);
            }
            Op::Popf => {
                let flags = top.stack.pop().ok_or(Stopped::NoRule("POPF of nothing"))?;
                top.interrupts_on = flags & IF != 0;
            }
            Op::Push(reg) => top.stack.push(top.reg(reg)),
            Op::Pop(reg) => {
                let value = top.stack.pop().ok_or(Stopped::NoRule("POP of nothing"))?;
                top.set(reg, 8, value);
            }
            Op::Hlt if in_handler => return Err(Stopped::NoRule("a handler that halts")),
            Op::Hlt => top.halted = true,
            Op::Frame(reg, word) => return self.frame(state, cpu, reg, usize::from(word)),
            Op::Keep(reg, slot) => {
                let value = top.reg(reg);
                self.put(state, result(slot >> 4, slot & 15), 8, value);
            }
            Op::Mfence => {
                // Loads wait, later stores are behind the earlier ones anyway.
                state.cpus[cpu].fenced = state.cpus[cpu].buffer.len();
            }
            Op::Lfence => return Ok(state.cpus[cpu].fenced == 0),
            Op::Call(call) if top.at_call => return self.hypercall(state, cpu, call, pick),
            Op::Call(_) => top.at_call = true,
            Op::Wrmsr => return self.wrmsr(state, cpu),
            Op::Iret => return self.leave(&mut state.cpus[cpu], true),
            // Where it returns to is a hypercall again.
            Op::Ret if top.at_call => return self.leave(&mut state.cpus[cpu], false),
            Op::Ret => top.at_call = true,
            Op::Load(..) | Op::Store(..) | Op::StoreImm(..) | Op::Rmw(..) => {
                return self.access(state, cpu, op, pick);
            }
            Op::Cmpxchg16b(locked, place) => return self.cmpxchg16b(state, cpu, locked, place),
            Op::Rep(how, width) => return self.iterate(state, cpu, how, width),
            Op::Invlpg(_) | Op::Invpcid(..) | Op::ToCr(..) | Op::FromCr(..) => {
                return self.control(state, cpu, op);
            }
        }
        Ok(true)
    }

    /// Of what stands on the stack of a handler, behind what it has pushed itself.
    fn frame(&self, state: &mut State, cpu: usize, reg: Reg, word: usize) -> Made {
        let levels = &state.cpus[cpu].levels;
        let pushed = &levels[levels.len() - 1].stack;
        let value = if word < pushed.len() {
            pushed[pushed.len() - 1 - word]
        } else {
            let below = levels.len().checked_sub(2).map(|below| &levels[below]);
            let below = below.ok_or(Stopped::NoRule("a frame outside a handler"))?;
            match word - pushed.len() {
                0 => self.rip(below),
                1 => 0x10,
                2 if below.interrupts_on => IF,
                2 => 0,
                4 => 0x18,
                _ => return Err(Stopped::NoRule("that word of a frame")),
            }
        };
        state.cpus[cpu].top_mut().set(reg, 8, value);
        Ok(true)
    }

    /// Loads, stores and read-modify-writes.
    fn access(&self, state: &mut State, cpu: usize, op: Op, pick: usize) -> Made {
        let (place, width, writes) = match op {
            Op::Load(_, width, place) => (place, width, false),
            Op::Store(_, width, place) | Op::StoreImm(_, width, place) => (place, width, true),
            Op::Rmw(_, _, _, width, place) => (place, width, true),
            _ => return Err(Stopped::NoRule("no access")),
        };
        if matches!(op, Op::Rmw(how, locked, ..) if locked || how == Rmw::Xchg)
            && !state.cpus[cpu].buffer.is_empty()
        {
            return Ok(false);
        }
        let loads = matches!(op, Op::Load(..) | Op::Rmw(..));
        if loads && state.cpus[cpu].fenced > 0 {
            return Ok(false);
        }
        let named = self.named(state, cpu, place);
        let (va, user) = match self.resolve(state, cpu, named, writes, pick)? {
            Some(va) => (va, named >> 63 == 0),
            // It has set A or D, and the access comes next.
            None => return Ok(true),
        };
        match op {
            Op::Load(reg, width, _) => {
                let Some(value) = self.load(state, cpu, va, width)? else { return Ok(false) };
                if let Some(value) = value {
                    let top = state.cpus[cpu].top_mut();
                    top.set(reg, width.max(4), value);
                } else {
                    state.cpus[cpu].top_mut().translated = Some(va);
                }
            }
            Op::Store(reg, ..) => {
                let value = state.cpus[cpu].top().reg(reg);
                self.store(state, cpu, va, width, value, user)?;
                state.cpus[cpu].top_mut().translated = None;
            }
            Op::StoreImm(value, ..) => {
                let value = i64::from(value).cast_unsigned();
                self.store(state, cpu, va, width, value, user)?;
                state.cpus[cpu].top_mut().translated = None;
            }
            Op::Rmw(how, locked, reg, width, _) => {
                return self.rmw(state, cpu, (how, locked, reg), (va, width, user));
            }
            _ => {}
        }
        Ok(true)
    }

    /// The address that an operand names.
    pub(crate) fn named(&self, state: &State, cpu: usize, place: Place) -> u64 {
        match place {
            Place::Data(offset) => crate::program::DATA + u64::from(offset),
            Place::At(reg) => state.cpus[cpu].top().reg(reg),
        }
    }

    /// Performs one part of a load: none while it waits, then none while parts are missing.
    pub(crate) fn load(
        &self,
        state: &mut State,
        cpu: usize,
        va: u64,
        width: u8,
    ) -> Result<Option<Option<u64>>, Stopped> {
        let parts = parts(va, width);
        let next = state.cpus[cpu].top().loaded.len();
        let (part_va, part_width, _) = parts[next];
        let Some(value) = self.read(state, cpu, part_va, part_width)? else { return Ok(None) };
        let loaded = &mut state.cpus[cpu].top_mut().loaded;
        loaded.push(value);
        if loaded.len() < parts.len() {
            return Ok(Some(None));
        }
        let whole = parts.iter().zip(loaded.drain(..)).map(|((_, _, shift), part)| part << shift);
        let whole = whole.fold(0, |whole, part| whole | part);
        state.cpus[cpu].top_mut().translated = None;
        Ok(Some(Some(whole)))
    }

    /// Puts a store into the buffer, word by word.
    pub(crate) fn store(
        &self,
        state: &mut State,
        cpu: usize,
        va: u64,
        width: u8,
        value: u64,
        user: bool,
    ) -> Result<(), Stopped> {
        for (va, width, shift) in parts(va, width) {
            if self.word(va).is_none() {
                return Err(Stopped::NoRule("a store to a word without a name"));
            }
            let value = value >> shift & mask(width);
            state.cpus[cpu].buffer.push(Buffered { va, width, value, user });
        }
        Ok(())
    }

    /// A read-modify-write: LOCKed in one, otherwise a load and a store.
    fn rmw(
        &self,
        state: &mut State,
        cpu: usize,
        (how, locked, reg): (Rmw, bool, Reg),
        (va, width, user): (u64, u8, bool),
    ) -> Made {
        let old = if locked || how == Rmw::Xchg {
            let mut old = 0;
            for (va, width, shift) in parts(va, width) {
                let part = self.read(state, cpu, va, width)?.unwrap_or(0);
                old |= part << shift;
            }
            old
        } else {
            let Some(old) = self.load(state, cpu, va, width)? else { return Ok(false) };
            let Some(old) = old else {
                state.cpus[cpu].top_mut().translated = Some(va);
                return Ok(true);
            };
            old
        };
        let top = state.cpus[cpu].top_mut();
        top.translated = None;
        let new = modify(top, how, reg, width, old);
        if locked || how == Rmw::Xchg {
            for (va, width, shift) in parts(va, width) {
                self.put(state, va, width, new >> shift & mask(width));
            }
        } else {
            self.store(state, cpu, va, width, new, user)?;
        }
        Ok(true)
    }

    /// What a load of one part gets; none if it has to wait for a store that has only some of its bytes.
    pub(crate) fn read(
        &self,
        state: &State,
        cpu: usize,
        va: u64,
        width: u8,
    ) -> Result<Option<u64>, Stopped> {
        let end = va + u64::from(width);
        let overlaps = |store: &&Buffered| store.va < end && va < store.va + u64::from(store.width);
        if let Some(store) = state.cpus[cpu].buffer.iter().rev().find(overlaps) {
            let has_all = store.va <= va && end <= store.va + u64::from(store.width);
            return Ok(has_all.then(|| store.value >> (8 * (va - store.va)) & mask(width)));
        }
        let word = match self.word(va) {
            Some(word) => state.memory[word],
            None if self.is_frame(va) => 0,
            None => return Err(Stopped::NoRule("a load of a word without a name")),
        };
        Ok(Some(word >> (8 * (va & 7)) & mask(width)))
    }

    /// Changes memory itself.
    pub(crate) fn put(&self, state: &mut State, va: u64, width: u8, value: u64) {
        let Some(word) = self.word(va) else { return };
        let shift = 8 * (va & 7);
        let bits = mask(width) << shift;
        state.memory[word] = state.memory[word] & !bits | value << shift & bits;
        if self.program.tables.is_some() {
            state.stored.push(word);
        }
    }

    fn hypercall(&self, state: &mut State, cpu: usize, call: Hypercall, pick: usize) -> Made {
        let empty = state.cpus[cpu].buffer.is_empty();
        let (first, second) = (Self::reg(state, cpu, RDI), Self::reg(state, cpu, RSI));
        // A function that gives nothing may leave anything in RAX; it leaves 0.
        let mut answer = 0;
        match call {
            // As kernels fence before they send.
            Hypercall::SendIpi | Hypercall::SendNmi if !empty => return Ok(false),
            Hypercall::SendIpi | Hypercall::SendNmi => {
                let to = u8::try_from(first).unwrap_or(u8::MAX);
                if usize::from(to) >= state.cpus.len() {
                    return Err(Stopped::NoRule("a message to nobody"));
                }
                let vector = Message::Vector(second as u8);
                state.send(to, if call == Hypercall::SendNmi { Message::Nmi } else { vector });
            }
            Hypercall::Choose => answer = pick as u64,
            Hypercall::Assume if first == 0 => return Err(Stopped::Discarded),
            Hypercall::Assume => {}
            Hypercall::ThisCpu => answer = cpu as u64,
            Hypercall::Fail => {
                let property = (0..PROPERTIES).find(|property| failure(*property) == first);
                let property = property.ok_or(Stopped::NoRule("an unknown property"))?;
                return Err(Stopped::Bad(Bad::Failed(format!("p{property}"))));
            }
            Hypercall::UserRead | Hypercall::UserWrite | Hypercall::UserExecute => {
                match self.user_call(state, cpu, call, pick)? {
                    Called::Done(status) => answer = status,
                    Called::Translated => return Ok(true),
                    Called::Waits => return Ok(false),
                }
            }
            Hypercall::FrameFree => self.free(state, cpu, first)?,
            _ => return Err(Stopped::NoRule("that hypercall")),
        }
        let top = state.cpus[cpu].top_mut();
        top.set(RAX, 8, answer);
        top.at_call = false;
        Ok(true)
    }

    /// Of the x2APIC: none waits for a store (SDM vol. 3 §10.12.3).
    fn wrmsr(&self, state: &mut State, cpu: usize) -> Made {
        let low = |reg| Self::reg(state, cpu, reg) & 0xffff_ffff;
        let (number, value, to) = (low(RCX), low(RAX), low(RDX));
        let all = 0..state.cpus.len() as u8;
        match number {
            EOI => {
                let in_service = &mut state.cpus[cpu].in_service;
                let highest = in_service.iter().copied().max();
                in_service.retain(|vector| Some(*vector) != highest);
            }
            SELF_IPI => request(&mut state.cpus[cpu], value as u8),
            ICR => {
                let message = match value >> 8 & 7 {
                    0 => Message::Vector(value as u8),
                    4 => Message::Nmi,
                    _ => return Err(Stopped::NoRule("that delivery mode")),
                };
                let to: Vec<u8> = match value >> 18 & 3 {
                    0 => all.filter(|other| u64::from(*other) == to).collect(),
                    1 => vec![cpu as u8],
                    2 => all.collect(),
                    _ => all.filter(|other| usize::from(*other) != cpu).collect(),
                };
                to.iter().for_each(|to| state.send(*to, message));
            }
            _ => return Err(Stopped::NoRule("that MSR")),
        }
        Ok(true)
    }
}

/// What a read-modify-write makes of `old`; registers change with it.
fn modify(top: &mut Level, how: Rmw, reg: Reg, width: u8, old: u64) -> u64 {
    let operand = top.reg(reg) & mask(width);
    let sum = old.wrapping_add(operand) & mask(width);
    match how {
        Rmw::Add => sum,
        Rmw::Or => old | operand,
        Rmw::Xadd => {
            top.set(reg, width, old);
            sum
        }
        Rmw::Xchg => {
            top.set(reg, width, old);
            operand
        }
        Rmw::Cmpxchg if top.reg(RAX) & mask(width) == old => operand,
        // It stores what it has found (SDM vol. 2 CMPXCHG).
        Rmw::Cmpxchg => {
            top.set(RAX, width, old);
            old
        }
    }
}

/// An access in parts within aligned words, ascending: address, width, and how far its value is shifted.
fn parts(va: u64, width: u8) -> Vec<(u64, u8, u32)> {
    let first = (8 - (va & 7)).min(u64::from(width)) as u8;
    let mut parts = vec![(va, first, 0)];
    if first < width {
        parts.push((va + u64::from(first), width - first, 8 * u32::from(first)));
    }
    parts
}
