//! Selectors, addresses and flags that a far return, a segment load and a gate refuse (SDM vol. 2
//! IRET, RET, MOV, LTR, INT n).

use crate::labels::{
    address, op_far_return, op_int_absent, op_iret, op_iret_nested, op_ltr, op_mov_ds, op_mov_ss,
    probe_done,
};
use crate::println;
use crate::probe::outcome;
use crate::tables::{KERNEL_CS, KERNEL_SS, stack_top};

/// Selectors of the GDT in `tables.rs`: 32-bit code, data and code of CPL 3, the busy TSS, no
/// entry.
const CODE_32: u64 = 0x18;
const USER_SS: u64 = 0x23;
const USER_CS: u64 = 0x2b;
const BUSY_TASK: u64 = 0x30;
const BEYOND: u64 = 0x58;

pub(crate) fn run() {
    returns();
    loads();
    println!("gate/not-present: {}", outcome(op_int_absent, 0, 0));
}

/// Returns from CPL 0 to CPL 0 or 3, with one fault at a time.
fn returns() {
    let done = address(probe_done);
    let far = 0x8000_0000_0000;
    let cases: [(&str, [u64; 3]); 13] = [
        ("same-level", [done, KERNEL_CS, KERNEL_SS]),
        ("same-level-null-ss", [done, KERNEL_CS, 0]),
        ("rip-not-canonical", [far, KERNEL_CS, KERNEL_SS]),
        ("cs-null", [done, 0, KERNEL_SS]),
        ("cs-null-rpl-3", [done, 3, KERNEL_SS]),
        ("cs-data", [done, KERNEL_SS, KERNEL_SS]),
        ("cs-beyond", [done, BEYOND, KERNEL_SS]),
        ("cs-rpl-3-dpl-0", [done, KERNEL_CS | 3, USER_SS]),
        ("cs-rpl-0-dpl-3", [done, USER_CS & !3, KERNEL_SS]),
        ("ss-code", [done, KERNEL_CS, KERNEL_CS]),
        ("ss-rpl-3-to-level-0", [done, KERNEL_CS, USER_SS]),
        ("ss-null-to-level-3", [done, USER_CS, 3]),
        ("ss-dpl-0-to-level-3", [done, USER_CS, KERNEL_SS | 3]),
    ];
    let rsp = stack_top(0, 4) - 0x200;
    for (name, [rip, cs, ss]) in cases {
        let frame = [rip, cs, 2, rsp, ss];
        println!("iret/{name}: {}", outcome(op_iret, at(&frame), 0));
    }
    let room = [0, done, KERNEL_CS, 2, rsp, KERNEL_SS];
    println!("iret/nested-task: {}", outcome(op_iret_nested, at(&room[1..]), 0));
    let cases: [(&str, [u64; 2]); 4] = [
        ("same-level", [done, KERNEL_CS]),
        ("rip-not-canonical", [far, KERNEL_CS]),
        ("cs-null", [done, 0]),
        ("cs-data", [done, KERNEL_SS]),
    ];
    for (name, frame) in cases {
        println!("lret/{name}: {}", outcome(op_far_return, at(&frame), 0));
    }
}

/// Returns the address of the first word.
fn at(words: &[u64]) -> u64 {
    words.as_ptr().addr() as u64
}

fn loads() {
    for (name, selector) in [
        ("null", 0),
        ("null-rpl-3", 3),
        ("data", KERNEL_SS),
        ("data-rpl-3", KERNEL_SS | 3),
        ("data-dpl-3", USER_SS),
        ("code", KERNEL_CS),
        ("beyond", BEYOND),
    ] {
        println!("mov-ss/{name}: {}", outcome(op_mov_ss, selector, 0));
        let _ = outcome(op_mov_ss, KERNEL_SS, 0);
    }
    for (name, selector) in [
        ("null", 0),
        ("data-dpl-3", USER_SS),
        ("code-readable", CODE_32),
        ("task", BUSY_TASK),
        ("beyond", BEYOND),
    ] {
        println!("mov-ds/{name}: {}", outcome(op_mov_ds, selector, 0));
        let _ = outcome(op_mov_ds, KERNEL_SS, 0);
    }
    for (name, selector) in [("busy", BUSY_TASK), ("code", KERNEL_CS), ("beyond", BEYOND)] {
        println!("ltr/{name}: {}", outcome(op_ltr, selector, 0));
    }
}
