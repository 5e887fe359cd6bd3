//! Refusals: faults, and the places where a model ends.

use crate::Fault;

/// The reason why the machine around an instruction does not do what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The architecture has it so.
    Fault(Fault),
    /// The model ends here; the text names what is missing.
    Unmodelled(String),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Fault(fault)
    }
}
