//! Operations that may fault, and what came of them.

use core::fmt;

use crate::cpu;
use crate::page;
use crate::trap::{self, Trap};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident)*) => {
        unsafe extern "C" {
            $($(#[$doc])* pub(crate) fn $name();)*
        }
    };
}

operations! {
    op_read op_read8 op_read_stack op_write op_call op_user op_cr3 op_cr4 op_invlpg op_invpcid
    op_iret op_far_return op_iret_nested op_mov_ss op_mov_ds op_ltr op_int_absent
    probe_done
    op_ud op_int3 op_divide op_int op_int_trap op_skewed
    user_start user_read user_write user_jump user_privileged user_hlt user_cr3 user_in user_stac
    user_int_closed user_popf user_end
    sti_cli sti_nop_cli sti_hlt_cli after_hlt sti_ss_cli popf_window after_popf
}

/// A label of `trap.s`.
pub(crate) type Label = unsafe extern "C" fn();

unsafe extern "sysv64" {
    fn probe(operation: Label, a: u64, b: u64);
}

/// Address of a label.
pub(crate) fn address(label: Label) -> u64 {
    (label as *const ()).addr() as u64
}

/// Runs `operation(a, b)`; the trap that ended it, if one did.
pub(crate) fn run(operation: Label, a: u64, b: u64) -> Option<Trap> {
    trap::forget();
    cpu::write_cr2(0);
    // SAFETY: the operations of `trap.s` change nothing that compiled code relies on, or trap.
    unsafe { probe(operation, a, b) };
    trap::recorded()
}

/// Runs the code at `label` of the user page at CPL 3 with `argument`; INT 80H is its end.
pub(crate) fn run_user(label: Label, argument: u64) -> Option<Trap> {
    let entry = page::STUB + (address(label) - address(user_start));
    run(op_user, entry, argument).filter(|trap| trap.vector != 0x80)
}

/// What came of an operation: `ok`, `pf` with the error code in hexadecimal, or the vector in decimal
/// with the error code. CR2 is named if it is not the address that was expected.
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

/// [`run`] with nothing expected of CR2.
pub(crate) fn outcome(operation: Label, a: u64, b: u64) -> Outcome {
    Outcome { trap: run(operation, a, b), expected: 0 }
}
