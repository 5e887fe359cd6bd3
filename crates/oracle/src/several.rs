//! Instructions that make several accesses: CMPXCHG16B and repeated string instructions.

use crate::execute::Made;
use crate::naive::{Naive, Stopped};
use crate::outcome::Bad;
use crate::program::{Place, RAX, RBX, RCX, RDI, RDX, RSI, Strings};
use crate::state::State;

impl Naive<'_> {
    /// CMPXCHG16B: LOCKed in one; otherwise two loads and two stores, which are made if it fails, too
    /// (SDM vol. 2 CMPXCHG8B/CMPXCHG16B).
    pub(crate) fn cmpxchg16b(
        &self,
        state: &mut State,
        cpu: usize,
        locked: bool,
        place: Place,
    ) -> Made {
        let va = self.named(state, cpu, place);
        if va >> 63 == 0 {
            return Err(Stopped::NoRule("CMPXCHG16B with user memory"));
        }
        let waits = match locked {
            true => !state.cpus[cpu].buffer.is_empty(),
            false => state.cpus[cpu].fenced > 0,
        };
        if waits {
            return Ok(false);
        }
        if va & 15 != 0 {
            return Err(Stopped::Bad(Bad::Fault(13)));
        }
        while state.cpus[cpu].top().loaded.len() < 2 {
            let at = va + 8 * state.cpus[cpu].top().loaded.len() as u64;
            let Some(value) = self.read(state, cpu, at, 8)? else { return Ok(false) };
            let loaded = &mut state.cpus[cpu].top_mut().loaded;
            loaded.push(value);
            if !locked && loaded.len() < 2 {
                return Ok(true);
            }
        }
        let top = state.cpus[cpu].top_mut();
        let old: Vec<u64> = top.loaded.drain(..).collect();
        let mut new = [old[0], old[1]];
        if new == [top.reg(RAX), top.reg(RDX)] {
            new = [top.reg(RBX), top.reg(RCX)];
        } else {
            top.set(RAX, 8, old[0]);
            top.set(RDX, 8, old[1]);
        }
        for (at, value) in [va, va + 8].into_iter().zip(new) {
            match locked {
                true => self.put(state, at, 8, value),
                false => self.store(state, cpu, at, 8, value, false)?,
            }
        }
        Ok(true)
    }

    /// One iteration; between two of them interrupts may come (SDM vol. 2 REP).
    pub(crate) fn iterate(&self, state: &mut State, cpu: usize, how: Strings, width: u8) -> Made {
        let [count, from, to] = [RCX, RSI, RDI].map(|reg| Self::reg(state, cpu, reg));
        if count == 0 {
            return Ok(true);
        }
        if to >> 63 == 0 || how == Strings::Movs && from >> 63 == 0 {
            return Err(Stopped::NoRule("a string in user memory"));
        }
        let value = match how {
            Strings::Stos => Self::reg(state, cpu, RAX),
            Strings::Movs => {
                if state.cpus[cpu].fenced > 0 {
                    return Ok(false);
                }
                let Some(value) = self.load(state, cpu, from, width)? else { return Ok(false) };
                let Some(value) = value else { return Ok(true) };
                value
            }
        };
        self.store(state, cpu, to, width, value, false)?;
        let top = state.cpus[cpu].top_mut();
        top.set(RCX, 8, count - 1);
        top.set(RDI, 8, to + u64::from(width));
        if how == Strings::Movs {
            top.set(RSI, 8, from + u64::from(width));
        }
        Ok(true)
    }
}
