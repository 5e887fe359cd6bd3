//! Page walks, what may be cached, and accesses to user memory.

use abi::hypercall::Hypercall;

use crate::naive::{Naive, Stopped};
use crate::program::Op;
use crate::state::State;

impl Naive<'_> {
    /// How many results the translation of the next access of `op` has.
    pub(crate) fn translations(&self, _: &State, _: usize, _: Op) -> usize {
        1
    }

    /// The address in the kernel half at which an access to `va` is performed.
    pub(crate) fn resolve(
        &self,
        _: &State,
        _: usize,
        va: u64,
        _: bool,
        _: usize,
    ) -> Result<Option<u64>, Stopped> {
        if va >> 63 == 0 {
            return Err(Stopped::NoRule("user memory"));
        }
        Ok(Some(va))
    }

    pub(crate) fn is_frame(&self, _: u64) -> bool {
        false
    }

    pub(crate) fn memory_changed(&self, _: &mut State) {}

    pub(crate) fn user_call(
        &self,
        _: &mut State,
        _: usize,
        _: Hypercall,
        _: usize,
    ) -> Result<Option<u64>, Stopped> {
        Err(Stopped::NoRule("user memory"))
    }

    pub(crate) fn free(&self, _: &mut State, _: usize, _: u64) -> Result<(), Stopped> {
        Err(Stopped::NoRule("frames"))
    }

    pub(crate) fn control(&self, _: &mut State, _: usize, _: Op) -> Result<bool, Stopped> {
        Err(Stopped::NoRule("control registers"))
    }
}
