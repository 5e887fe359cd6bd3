//! The accesses that an instruction makes, their order, and that a fault changes nothing.

mod common;

use common::{Event, Flat, regs};
use x86::{At, Fault, Lowered, RAX, RBP, RBX, RCX, RDI, RSI, RSP, Regs, exec, lower};

const BASE: u64 = 0x5000;

/// Returns registers that point into memory, with RIP at 1000H.
fn start() -> Regs {
    let mut regs = regs();
    regs.rip = 0x1000;
    for pointer in [RBX, RSP, RBP, RSI, RDI] {
        regs.gpr[pointer] = BASE + 0x100;
    }
    regs
}

fn run(bytes: &[u8], regs: &mut Regs, env: &mut Flat) -> Result<(), Fault> {
    match lower(bytes, regs.rip) {
        Lowered::Op(op) => exec(&op, regs, env),
        other => panic!("{other:?}"),
    }
}

/// Returns the accesses of `bytes` run from [`start`], after `prepare`.
fn accesses(bytes: &[u8], prepare: impl FnOnce(&mut Regs)) -> Vec<Event> {
    let mut env = Flat::logging(BASE);
    let mut regs = start();
    prepare(&mut regs);
    run(bytes, &mut regs, &mut env).expect("no fault");
    env.log.expect("a log")
}

const PLAIN: At = At { va: BASE + 0x100, size: 8, stack: false, locked: false, for_write: false };
const STACK: At = At { stack: true, ..PLAIN };

#[test]
fn a_read_modify_write_loads_for_write_and_then_stores() {
    let log = accesses(&[0x48, 0x01, 0x03], |_| ()); // add %rax,(%rbx)
    assert_eq!(log, [Event::Load(At { for_write: true, ..PLAIN }), Event::Store(PLAIN, 0)]);
    let log = accesses(&[0x48, 0x39, 0x03], |_| ()); // cmp %rax,(%rbx)
    assert_eq!(log, [Event::Load(PLAIN)]);
}

#[test]
fn lock_and_xchg_mark_both_accesses() {
    let locked = At { locked: true, ..PLAIN };
    let load = Event::Load(At { for_write: true, ..locked });
    let log = accesses(&[0xf0, 0x48, 0xff, 0x03], |_| ()); // lock incq (%rbx)
    assert_eq!(log, [load.clone(), Event::Store(locked, 1)]);
    let log = accesses(&[0x48, 0x87, 0x03], |regs| regs.gpr[RAX] = 5); // xchg %rax,(%rbx)
    assert_eq!(log, [load.clone(), Event::Store(locked, 5)]);
    // lock cmpxchg16b (%rbx)
    let wide = At { size: 16, ..locked };
    let log = accesses(&[0xf0, 0x48, 0x0f, 0xc7, 0x0b], |_| ());
    let new = u128::from(BASE + 0x100);
    assert_eq!(log, [Event::Load(At { for_write: true, ..wide }), Event::Store(wide, new)]);
}

#[test]
fn a_failed_cmpxchg_writes_the_old_value_back() {
    // cmpxchg %rcx,(%rbx)
    let log = accesses(&[0x48, 0x0f, 0xb1, 0x0b], |regs| {
        regs.gpr[RAX] = 1;
        regs.gpr[RCX] = 9;
    });
    assert_eq!(log, [Event::Load(At { for_write: true, ..PLAIN }), Event::Store(PLAIN, 0)]);
}

#[test]
fn stack_references_are_marked() {
    let below = At { va: BASE + 0xf8, ..STACK };
    assert_eq!(accesses(&[0x50], |_| ()), [Event::Store(below, 0)]); // push %rax
    assert_eq!(accesses(&[0x58], |_| ()), [Event::Load(STACK)]); // pop %rax
    let back = Event::Store(below, 0x1005);
    assert_eq!(accesses(&[0xe8, 0, 0, 0, 0], |_| ()), [back]); // call
    // mov 0(%rbp),%rax; the same through GS; mov (%rbx,%rbp),%rax
    assert_eq!(accesses(&[0x48, 0x8b, 0x45, 0], |_| ()), [Event::Load(STACK)]);
    assert_eq!(accesses(&[0x65, 0x48, 0x8b, 0x45, 0], |_| ()), [Event::Load(PLAIN)]);
    let log = accesses(&[0x48, 0x8b, 0x04, 0x2b], |regs| regs.gpr[RBP] = 0);
    assert_eq!(log, [Event::Load(PLAIN)]);
    // A DS prefix does nothing: still SS.
    assert_eq!(accesses(&[0x3e, 0x48, 0x8b, 0x45, 0], |_| ()), [Event::Load(STACK)]);
}

#[test]
fn push_of_memory_loads_before_it_stores() {
    let below = At { va: BASE + 0xf8, ..STACK };
    let log = accesses(&[0xff, 0x33], |_| ()); // push (%rbx)
    assert_eq!(log, [Event::Load(PLAIN), Event::Store(below, 0)]);
    // pop 8(%rsp) addresses with the incremented RSP.
    let log = accesses(&[0x8f, 0x44, 0x24, 8], |_| ());
    let above = At { va: BASE + 0x110, ..STACK };
    assert_eq!(log, [Event::Load(STACK), Event::Store(above, 0)]);
}

#[test]
fn a_store_that_faults_changes_no_register() {
    let cases: [&[u8]; 9] = [
        &[0x48, 0x01, 0x03],       // add %rax,(%rbx)
        &[0x48, 0x87, 0x03],       // xchg %rax,(%rbx)
        &[0x48, 0x0f, 0xc1, 0x03], // xadd %rax,(%rbx)
        &[0x48, 0x0f, 0xb1, 0x0b], // cmpxchg %rcx,(%rbx)
        &[0xf0, 0x0f, 0xc7, 0x0b], // lock cmpxchg8b (%rbx)
        &[0x48, 0xd1, 0x13],       // rclq (%rbx)
        &[0x48, 0x0f, 0xbb, 0x03], // btc %rax,(%rbx)
        &[0x8f, 0x03],             // pop (%rbx)
        &[0x48, 0xa5],             // movsq
    ];
    for bytes in cases {
        let mut env = Flat::new(BASE);
        env.read_only = Some(BASE + 0x100);
        env.memory[0x100] = 3;
        let before = start();
        let mut regs = before.clone();
        let fault = run(bytes, &mut regs, &mut env).expect_err("read-only");
        assert_eq!((fault.vector, fault.va), (14, BASE + 0x100));
        assert_eq!(regs, before, "{bytes:02x?}");
    }
}

#[test]
fn a_repeated_string_instruction_does_one_iteration_and_keeps_rip() {
    let mut env = Flat::logging(BASE);
    let mut regs = start();
    regs.gpr[RCX] = 2;
    regs.gpr[RDI] = BASE;
    run(&[0xf3, 0xa4], &mut regs, &mut env).expect("no fault"); // rep movsb
    assert_eq!((regs.rip, regs.gpr[RCX], regs.gpr[RDI]), (0x1000, 1, BASE + 1));
    run(&[0xf3, 0xa4], &mut regs, &mut env).expect("no fault");
    assert_eq!((regs.rip, regs.gpr[RCX], regs.gpr[RDI]), (0x1002, 0, BASE + 2));
    regs.rip = 0x1000;
    run(&[0xf3, 0xa4], &mut regs, &mut env).expect("no fault");
    assert_eq!((regs.rip, regs.gpr[RCX], regs.gpr[RDI]), (0x1002, 0, BASE + 2));
    assert_eq!(env.log.expect("a log").len(), 4, "nothing is accessed for a count of 0");
}

#[test]
fn an_aligned_vector_access_faults_before_it_reaches_memory() {
    let mut env = Flat::logging(BASE);
    let mut regs = start();
    regs.gpr[RBX] += 8;
    let fault = run(&[0x0f, 0x28, 0x03], &mut regs, &mut env).expect_err("misaligned"); // movaps
    assert_eq!(fault, Fault::GP);
    assert_eq!(env.log.expect("a log"), []);
}

#[test]
fn prefetches_and_long_nops_access_nothing() {
    assert_eq!(accesses(&[0x0f, 0x18, 0x0b], |_| ()), []); // prefetcht0 (%rbx)
    assert_eq!(accesses(&[0x0f, 0x1f, 0x03], |_| ()), []); // nopl (%rbx)
    assert_eq!(accesses(&[0x48, 0x8d, 0x03], |_| ()), []); // lea (%rbx),%rax
}

/// Checks that no bytes cause a panic, and that an instruction that faults changes nothing.
#[test]
fn arbitrary_bytes_neither_panic_nor_take_partial_effect() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut ran = 0;
    for _ in 0..300_000 {
        let mut bytes = [0; x86::MAX_LEN];
        for half in bytes.chunks_mut(8) {
            half.copy_from_slice(&random().to_le_bytes()[..half.len()]);
        }
        // Half of them in the two-byte map, where more is decoded.
        if random() & 1 == 0 {
            bytes[usize::from(bytes[0] & 1)] = 0x0f;
        }
        let mut env = Flat::new(BASE);
        let mut regs = start();
        let before = regs.clone();
        if let Lowered::Op(op) = lower(&bytes, regs.rip) {
            ran += 1;
            if exec(&op, &mut regs, &mut env).is_err() {
                assert_eq!(regs, before, "{}", x86::disassemble(&bytes, before.rip));
            }
        }
    }
    assert!(ran > 100_000, "{ran}");
}
