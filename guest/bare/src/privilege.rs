//! Instructions that CPL 3 may not execute, and POPF there.

use crate::labels::{
    Label, address, op_user, user_cr3, user_hlt, user_in, user_int_closed, user_popf,
    user_privileged, user_stac, user_start,
};
use crate::page;
use crate::println;
use crate::probe::{self, Outcome};

pub(crate) fn run() {
    let instructions: [(&str, Label); 6] = [
        ("cli", user_privileged),
        ("hlt", user_hlt),
        ("mov-from-cr3", user_cr3),
        ("in", user_in),
        ("stac", user_stac),
        ("int-through-a-gate-of-dpl-0", user_int_closed),
    ];
    for (name, label) in instructions {
        let trap = probe::run_user(label, 0);
        println!("cpl3/{name}: {}", Outcome { trap, expected: 0 });
    }
    let entry = page::STUB + (address(user_popf) - address(user_start));
    // IF and IOPL stay 0.
    let rflags = probe::run(op_user, entry, page::USER_STACK_TOP).map_or(0, |trap| trap.rflags);
    println!("cpl3/popf-of-3202: {:x}", rflags & 0x3f_7fd7);
}
