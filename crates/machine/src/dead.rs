//! Dead bytes of stacks: how states become equal that differ in nothing that is ever read.
//!
//! What a call that has returned left below the stack pointer would tell states apart. So at the end of a step
//! the words of the agent's own stack below its red zone become *dead*: zero, and of no known value. Those that
//! were never stored to are dead from the start. A store makes the bytes alive that it writes
//! ([`Memory`](memory::Memory)), and which bytes are dead is part of a state. This is called masking.
//!
//! # Why no verdict depends on it
//!
//! Nothing is assumed of the program. Stacks may be switched, carved, read below the stack pointer or before
//! they are initialised. A dead byte that is *read* is not given a value silently: its word is to be *kept*,
//! which [`Word::kept`] says by being shared, as [`Word::table`] does of tables. That is news, so the search
//! begins another round, in which the word is never masked. So in the last round no dead byte is read, but for
//! bytes never stored to, in words that are never masked: these have the value they are read with, zero.
//!
//! Take any run of the machine without masking, divided into the same steps, and the same choices on this
//! machine. By induction over the steps the two have the same state but for the values of bytes that are dead
//! here: a step does the same in both as long as what it reads is alive. Suppose some run reads a byte
//! that is dead here, and take it up to the first time. Up to there it is a run of this machine, so the search
//! takes it or one that is equivalent, and meets the read. That would have been news. So in the last
//! round the runs of both machines are the same, with the same values read. Two states that are equal here stand
//! for states of the other machine that differ in dead bytes only; no run from either reads those.
//!
//! # Why what is equivalent stays so
//!
//! The search reorders steps that conflict on no word, and it must come to the same state. Dead bits
//! belong to their word: only an access to it changes them, and masking, which is told as a write of the
//! stack's owner. So where another agent touches a word that its owner masks, the word is shared; and a
//! shared word is not masked at all, since when a step ends is not to be seen in it. That is why words that
//! other agents or an invariant read need no care either. The entries of page tables are not masked.
//!
//! # Rounds saved
//!
//! Once code moves RSP in a way that calls and frames do not, as who switches stacks does, all of that stack
//! is kept ([`Word::kept_stack`]). It would be found to be, word by word; nothing else depends on this.

use memory::ALL_DEAD;
use memory::buffer;

use crate::agent::Agent;
use crate::exec::{Accesses, Exec};
use crate::layout::Want;
use crate::watch::Watch;
use crate::word::Word;

/// SysV ABI: bytes below RSP that a leaf function may use. Precompiled `core` does. That they are spared only
/// saves rounds.
pub(crate) const RED_ZONE: u64 = 128;

impl<A: Accesses, W: Watch> Exec<'_, A, W> {
    /// `size` bytes of a word from byte `offset` on are read, and bytes of it are dead.
    #[cold]
    pub(crate) fn dead_bytes_are_read(&mut self, word: u64, offset: u64, size: u8, dead: u8) {
        if buffer::bytes(offset, size) & dead != 0 {
            self.keep(Word::memory(word * 8).kept());
        }
    }

    /// The same for bytes that may be in two words.
    pub(crate) fn is_read(&mut self, location: u64, size: u8) {
        let end = location + u64::from(size);
        for word in location / 8..end.div_ceil(8) {
            let dead = self.memory.word_and_dead(word).1;
            if dead != 0 {
                let from = location.max(word * 8);
                let size = u8::try_from(end.min(word * 8 + 8) - from).expect("at most 8");
                self.dead_bytes_are_read(word, from % 8, size, dead);
            }
        }
    }

    /// From the next round on what `kept` stands for is not masked.
    pub(crate) fn keep(&mut self, kept: Word) {
        if self.fixed.masking && !self.accesses.is_shared(kept) {
            self.accesses.touch(Agent::hardware(0), kept, true);
            self.accesses.touch(Agent::OBSERVER, kept, true);
        }
    }

    /// The step ends with this RSP, or with the return of the agent: on its own stack what is below its red
    /// zone, or all, becomes dead, as far as this step can have left anything there.
    pub(crate) fn mask(&mut self, rsp: u64, has_returned: bool) {
        // The observer's stack is the same in all states; an NMI within an NMI runs on a live one.
        let is_masked = self.fixed.masking && self.has_frames();
        if !is_masked || !(has_returned || (self.fixed.stack.0..=self.fixed.stack.1).contains(&rsp))
        {
            return;
        }
        let live = if has_returned { self.fixed.stack.1 } else { rsp.saturating_sub(RED_ZONE) };
        let low = self.step.low_water & !7;
        if low + 8 > live || self.accesses.is_shared(Word::kept_stack(self.agent)) {
            return;
        }
        let Some(first) = self.layout.kernel(low, 8, Want::Write) else { return };
        for location in (first..first + (live - low) / 8 * 8).step_by(8) {
            if self.memory.word_and_dead(location / 8).1 == ALL_DEAD {
                continue;
            }
            let word = Word::memory(location);
            let is_known = |word| self.accesses.is_shared(word);
            if is_known(word) || is_known(word.kept()) || self.is_entry(location) {
                continue;
            }
            self.accesses.touch(self.agent, word, true);
            self.memory.bury(location / 8);
        }
    }
}
