//! The speed of the interpreter: `cargo test --release -p x86 --test speed -- --ignored
//! --nocapture`.
#![expect(clippy::print_stdout, reason = "the result is the point")]

mod common;

use std::time::Instant;

use common::Flat;
use x86::{Lowered, Op, RBX, RCX, lower};

/// Load, add, store, xor, shift, increment, compare, branch.
const LOOP: &[u8] = &[
    0x48, 0x8b, 0x04, 0xcb, // mov (%rbx,%rcx,8),%rax
    0x48, 0x01, 0xd0, // add %rdx,%rax
    0x48, 0x89, 0x04, 0xcb, // mov %rax,(%rbx,%rcx,8)
    0x48, 0x31, 0xc2, // xor %rax,%rdx
    0x48, 0xc1, 0xea, 0x03, // shr $3,%rdx
    0x48, 0xff, 0xc1, // inc %rcx
    0x48, 0x83, 0xf9, 0x40, // cmp $64,%rcx
    0x75, 0xe5, // jne start
];

#[test]
#[ignore = "a measurement"]
fn instructions_per_second() {
    let ip = 0x1000u64;
    let mut table: Vec<Option<Op>> = vec![None; LOOP.len()];
    let mut at = 0;
    while at < LOOP.len() {
        let Lowered::Op(op) = lower(&LOOP[at..], ip + at as u64) else { panic!("not lowered") };
        let len = usize::from(op.len());
        table[at] = Some(op);
        at += len;
    }
    let mut regs = common::regs();
    let mut env = Flat::new(0x2000);
    regs.rip = ip;
    regs.gpr[RBX] = 0x2000;
    let rounds = 2_000_000u64;
    let start = Instant::now();
    let mut count = 0u64;
    for _ in 0..rounds {
        regs.rip = ip;
        regs.gpr[RCX] = 32;
        while regs.rip != ip + LOOP.len() as u64 {
            let op = table[(regs.rip - ip) as usize].as_ref().expect("an instruction");
            x86::exec(op, &mut regs, &mut env).expect("no fault");
            count += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} M instructions/s ({:x})", count as f64 / seconds / 1e6, regs.gpr[2]);
}
