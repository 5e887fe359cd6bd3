//! Instructions that a user program cannot run, so that they are not compared with a processor.

mod common;

use common::{Event, Flat, regs};
use x86::{Fault, Fence, IfChange, Lowered, RAX, RBX, RCX, RDX, RSP, Regs, exec, flags, lower};

const BASE: u64 = 0x5000;

/// Runs `bytes` at 1000H and returns the calls to the machine.
fn run(bytes: &[u8], regs: &mut Regs) -> Result<Vec<Event>, Fault> {
    run_on(bytes, regs, Flat::logging(BASE))
}

fn run_on(bytes: &[u8], regs: &mut Regs, mut env: Flat) -> Result<Vec<Event>, Fault> {
    regs.rip = 0x1000;
    let Lowered::Op(op) = lower(bytes, regs.rip) else { panic!("refused: {bytes:02x?}") };
    exec(&op, regs, &mut env)?;
    assert_eq!(regs.rip, 0x1000 + bytes.len() as u64);
    Ok(env.log.unwrap_or_default())
}

#[test]
fn cli_and_sti() {
    let mut regs = regs();
    assert_eq!(run(&[0xfb], &mut regs), Ok(vec![Event::Flag(IfChange::Sti)]));
    assert_eq!(regs.rflags, flags::FIXED | flags::IF);
    assert_eq!(run(&[0xfa], &mut regs), Ok(vec![Event::Flag(IfChange::Cli)]));
    assert_eq!(regs.rflags, flags::FIXED);
}

#[test]
fn popf_reports_the_interrupt_flag_and_keeps_reserved_bits() {
    let mut env = Flat::logging(BASE);
    env.memory[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut regs = regs();
    regs.gpr[RSP] = BASE;
    let log = run_on(&[0x9d], &mut regs, env).expect("no fault");
    assert_eq!(log[1..], [Event::Flag(IfChange::Popf(true))]);
    let kept = flags::VM | flags::VIF | flags::VIP | flags::RF;
    assert_eq!(regs.rflags & kept, 0);
    assert_eq!(regs.rflags & (1 << 3 | 1 << 5 | 1 << 15), 0, "reserved bits");
    assert_ne!(regs.rflags & flags::AC, 0);
    assert_eq!(regs.rflags & flags::IOPL, flags::IOPL);
}

#[test]
fn control_registers() {
    let mut regs = regs();
    assert_eq!(run(&[0x0f, 0x20, 0xd8], &mut regs), Ok(vec![Event::ReadCr(3)]));
    assert_eq!(regs.gpr[RAX], 0xc3);
    // mov %rbx,%cr4; mov %rcx,%cr8
    regs.gpr[RBX] = 0x1234_5678_9abc;
    assert_eq!(run(&[0x0f, 0x22, 0xe3], &mut regs), Ok(vec![Event::WriteCr(4, 0x1234_5678_9abc)]));
    assert_eq!(run(&[0x44, 0x0f, 0x22, 0xc1], &mut regs), Ok(vec![Event::WriteCr(8, 0)]));
}

#[test]
fn model_specific_registers() {
    let mut regs = regs();
    regs.gpr[RCX] = 0xffff_ffff_0000_0010;
    regs.gpr[RDX] = u64::MAX;
    assert_eq!(run(&[0x0f, 0x32], &mut regs), Ok(vec![Event::Rdmsr(0x10)]));
    assert_eq!((regs.gpr[RAX], regs.gpr[RDX]), (0x3333_4444, 0x1111_2222));
    regs.gpr[RAX] |= 0xffff << 40;
    regs.gpr[RDX] |= 0xffff << 40;
    let written = 0x1111_2222_3333_4444;
    assert_eq!(run(&[0x0f, 0x30], &mut regs), Ok(vec![Event::Wrmsr(0x10, written)]));
}

#[test]
fn invalidations() {
    let mut regs = regs();
    // invlpg %gs:8(%rbx): the base is added, nothing is checked.
    regs.gpr[RBX] = 1 << 63;
    regs.gs_base = 0x100;
    let log = run(&[0x65, 0x0f, 0x01, 0x7b, 8], &mut regs);
    assert_eq!(log, Ok(vec![Event::Invlpg((1 << 63) + 0x108)]));
    // invpcid (%rbx),%rax
    let mut env = Flat::logging(BASE);
    env.memory[0] = 7;
    env.memory[8] = 9;
    regs.gpr[RBX] = BASE;
    regs.gpr[RAX] = 2;
    let log = run_on(&[0x66, 0x0f, 0x38, 0x82, 0x03], &mut regs, env).expect("no fault");
    assert_eq!(log[1..], [Event::Invpcid(2, [7, 9])]);
}

#[test]
fn segment_bases() {
    let mut regs = regs();
    regs.gs_base = 1;
    regs.kernel_gs_base = 2;
    run(&[0x0f, 0x01, 0xf8], &mut regs).expect("swapgs");
    assert_eq!((regs.gs_base, regs.kernel_gs_base), (2, 1));
    // wrfsbase %rax, canonical and not
    regs.gpr[RAX] = BASE;
    run(&[0xf3, 0x48, 0x0f, 0xae, 0xd0], &mut regs).expect("canonical");
    assert_eq!(regs.fs_base, BASE);
    regs.gpr[RAX] = 1 << 62;
    assert_eq!(run(&[0xf3, 0x48, 0x0f, 0xae, 0xd0], &mut regs), Err(Fault::GP));
    // Without CR4.FSGSBASE the instruction does not exist.
    let mut env = Flat::new(BASE);
    env.fsgsbase = false;
    assert_eq!(run_on(&[0xf3, 0x48, 0x0f, 0xae, 0xc0], &mut regs, env), Err(Fault::UD));
}

#[test]
fn identification_time_fences_halt() {
    let mut regs = regs();
    regs.gpr[RAX] = u64::MAX;
    assert_eq!(run(&[0x0f, 0xa2], &mut regs), Ok(vec![Event::Cpuid(u32::MAX, 0)]));
    assert_eq!(regs.gpr[..4], [1, 3, 4, 2]);
    assert_eq!(run(&[0x0f, 0x31], &mut regs), Ok(vec![Event::Rdtsc]));
    assert_eq!((regs.gpr[RAX], regs.gpr[RDX]), (0x7777_8888, 0x5555_6666));
    let log = run(&[0x0f, 0x01, 0xf9], &mut regs); // rdtscp
    assert_eq!(log, Ok(vec![Event::Rdtsc, Event::Rdmsr(0xc000_0103)]));
    assert_eq!(regs.gpr[RCX], 0x3333_4444);
    for (modrm, fence) in [(0xf0, Fence::Mfence), (0xf8, Fence::Sfence), (0xe8, Fence::Lfence)] {
        assert_eq!(run(&[0x0f, 0xae, modrm], &mut regs), Ok(vec![Event::Fence(fence)]));
    }
    assert_eq!(run(&[0xf4], &mut regs), Ok(vec![Event::Hlt]));
}

#[test]
fn traps_leave_rip_at_the_instruction() {
    for (bytes, fault) in [
        (&[0x0f, 0x0b][..], Fault::UD),
        (&[0xf0, 0x90], Fault::UD),
        (&[0x48, 0xf7, 0xf1], Fault::DE),
    ] {
        let mut regs = regs();
        assert_eq!(run(bytes, &mut regs), Err(fault));
        assert_eq!(regs.rip, 0x1000);
    }
}
