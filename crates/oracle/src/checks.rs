//! Invariants and final checks as the enumerator evaluates them.

use crate::naive::{Naive, Stopped};
use crate::outcome::Bad;
use crate::program::{Check, DATA};
use crate::state::{State, mask};

impl Naive<'_> {
    /// What invariants say of a state, and final checks of a last one.
    pub(crate) fn check(&self, state: &State) -> Result<(), Stopped> {
        self.program.always.iter().try_for_each(|check| self.ask(state, check))?;
        match state.ended() {
            true => self.program.finally.iter().try_for_each(|check| self.ask(state, check)),
            false => Ok(()),
        }
    }

    fn ask(&self, state: &State, check: &Check) -> Result<(), Stopped> {
        let has = |(word, value): (u8, u32)| self.made(state, word) == u64::from(value);
        if !has(check.when) || has(check.then) {
            return Ok(());
        }
        Err(match check.property {
            Some(property) => Stopped::Bad(Bad::Failed(format!("p{property}"))),
            None => Stopped::Discarded,
        })
    }

    /// A word with every store that was made, in a store buffer or not. Of two to one word the higher CPU's
    /// wins: it may be the last to become visible.
    fn made(&self, state: &State, word: u8) -> u64 {
        let va = DATA + 8 * u64::from(word);
        let number = self.word(va).expect("a shared word");
        let to_it = |store: &&crate::state::Buffered| store.va & !7 == va;
        let stores = state.cpus.iter().flat_map(|cpu| cpu.buffer.iter().filter(to_it));
        stores.fold(state.memory[number], |word, store| {
            let shift = 8 * (store.va & 7);
            let bits = mask(store.width) << shift;
            word & !bits | store.value << shift & bits
        })
    }
}
