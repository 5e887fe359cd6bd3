//! Who notices a change of a model-specific register. Which there are, where their values are and what can be
//! written, is the table of [`registers::msr`]; a row that is added there asks for one here.

use registers::msr::Msr;

/// Who notices that code changes a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nobody but the code itself: a handler starts with what it interrupts has, and leaves it so. Where one
    /// could see the change, that has no model.
    Itself,
    /// Nobody knows: a change has no model.
    Unmodelled,
}

/// Returns who notices a change of `msr`.
pub(crate) fn notice(msr: Msr) -> Notice {
    match msr {
        Msr::FsBase | Msr::GsBase | Msr::KernelGsBase => Notice::Itself,
        Msr::Efer | Msr::TscAux => Notice::Unmodelled,
    }
}
