//! Delivery of interrupts and NMIs, and the return from them.
//!
//! # When
//!
//! An interrupt comes at a scheduling point with IF = 1 and no shadow, an NMI at one where NMIs are not
//! blocked, whatever IF is. Both wait for an empty store buffer (SDM vol. 3 §11.10), and none comes while an
//! instruction is suspended.
//!
//! That is as good as between any two instructions. Between two scheduling points of a CPU lies what no
//! other agent notices, its own handlers included: they are agents of their own, so a word that both they
//! and the code below them touch is shared. A handler that comes there can as well come at the
//! scheduling point before. What decides whether it can come is made of words, too, and each
//! instruction that changes it is a scheduling point as soon as there are handlers, because those words
//! are touched on their behalf from the first state on:
//!
//! - the interrupt flag stands for IF, for the shadow of MOV to SS, and for the end of a handler;
//! - the store buffer: a store into it is visible where something could come before it;
//! - what is pending, which HLT reads.
//!
//! A raw handler is another matter: it finds registers, RIP and RFLAGS of what it interrupts, and so can tell
//! how far that has come. Where one may come, every instruction is a scheduling point.
//!
//! The shadow of STI does not hold NMIs back (SDM vol. 2 STI leaves that to the processor; they may come).
//!
//! # Which
//!
//! Which of those that were sent can come, and how many at once, is in [`requests`](crate::requests).
//!
//! NMIs that were sent are delivered once each; one more is kept while they are blocked. Others come out
//! of nowhere, as from a watchdog, as many as the scenario allows. They need no latch: one that comes
//! while NMIs are blocked is one that comes when they are no longer. They *may* come and need not
//! ([`Machine::is_optional`]): a CPU that waits for one is stuck.
//!
//! An NMI handler that unblocks NMIs by an IRETQ of its own can be interrupted by another; a third is a
//! [`Gap`](crate::Gap).

use crate::agent::Agent;
use crate::cpu::{Activity, blank_regs};
use crate::exec::Accesses;
use crate::gone;
use crate::halt::Halt;
use crate::interrupt;
use crate::layout::Want;
use crate::machine::{ANOTHER, Machine, NMI_SENT, NMI_UNSENT};
use crate::registered::Handler;
use crate::send::may_start;
use crate::state::State;
use crate::watch::{Access, Seen, Watch};
use crate::word::{Part, Word};

impl Machine {
    /// What the start of a handler depends on counts as touched from the beginning: were it only
    /// recorded when a handler starts, an agent that turns interrupts off and on again in one step
    /// would hide that it could.
    pub(crate) fn handlers_may_start<A: Accesses>(&self, cpus: u8, accesses: &mut A) {
        for number in 0..cpus {
            if !self.registered.handlers.is_empty() {
                may_start(Agent::interrupt(number), accesses);
            }
            if self.registered.nmi.is_some() {
                may_start(Agent::nmi(number), accesses);
            }
        }
    }

    /// Interrupts CPU `agent.cpu()`: `pick` is the rank of the vector, or where the NMI comes from, and
    /// how many times [`ANOTHER`] stays on its way.
    pub(crate) fn deliver<A: Accesses, W: Watch>(
        &mut self,
        state: &mut State,
        agent: Agent,
        pick: u16,
        accesses: &mut A,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let number = agent.cpu();
        let (pick, stay) = (pick % ANOTHER, u8::try_from(pick / ANOTHER).expect("a byte"));
        let part = |part| Word::part(number, part);
        accesses.touch(agent, part(Part::InterruptFlag), true);
        // It has waited for an empty store buffer.
        accesses.touch(agent, part(Part::Buffer), false);
        let rip = state.cpu(number).regs.rip;
        if agent.level() <= state.cpu(number).level_number() {
            return Err(self.gap(
                agent,
                rip,
                "an NMI in an NMI handler that has interrupted one".into(),
            ));
        }
        let handler = if agent.is_nmi() {
            let nmi = self.registered.nmi.expect("a choice where there is none");
            if pick == NMI_UNSENT {
                accesses.touch(agent, Word::NMI_BUDGET, true);
                state.nmi_budget -= 1;
            } else {
                accesses.touch(agent, part(Part::Nmi), true);
                state.cpu_mut(number).nmis.take(0, stay);
            }
            state.cpu_mut(number).system.nmis.deliver();
            nmi.handler
        } else {
            accesses.touch(agent, part(Part::Pending), true);
            let handler = self.registered.handlers[usize::from(pick)];
            let cpu = state.cpu_mut(number);
            cpu.pending.take(pick, stay);
            if handler.raw {
                cpu.system.in_service.begin(handler.vector);
            }
            handler
        };
        let sent = !agent.is_nmi() || pick == NMI_SENT;
        let access = Access::Ipi { vector: handler.vector, sent };
        watch.seen(Seen { agent, rip, access });
        self.enter_handler(state, agent, handler, accesses);
        Ok(())
    }

    fn enter_handler<A: Accesses>(
        &mut self,
        state: &mut State,
        agent: Agent,
        handler: Handler,
        accesses: &mut A,
    ) {
        let cpu = state.cpu_mut(agent.cpu());
        let frame = interrupt::enter(cpu, agent, handler);
        let rsp = cpu.regs.gpr[x86::RSP];
        let quadwords = match frame {
            Some(frame) => frame.quadwords().to_vec(),
            None => vec![self.return_address],
        };
        for (va, value) in (rsp..).step_by(8).zip(quadwords) {
            let location = self.layout.kernel(va, 8, Want::Write).expect("stacks are mapped");
            // Where the word is not known to be shared, `gone::give` touches it for a handler as well; a
            // nested NMI has no frames of its own there.
            accesses.touch(agent, Word::memory(location), true);
            state.memory.store(location, 8, value);
        }
        let cpu = state.cpu_mut(agent.cpu());
        gone::give(&self.layout, cpu, agent, &mut self.depths, accesses);
    }

    /// The agent has returned: a handler to what it interrupted, a thread to idling.
    pub(crate) fn returned<W: Watch>(
        &self,
        state: &mut State,
        agent: Agent,
        rip: u64,
        watch: &mut W,
    ) -> Result<(), Halt> {
        let cpu = state.cpu_mut(agent.cpu());
        if let Some(frames) = cpu.frames.get_mut(agent.level()) {
            frames.rest();
        }
        let access = match interrupt::leave(cpu) {
            Ok(Some(vector)) => Access::IpiDone { vector },
            Ok(None) => {
                cpu.activity = Activity::Ended;
                cpu.regs = blank_regs();
                Access::End
            }
            Err(register) => {
                let what = format!("a return from an interrupt with {register} changed");
                return Err(self.gap(agent, rip, what));
            }
        };
        watch.seen(Seen { agent, rip, access });
        Ok(())
    }
}
