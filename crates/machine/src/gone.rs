//! `stack-use-after-return`: what another agent does to a frame that is gone.
//!
//! An on-stack request whose owner returns without waiting for it is a bug of kernels that no value need show.
//! So an access of another agent to a word of a stack that was in a frame and is below the stack pointer is a
//! violation: of another CPU, of a handler on the same one, or of the thread that a handler had interrupted.
//! For a buffered store of another CPU it counts when it becomes visible.
//!
//! # In every interleaving
//!
//! Whether a word is in a frame is told as part of the word: making a frame and leaving it writes all of its
//! words on behalf of the owner. So a word that somebody else touches is shared, even if the owner never accesses
//! it. Past a shared word the floor (see [`frames`](crate::frames)) moves in a visible operation
//! on the words that it passes, right after the instruction that has moved RSP and before the next. So
//! the search tries every access of others before it and after it. Where no shared word is passed, nobody can
//! tell when the floor moves, and it follows at once.
//!
//! Between the instruction and that operation an access counts as before. None is lost: whatever can come there
//! can come after the operation as well, which waits for nothing. Nor is one blamed that is right: where RSP has
//! moved down already, the access was possible before the instruction.
//!
//! # What is not judged
//!
//! - The stack of an agent that has moved RSP in another way than [`Op::moves_frame`] knows: there a word below
//!   RSP may be live.
//! - The red zone down to where its owner has stored since RSP moved last: that is a frame of a leaf function.
//! - Stacks below a raw handler while it runs, which finds the stack pointer of what it has interrupted and
//!   may go on below it, as the processor itself does where a gate has no IST. That they are not judged, and
//!   are again, is a write of all words that are gone on them, by delivery and return.
//! - The stack of NMIs from an NMI within an NMI on, which runs on the frames of the first.
//! - What the owner itself does, and what set-up, invariants and final checks do.

use memory::buffer::Store;
use x86::Op;

use crate::agent::{Agent, Role, STACKS};
use crate::cpu::Cpu;
use crate::dead::RED_ZONE;
use crate::exec::{Accesses, Exec, Stop};
use crate::frames::{Depth, Frames};
use crate::halt::Violation;
use crate::layout::{self, Layout, Want};
use crate::next::NextOperation;
use crate::watch::Watch;
use crate::word::Word;

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// Is there a rule about frames for the agent at work?
    pub(crate) fn has_frames(&self) -> bool {
        !self.fixed.alone && !matches!(self.agent.role(), Role::NestedNmi(_))
    }

    /// A step begins with this RSP.
    pub(crate) fn take_up_stack(&mut self, rsp: u64, frames: &[Frames; STACKS], depths: &[Depth]) {
        if (self.fixed.stack.0..=self.fixed.stack.1).contains(&rsp) {
            // What an earlier step has left below is dead as soon as RSP has risen above it.
            self.step.low_water = rsp.saturating_sub(RED_ZONE).max(self.fixed.stack.0);
        }
        if self.fixed.returns_to.is_some() {
            let lent = lent(self.layout, self.agent, frames, depths);
            self.step.lent = lent.filter(|word| self.is_visible(*word)).collect();
        }
        if self.has_frames() {
            self.step.frames = frames[self.agent.level()];
            self.step.depth = depths[usize::from(self.agent.0)];
            self.step.lags = self.step.frames.lags(rsp);
        }
    }

    /// The step ends.
    pub(crate) fn put_down_stack(&self, frames: &mut [Frames; STACKS], depths: &mut [Depth]) {
        if self.has_frames() {
            frames[self.agent.level()] = self.step.frames;
            depths[usize::from(self.agent.0)] = self.step.depth;
        }
    }

    /// An instruction has moved RSP from where it was, or has stored below it.
    #[inline]
    pub(crate) fn rsp_moved(&mut self, op: Option<&Op>, from: u64, rsp: u64) {
        let stored_below = std::mem::replace(&mut self.insn.stored_below, u64::MAX);
        if self.fixed.alone {
            return;
        }
        let on_stack = (self.fixed.stack.0..=self.fixed.stack.1).contains(&rsp);
        let orderly = on_stack && op.is_none_or(|op| from == rsp || op.moves_frame(from, rsp));
        if from != rsp {
            self.step.frames.leave_red_zone();
        }
        if stored_below < rsp
            && stored_below >= rsp.saturating_sub(RED_ZONE).max(self.fixed.stack.0)
        {
            self.step.frames.use_red_zone(stored_below);
        }
        if orderly
            && self.step.frames.is_orderly()
            && self.step.depth.low <= self.step.frames.end(rsp)
        {
            let (from, to) = self.step.depth.among_shared(self.step.frames.changing(rsp));
            if from >= to {
                self.step.frames.follow(rsp, None);
                self.step.lags = false;
                return;
            }
        }
        self.rsp_moved_far(on_stack, orderly, rsp);
    }

    /// The same where something may follow from it.
    #[cold]
    fn rsp_moved_far(&mut self, on_stack: bool, orderly: bool, rsp: u64) {
        if !orderly {
            self.keep(Word::kept_stack(layout::owner(self.agent)));
        }
        if !self.has_frames() {
            return;
        }
        if !orderly {
            self.step.frames.disturb();
        }
        if on_stack {
            let end = self.step.frames.end(rsp);
            deepen(self.layout, self.agent, &mut self.step.depth, end, self.accesses);
        }
        self.step.lags = self.step.frames.lags(rsp);
        if self.step.lags && self.passed(rsp).is_empty() {
            self.step.frames.follow(rsp, None);
            self.step.lags = false;
        }
    }

    /// The shared words of which it changes whether they are gone when the floor follows RSP: their addresses.
    fn passed(&self, rsp: u64) -> Vec<u64> {
        self.shared_between(self.step.frames.changing(rsp))
    }

    fn shared_between(&self, range: (u64, u64)) -> Vec<u64> {
        let (from, to) = self.step.depth.among_shared(range);
        let words = (from & !7..to).step_by(8);
        words.filter(|va| self.is_visible(word_at(self.layout, *va))).collect()
    }

    /// The floor follows RSP before the instruction at `rip`, if the step may do that: otherwise what the
    /// agent stands before.
    #[cold]
    pub(crate) fn move_floor(&mut self, rip: u64, rsp: u64) -> Option<NextOperation> {
        let passed = self.passed(rsp);
        let touches: Vec<(Word, bool)> =
            passed.iter().map(|va| (word_at(self.layout, *va), true)).collect();
        if !passed.is_empty() && !std::mem::take(&mut self.step.credit) {
            // No instruction is at such an address.
            return Some(NextOperation::new((rip ^ 1 << 63).rotate_left(8), &touches));
        }
        self.touch_all(&touches);
        self.step.frames.follow(rsp, passed.first().copied());
        self.step.lags = false;
        None
    }

    /// What the return from a raw handler does to its frame and to the stacks below it.
    pub(crate) fn frame_popped(&self) -> Vec<(Word, bool)> {
        let judged = self.has_frames() && self.step.frames.is_orderly();
        let range = judged.then_some((self.step.frames.floor(), self.fixed.stack.1));
        let passed = range.map_or_else(Vec::new, |range| self.shared_between(range));
        let passed = passed.into_iter().map(|va| word_at(self.layout, va));
        passed.chain(self.step.lent.iter().copied()).map(|word| (word, true)).collect()
    }

    /// A raw handler has returned.
    pub(crate) fn leave_stack(&mut self) {
        if self.has_frames() && self.step.frames.is_orderly() {
            let passed = self.shared_between((self.step.frames.floor(), self.fixed.stack.1));
            self.step.frames.follow(self.fixed.stack.1, passed.first().copied());
        }
    }

    /// An access to a shared word of memory is performed.
    pub(crate) fn may_access(&self, location: u64, write: bool) -> Result<(), Stop> {
        let Some((owner, va)) = self.layout.stack_at(location) else { return Ok(()) };
        if owner == layout::owner(self.agent) {
            return Ok(());
        }
        let frames = self.fixed.others.get(usize::from(owner.cpu())).map(|other| other.frames);
        let frames = frames.unwrap_or_default()[owner.level()];
        match violation(self.agent, write, owner, frames, va) {
            Some(violation) => Err(Stop::Fail(Box::new(violation))),
            None => Ok(()),
        }
    }

    /// A store goes into the store buffer. On the stack of another level of the same CPU it cannot become
    /// visible later than now, as far as that CPU can tell; on another CPU's it is looked at when it does.
    pub(crate) fn may_buffer(&self, store: Store) -> Result<(), Stop> {
        match self.layout.stack_at(store.location) {
            Some((owner, _)) if owner.cpu() == self.agent.cpu() => {
                self.may_access(store.location, true)
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with a store of `agent`'s CPU that becomes visible.
pub(crate) fn drained(
    layout: &Layout,
    cpus: &[std::sync::Arc<Cpu>],
    cpu: u8,
    store: Store,
) -> Option<Violation> {
    let (owner, va) = layout.stack_at(store.location)?;
    let frames = cpus.get(usize::from(owner.cpu()))?.gone_frames()[owner.level()];
    (owner.cpu() != cpu).then(|| violation(Agent::thread(cpu), true, owner, frames, va))?
}

/// The stack of `agent` is given to it with this RSP: a thread or a handler starts.
pub(crate) fn give<A: Accesses>(
    layout: &Layout,
    cpu: &mut Cpu,
    agent: Agent,
    depths: &mut [Depth],
    accesses: &mut A,
) {
    let rsp = cpu.regs.gpr[x86::RSP];
    let stack = layout::stack(agent);
    if cpu.interrupted.last().is_some_and(|interrupted| interrupted.by.raw) {
        for word in lent(layout, agent, &cpu.frames, depths) {
            if accesses.is_shared(word) {
                accesses.touch(agent, word, true);
            }
        }
    }
    let depth = &mut depths[usize::from(layout::owner(agent).0)];
    let shared = |(from, to): (u64, u64), accesses: &A| {
        let words = (from & !7..to).step_by(8).map(|va| (va, word_at(layout, va)));
        words.filter(|(_, word)| accesses.is_shared(*word)).collect::<Vec<_>>()
    };
    if matches!(agent.role(), Role::NestedNmi(_)) {
        let frames = &mut cpu.frames[Agent::nmi(0).level()];
        frames.disturb();
        let passed = shared(depth.among_shared(frames.changing(rsp)), accesses);
        passed.into_iter().for_each(|(_, word)| accesses.touch(agent, word, true));
        frames.follow(rsp, None);
        return;
    }
    deepen(layout, agent, depth, rsp, accesses);
    // What is above RSP was written when the stack was given.
    let lowest = shared(depth.among_shared((rsp, stack.1)), accesses).first().map(|(va, _)| *va);
    cpu.frames[agent.level()].give(rsp, lowest);
}

/// The words that are gone, and may be shared, on the stacks below `agent`, a raw handler: free for it while it runs.
fn lent<'a>(
    layout: &'a Layout,
    agent: Agent,
    frames: &'a [Frames; STACKS],
    depths: &'a [Depth],
) -> impl Iterator<Item = Word> + 'a {
    let below = frames.iter().take(agent.level()).enumerate();
    below.flat_map(move |(level, frames)| {
        let owner = Agent::at_level(agent.cpu(), level);
        let (from, to) = depths[usize::from(owner.0)].among_shared(frames.gone());
        (from & !7..to).step_by(8).map(|va| word_at(layout, va))
    })
}

/// RSP is at `rsp`: what is above it and was not in a frame in any run of this round is now. Making a frame and
/// leaving it writes its words.
#[inline]
fn deepen<A: Accesses>(
    layout: &Layout,
    agent: Agent,
    depth: &mut Depth,
    rsp: u64,
    accesses: &mut A,
) {
    let rsp = rsp & !7;
    for va in (rsp..depth.low).step_by(8) {
        let word = word_at(layout, va);
        if accesses.is_shared(word) {
            depth.shared = (depth.shared.0.min(va), depth.shared.1.max(va + 8));
        } else {
            accesses.touch(agent, word, true);
        }
    }
    depth.low = depth.low.min(rsp);
}

/// The word at an address of a stack.
fn word_at(layout: &Layout, va: u64) -> Word {
    Word::memory(layout.kernel(va, 8, Want::Write).expect("stacks are mapped"))
}

fn violation(
    agent: Agent,
    write: bool,
    owner: Agent,
    frames: Frames,
    va: u64,
) -> Option<Violation> {
    frames.is_gone(va).then(|| {
        let below = frames.floor() - va;
        Violation::StackUseAfterReturn { by: agent, write, owner, va, below }
    })
}
