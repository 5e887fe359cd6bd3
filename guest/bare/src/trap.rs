//! The contents of the stack after a trap, and the last trap that a probe has taken.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cpu;
use crate::labels::{address, probe_done};
use crate::tables::{KERNEL_CS, KERNEL_SS, cpu_of};

/// The values that `trap.s` has pushed, from the top of the stack.
#[repr(C)]
pub(crate) struct Frame {
    xmm: [u128; 16],
    registers: [u64; 15],
    pub(crate) vector: u64,
    pub(crate) code: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

/// A recorded trap.
#[derive(Clone, Copy)]
pub(crate) struct Trap {
    pub(crate) vector: u64,
    pub(crate) code: u64,
    pub(crate) cr2: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
    /// Address of RIP in the frame.
    pub(crate) at: u64,
    /// RFLAGS and SS in the handler.
    pub(crate) inside: (u64, u64),
}

const NONE: u64 = 256;
static RECORD: [AtomicU64; 11] = [const { AtomicU64::new(NONE) }; 11];

unsafe extern "C" {
    static recover: AtomicU64;
}

/// Returns the trap since [`forget`], if there was one.
pub(crate) fn recorded() -> Option<Trap> {
    let field = |i: usize| RECORD[i].load(Relaxed);
    (field(0) != NONE).then(|| Trap {
        vector: field(0),
        code: field(1),
        cr2: field(2),
        rip: field(3),
        cs: field(4),
        rflags: field(5),
        rsp: field(6),
        ss: field(7),
        at: field(8),
        inside: (field(9), field(10)),
    })
}

pub(crate) fn forget() {
    RECORD[0].store(NONE, Relaxed);
}

/// Records the trap, and resumes at the end of the probe.
pub(crate) fn record(frame: &mut Frame, rflags: u64, ss: u64) {
    // SAFETY: defined in `trap.s`, 8 aligned bytes that are only accessed as a whole.
    let recovery = unsafe { recover.load(Relaxed) };
    let at = (&raw const frame.rip).addr() as u64;
    if recovery == 0 || cpu_of(at) != 0 {
        panic!(
            "vector {} ({:x}) at {:x}, CR2 {:x}, CPU {}",
            frame.vector,
            frame.code,
            frame.rip,
            cpu::cr2(),
            cpu_of(at)
        );
    }
    let values = [
        frame.vector,
        frame.code,
        cpu::cr2(),
        frame.rip,
        frame.cs,
        frame.rflags,
        frame.rsp,
        frame.ss,
        at,
        rflags,
        ss,
    ];
    for (cell, value) in RECORD.iter().zip(values) {
        cell.store(value, Relaxed);
    }
    frame.rip = address(probe_done);
    frame.cs = KERNEL_CS;
    frame.ss = KERNEL_SS;
    frame.rsp = recovery;
    frame.rflags = 2;
}
