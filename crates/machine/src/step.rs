//! One step: from one scheduling point to the next.

use std::sync::Arc;

use abi::hypercall::Hypercall;
use memory::Memory;
use memory::buffer::Store;
use x86::{Fault, Op, RSP, Regs};

use crate::agent::{Agent, Role};
use crate::apic::{Apic, Message, Sending};
use crate::code::{Code, Slot};
use crate::cpu::{Activity, Choosing, Cpu, blank_regs};
use crate::cutoff::{ASK_EVERY, Cutoff};
use crate::exec::{Accesses, Changes, Exec, Fixed, Progress, Stop};
use crate::gone;
use crate::halt::{Bad, Gap, GapKind, Halt, Violation};
use crate::hypercall::{Context, Outcome};
use crate::layout::Want;
use crate::look::{Look, look};
use crate::machine::{Machine, MemoryModel, NMI_TOO_DEEP, NMI_UNSENT_TOO_DEEP};
use crate::next::NextOperation;
use crate::requests::MOST;
use crate::state::State;
use crate::translation;
use crate::walker::UserAccess;
use crate::watch::{Access, Bound, Flow, Seen, Watch};
use crate::word::{Part, Word};

/// Instructions after which a step ends even without a visible operation, so that an endless private
/// loop becomes a cycle of states.
const STEP_INSTRUCTIONS: u64 = 1 << 16;

/// How a stretch of instructions ended.
pub(crate) enum End {
    /// Before a visible operation.
    Before(NextOperation),
    /// Before a translation that may go several ways.
    Translation(NextOperation, UserAccess),
    /// Before `choose` among this many.
    Choose(u16),
    /// In HLT.
    Halted,
    /// The entry has returned, or the handler by an IRETQ, here.
    Returned(u64),
}

/// How a stretch of instructions is run.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    /// Nothing is a scheduling point.
    pub(crate) alone: bool,
    /// The set-up: registrations are accepted.
    pub(crate) setup: bool,
    /// One visible operation may be performed.
    pub(crate) credit: bool,
    /// What it stood before, and which way that goes.
    pub(crate) pick: Option<(Choosing, u16)>,
    /// Most instructions.
    pub(crate) limit: u64,
}

impl Mode {
    /// Returns the alternative of `choose` that is picked, if it stood before one.
    fn alternative(self) -> Option<u16> {
        let (choosing, pick) = self.pick?;
        matches!(choosing, Choosing::Among(_)).then_some(pick)
    }

    /// Returns the translation that it stood before, and which way that goes.
    fn translation(self) -> Option<(UserAccess, u16)> {
        match self.pick? {
            (Choosing::Translation(access), pick) => Some((access, pick)),
            _ => None,
        }
    }
}

impl Machine {
    /// One step of `agent`. For a CPU that stands before `choose`, `pick` is the alternative; for an
    /// interrupt level that is not active, the number of the vector to deliver.
    ///
    /// # Errors
    ///
    /// The run does not go on.
    ///
    /// # Panics
    ///
    /// If this was not among the [`choices`](Machine::choices).
    pub fn step<A: Accesses, W: Watch>(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: u16,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let number = agent.cpu();
        if matches!(agent.role(), Role::Hardware(_)) {
            return self.drain_one(state, agent, accesses, watch);
        }
        let cpu = state.cpu(number);
        if agent.level() > cpu.level_number() || matches!(pick, NMI_TOO_DEEP | NMI_UNSENT_TOO_DEEP)
        {
            // Delivery is the visible operation of this step.
            self.deliver(state, agent, pick, accesses, watch)?;
            return self.run(state, agent, None, false, accesses, watch);
        }
        let pick = cpu.choosing.map(|choosing| (choosing, pick));
        self.run(state, agent, pick, pick.is_none(), accesses, watch)
    }

    /// Runs `agent` to its next scheduling point.
    pub(crate) fn run<A: Accesses, W: Watch>(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: Option<(Choosing, u16)>,
        credit: bool,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let mode = Mode { alone: false, setup: false, credit, pick, limit: STEP_INSTRUCTIONS };
        let number = agent.cpu();
        state.cpu_mut(number).choosing = None;
        let others = look(state);
        let end = self.execute(state, agent, mode, &others, accesses, watch)?;
        let nmi = self.registered.nmi.is_some();
        let cpu = state.cpu_mut(number);
        let rip = cpu.regs.rip;
        let next = match end {
            End::Before(next) => Some(next),
            End::Translation(next, access) => {
                cpu.choosing = Some(Choosing::Translation(access));
                Some(next)
            }
            End::Choose(of) => {
                cpu.choosing = Some(Choosing::Among(of));
                Some(NextOperation::irreducible(rip, &[]))
            }
            End::Halted => {
                cpu.activity = Activity::Halted;
                // It goes on when an interrupt comes.
                let pending = |part| (Word::part(number, part), false);
                let waits_for = [pending(Part::Pending), pending(Part::Nmi)];
                Some(NextOperation::irreducible(rip, &waits_for[..1 + usize::from(nmi)]))
            }
            End::Returned(rip) => {
                self.returned(state, agent, rip, watch)?;
                None
            }
        };
        state.cpu_mut(number).next[agent.level()] = next;
        Ok(())
    }

    /// Executes instructions of `agent` until its next visible operation.
    pub(crate) fn execute<A: Accesses, W: Watch>(
        &mut self,
        state: &mut State,
        agent: Agent,
        mode: Mode,
        others: &[Look],
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<End, Halt> {
        let Machine {
            layout,
            code,
            registered,
            instructions,
            config,
            heap_next,
            cutoff,
            depths,
            ..
        } = self;
        let State { memory, cpus, freed, .. } = state;
        let apic = Apic::new(&registered.handlers, registered.nmi.is_some(), cpus.len());
        let Cpu { regs, system, interrupted, frames, .. } =
            Arc::make_mut(&mut cpus[usize::from(agent.cpu())]);
        let mut context =
            Context { registered, setup: mode.setup, others, pick: mode.alternative() };
        let by_frame = interrupted.last().filter(|interrupted| interrupted.by.raw);
        let stack = crate::layout::stack(agent);
        let fixed = Fixed {
            alone: mode.alone,
            setup: mode.setup,
            tso: config.memory_model == MemoryModel::Tso,
            interruptible: !mode.alone && context.registered.interrupts(),
            raw: context.registered.raw(),
            apic,
            returns_to: by_frame.map(|interrupted| interrupted.regs.gpr[RSP]),
            paged: context.registered.page_tables,
            fill: config.fill,
            clock: context.registered.clock,
            stack,
            heap_next: *heap_next,
            masking: config.masking,
            others,
        };
        let step = Progress::new(mode.credit, mode.translation(), stack.1);
        let told = (&mut *accesses, &mut *watch);
        let mut exec = Exec::new(agent, (layout, memory), (system, freed), told, fixed, step);
        exec.take_up_stack(regs.gpr[RSP], frames, depths);
        let stands = mode.credit || mode.pick.is_some();
        let stop = match mode.alone {
            true => exec.go_alone(regs, code, &mut context, mode.limit, cutoff, instructions),
            false => exec.go(regs, code, &mut context, stands, mode.limit, instructions),
        };
        if let Ok(end) = &stop {
            exec.mask(regs.gpr[RSP], matches!(end, End::Returned(_)));
        }
        exec.put_down_stack(frames, depths);
        let Progress { changes, sent, .. } = exec.step;
        let rip = regs.rip;
        if !send(state, apic, sent) {
            let access = Access::Bound(Bound::EqualInterrupts(MOST));
            watch.seen(Seen { agent, rip, access });
        }
        let end = stop.map_err(|stop| self.halt(agent, rip, stop))?;
        if changes.any {
            self.tables_changed(state, (agent, rip), &changes, accesses, watch)?;
        }
        Ok(end)
    }

    /// What follows from a change of page tables, of what is free, or of where a CPU may walk.
    fn tables_changed<A: Accesses, W: Watch>(
        &self,
        state: &mut State,
        (agent, rip): (Agent, u64),
        changes: &Changes,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let (layout, fill) = (&self.layout, self.config.fill);
        let mut find = |cpus: &[Arc<Cpu>], memory: &Memory| {
            for cpu in cpus {
                translation::find_tables(layout, memory, &cpu.system, fill, agent, accesses);
            }
        };
        let (entries, told) = (&changes.entries, (rip, watch));
        let own = (!matches!(agent.role(), Role::Hardware(_))).then_some(agent.cpu());
        translation::capture(layout, state, fill, entries, own, told, &mut find);
        find(&state.cpus, &state.memory);
        translation::normalize(layout, state, fill);
        if let Some(gap) = self.kernel_gap(state, agent, changes.at.unwrap_or(rip)) {
            return Err(gap);
        }
        let by = agent.cpu();
        let stored = |frame: &u64| translation::freed_under_store(layout, state, *frame, by);
        let violation = changes.freed.iter().find_map(stored);
        match violation.or_else(|| translation::freed_walk(layout, state, fill)) {
            Some(what) => Err(Halt::Bad(Bad { agent, rip, what })),
            None => Ok(()),
        }
    }

    /// Page tables for what is mapped by arithmetic.
    pub(crate) fn kernel_gap(&self, state: &State, agent: Agent, rip: u64) -> Option<Halt> {
        let (cpu, va) = translation::remaps_kernel(&self.layout, state, self.config.fill)?;
        let what = format!(
            "a kernel-half mapping made in page tables: CPU{cpu}'s CR3 leads to one for {va:#x}, which \
             is mapped already"
        );
        Some(self.gap(agent, rip, what))
    }

    /// The oldest store in the buffer becomes visible.
    fn drain_one<A: Accesses, W: Watch>(
        &self,
        state: &mut State,
        agent: Agent,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let cpu = state.cpu_mut(agent.cpu());
        let rip = cpu.regs.rip;
        let store = cpu.system.buffer.pop().expect("a choice where there is none");
        let Store { location, size, value, .. } = store;
        let old = state.memory.word(location / 8);
        if W::ON {
            let old = state.memory.load(location, size);
            let value = value & memory::mask(size);
            let access = Access::Drain { va: self.layout.address(location), size, old, value };
            watch.seen(Seen { agent, rip, access });
        }
        accesses.touch(agent, Word::of_store(store), true);
        accesses.touch(agent, Word::part(agent.cpu(), Part::Buffer), true);
        if let Some(what) = gone::drained(&self.layout, &state.cpus, agent.cpu(), store) {
            return Err(Halt::Bad(Bad { agent, rip, what }));
        }
        state.memory.store(location, size, value);
        let paged = self.registered.page_tables;
        if !paged || !translation::is_entry(&self.layout, accesses, location) {
            return Ok(());
        }
        accesses.touch(agent, Word::TABLES, true);
        let changes = Changes { entries: vec![(location / 8, old)], ..Changes::default() };
        self.tables_changed(state, (agent, rip), &changes, accesses, watch)
    }

    fn halt(&self, agent: Agent, rip: u64, stop: Stop) -> Halt {
        let what = match stop {
            Stop::Fault(fault) => Violation::Fault(fault),
            Stop::Fail(violation) => *violation,
            Stop::Discard => return Halt::Discarded,
            Stop::CutOff => return Halt::CutOff { rip },
            Stop::Unmodelled(what) => return self.gap(agent, rip, what),
            Stop::UnmodelledAt(rip, what) => return self.gap(agent, rip, what),
            Stop::Wrong(misuse) => {
                let what = GapKind::Misuse(misuse);
                return Halt::Gap(Gap { agent, rip, what, instruction: None });
            }
            Stop::Yield => unreachable!("it is the end of a step"),
        };
        Halt::Bad(Bad { agent, rip, what })
    }

    pub(crate) fn gap(&self, agent: Agent, rip: u64, what: String) -> Halt {
        let instruction = self.disassembly(rip);
        Halt::Gap(Gap { agent, rip, what: GapKind::NotModelled(what), instruction })
    }
}

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// Can something interrupt before the next instruction?
    fn is_open(&self, regs: &Regs) -> bool {
        let nmi = self.fixed.apic.nmi() && !self.system.nmis.is_blocked();
        self.fixed.interruptible && (nmi || regs.rflags & x86::flags::IF != 0)
    }

    /// Can a handler interrupt before the next instruction that finds in registers and frame how far the
    /// code below it has come?
    fn is_watched(&self, regs: &Regs) -> bool {
        let (by_interrupt, by_nmi) = self.fixed.raw;
        let interrupt = by_interrupt && regs.rflags & x86::flags::IF != 0;
        self.fixed.interruptible && (interrupt || (by_nmi && !self.system.nmis.is_blocked()))
    }

    /// Executes instructions up to a scheduling point, or `limit` of them. It may already be at one, unless
    /// it `stands` before what this step performs.
    #[inline]
    fn go(
        &mut self,
        regs: &mut Regs,
        code: &mut Code,
        context: &mut Context<'_>,
        stands: bool,
        limit: u64,
        instructions: &mut u64,
    ) -> Result<End, Stop> {
        let mut stands = stands;
        for number in 0..limit {
            let rip = regs.rip;
            if self.step.lags {
                if let Some(next) = self.move_floor(rip, regs.gpr[RSP]) {
                    return Ok(End::Before(next));
                }
                stands = false;
            }
            if (number > 0 || !stands) && self.is_watched(regs) {
                return Ok(End::Before(NextOperation::irreducible(rip, &[])));
            }
            let open = self.is_open(regs);
            self.begin(regs, open);
            *instructions += 1;
            let result = match code.at(self.layout, rip).map(|number| code.slot(number)) {
                Some(Slot::Op(op)) => self.instruction(op, regs),
                Some(Slot::Hypercall(call)) => self.call(*call, regs, context),
                Some(Slot::CutOff(bytes)) => self.fetch_fault(rip.wrapping_add(u64::from(*bytes))),
                Some(Slot::Unsupported) => Err(Stop::Unmodelled("this instruction".into())),
                None => self.fetch_fault(rip),
            };
            match result {
                // The step's visible operation is one of the instruction that it stood before. If that had
                // none to perform, if it only waited or all it touched was private, the next instruction
                // must not take its place: it may come after a store that has just been buffered, and
                // between the two the hardware must get its turn.
                Ok(None) => self.step.credit = false,
                Ok(Some(end)) => return Ok(end),
                Err(Stop::Yield) => {
                    self.suspend();
                    return Ok(match self.step.choosing.take() {
                        Some(access) => End::Translation(self.step.pending, access),
                        None => End::Before(self.step.pending),
                    });
                }
                Err(stop) => return Err(stop),
            }
        }
        self.step.credit = false;
        let lags = self.step.lags.then(|| self.move_floor(regs.rip, regs.gpr[RSP])).flatten();
        Ok(End::Before(lags.unwrap_or(NextOperation::new(regs.rip, &[]))))
    }

    /// Executes up to `limit` instructions of code that runs by itself, for which nothing is a scheduling
    /// point: it stands before something only where a part of the limit is used up.
    fn go_alone(
        &mut self,
        regs: &mut Regs,
        code: &mut Code,
        context: &mut Context<'_>,
        limit: u64,
        cutoff: &Cutoff,
        instructions: &mut u64,
    ) -> Result<End, Stop> {
        let mut left = limit;
        loop {
            let part = left.min(ASK_EVERY);
            match self.go(regs, code, context, true, part, instructions)? {
                End::Before(_) if left > part => left -= part,
                end => return Ok(end),
            }
            if cutoff.is_due() {
                return Err(Stop::CutOff);
            }
        }
    }

    /// Executes one instruction.
    #[inline]
    fn instruction(&mut self, op: &Op, regs: &mut Regs) -> Result<Option<End>, Stop> {
        self.insn.several = op.copies_memory();
        let bases = segment_bases(regs);
        let before = self.fixed.setup.then(|| closures_lose(regs));
        x86::exec(op, regs, self)?;
        if regs.rflags & x86::flags::TF != 0 {
            let what = "RFLAGS.TF, a trap after the next instruction";
            return Err(Stop::UnmodelledAt(self.insn.rip, what.into()));
        }
        if before.is_some_and(|before| before != closures_lose(regs)) {
            self.step.lost_at = self.insn.rip;
        }
        if self.insn.ends_handler {
            self.leave_stack();
        } else if regs.gpr[RSP] != self.insn.rsp || self.insn.stored_below != u64::MAX {
            self.rsp_moved(Some(op), self.insn.rsp, regs.gpr[RSP]);
        }
        if self.fixed.interruptible && segment_bases(regs) != bases {
            // A handler runs with the bases of what it interrupts, and they are no word that agents
            // could be seen to conflict on.
            let what = "a change of a segment base where an interrupt handler could see it";
            return Err(Stop::Unmodelled(what.into()));
        }
        if op.is_repeated_store()
            && regs.rip == self.insn.rip
            && self.insn.visible
            && self.has_stores()
        {
            self.warn_of_fast_strings();
        }
        self.retire();
        if W::ON {
            let flow = match (op.is_call(), op.is_ret()) {
                (true, _) => Flow::Call,
                (_, true) => Flow::Return,
                _ => Flow::Other,
            };
            self.watch.retired(self.agent, self.insn.rip, flow, regs.gpr[RSP]);
        }
        if self.insn.ends_handler {
            return Ok(Some(End::Returned(self.insn.rip)));
        }
        Ok(std::mem::take(&mut self.system.halting).then_some(End::Halted))
    }

    /// Set-up returns. Its memory stays, and CPU 0's control registers and caches; its registers go, as the ABI
    /// has it for those that a call does not keep. What it has set of the others would be lost.
    pub(crate) fn setup_ends(&self, regs: &Regs) -> Result<(), Stop> {
        let start = closures_lose(&blank_regs());
        let end = closures_lose(regs);
        if start == end {
            return Ok(());
        }
        let what = match start.0 == end.0 {
            true => {
                "RFLAGS.IF or RFLAGS.AC changed in set-up, which closures start without; do it in the closure"
            }
            false => {
                "a segment base loaded in set-up, which closures start without; load it in the closure"
            }
        };
        Err(Stop::UnmodelledAt(self.step.lost_at, what.into()))
    }

    /// Acts on a hypercall, and returns to its caller unless it ends the step.
    fn call(
        &mut self,
        call: Hypercall,
        regs: &mut Regs,
        context: &mut Context<'_>,
    ) -> Result<Option<End>, Stop> {
        match self.hypercall(call, regs, context)? {
            Outcome::Done(result) => {
                self.finish_call(regs, result)?;
                self.rsp_moved(None, self.insn.rsp, regs.gpr[RSP]);
                Ok(None)
            }
            Outcome::Choose(of) => Ok(Some(End::Choose(of))),
            Outcome::Returned => Ok(Some(End::Returned(self.insn.rip))),
            Outcome::Discard => Err(Stop::Discard),
            Outcome::Fail(violation) => Err(Stop::Fail(violation)),
            Outcome::Wrong(misuse) => Err(Stop::Wrong(misuse)),
        }
    }

    /// Nothing executable is mapped at `rip`. Bit 4 of the code: an instruction fetch.
    fn fetch_fault(&mut self, rip: u64) -> Result<Option<End>, Stop> {
        let is_user_memory = self.fixed.paged || self.layout.user(rip, 1).is_some();
        if rip >> 63 == 0 && is_user_memory {
            return Err(Stop::Unmodelled("code in user memory, run at CPL 0".into()));
        }
        if self.layout.kernel(rip, 1, Want::Read).is_none() && self.is_canonical(rip) {
            self.kernel_half(rip, 1)?;
        }
        let present = u32::from(self.layout.kernel(rip, 1, Want::Read).is_some());
        Err(Stop::Fault(Fault { vector: 14, code: 1 << 4 | present, va: rip }))
    }
}

/// What of a CPU's registers outlives a call and closures start anew with; and what they start with.
fn closures_lose(regs: &Regs) -> ([u64; 3], u64) {
    (segment_bases(regs), regs.rflags & (x86::flags::IF | x86::flags::AC))
}

fn segment_bases(regs: &Regs) -> [u64; 3] {
    [regs.fs_base, regs.gs_base, regs.kernel_gs_base]
}

/// What was sent in a step is pending after it. False if there were too many to be told apart.
fn send(state: &mut State, apic: Apic, sent: Vec<Sending>) -> bool {
    let mut told_apart = true;
    for sending in sent {
        for number in sending.targets() {
            let cpu = state.cpu_mut(number);
            told_apart &= match sending.message {
                Message::Fixed(vector) => {
                    let rank = apic.rank(vector).expect("a handler, as was checked");
                    cpu.pending.send(rank, sending.at_once)
                }
                Message::Nmi => cpu.nmis.send(0, sending.at_once),
            };
        }
    }
    told_apart
}
