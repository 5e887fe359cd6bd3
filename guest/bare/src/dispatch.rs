//! The common handler of every vector.

use crate::trap::{Frame, record};
use crate::{interrupts, nmi};

/// The function that `trap.s` calls, with RFLAGS and SS as the handler found them.
#[unsafe(no_mangle)]
extern "sysv64" fn trap(frame: &mut Frame, rflags: u64, ss: u64) {
    match frame.vector {
        2 => nmi::handle(frame),
        0x40..0x80 => interrupts::handle(frame, rflags),
        0x83 => {}
        _ => record(frame, rflags, ss),
    }
}
