//! Operations that may fault, and their outcome.

use core::fmt;

use crate::labels::{Label, address, op_user, user_start};
use crate::trap::{self, Trap};
use crate::{cpu, page};

unsafe extern "sysv64" {
    fn probe(operation: Label, a: u64, b: u64);
}

/// Runs `operation(a, b)`; returns the trap that ended it, if one did.
pub(crate) fn run(operation: Label, a: u64, b: u64) -> Option<Trap> {
    trap::forget();
    cpu::write_cr2(0);
    // SAFETY: the operations of `trap.s` change nothing that compiled code relies on, or trap.
    unsafe { probe(operation, a, b) };
    trap::recorded()
}

/// Runs the code at `label` of the user page at CPL 3 with `argument`; INT 80H ends it.
pub(crate) fn run_user(label: Label, argument: u64) -> Option<Trap> {
    let entry = page::STUB + (address(label) - address(user_start));
    run(op_user, entry, argument).filter(|trap| trap.vector != 0x80)
}

/// The outcome of an operation: `ok`, `pf` with the error code in hexadecimal, or the vector in
/// decimal with the error code. CR2 is named if it is not the expected address.
pub(crate) struct Outcome {
    pub(crate) trap: Option<Trap>,
    pub(crate) expected: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trap {
            None => f.write_str("ok"),
            Some(Trap { vector: 14, code, cr2, .. }) => {
                write!(f, "pf{code:x}")?;
                if cr2 != self.expected {
                    write!(f, "@{cr2:x}")?;
                }
                Ok(())
            }
            Some(Trap { vector, code, .. }) => write!(f, "#{vector}({code:x})"),
        }
    }
}

/// Returns the outcome of [`run`] without an expected CR2.
pub(crate) fn outcome(operation: Label, a: u64, b: u64) -> Outcome {
    Outcome { trap: run(operation, a, b), expected: 0 }
}
