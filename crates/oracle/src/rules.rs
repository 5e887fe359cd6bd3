//! Where docs/model.md chooses, or is about to change, and the enumerator follows it.

/// What a CPU does, where there is a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// In a run of instructions that each delay interrupts (STI, MOV to SS) only the first one does (SDM
    /// vol. 2, MOV and STI).
    pub first_delay_only: bool,
    /// A CPU that ends with interrupts off violates a property. Otherwise they are turned on.
    pub must_end_with_interrupts_on: bool,
}

/// Those of the machine as it is.
pub(crate) const RULES: Rules =
    Rules { first_delay_only: false, must_end_with_interrupts_on: false };
