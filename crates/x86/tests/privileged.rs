//! Segments, descriptor tables, ports, far returns, software interrupts, and their privilege
//! checks.

mod common;

use common::{Event, Flat, regs};
use x86::{
    FarReturn, Fault, Lowered, RAX, RBX, RDX, RSP, Regs, Segment, Table, exec, flags, lower,
};

const BASE: u64 = 0x5000;
const IP: u64 = 0x1000;

/// Runs `bytes` at [`IP`].
fn run(bytes: &[u8], regs: &mut Regs, env: &mut Flat) -> Result<(), Fault> {
    regs.rip = IP;
    match lower(bytes, IP) {
        Lowered::Op(op) => exec(&op, regs, env),
        other => panic!("{other:?}"),
    }
}

/// Returns the calls that `bytes` make to the machine, without loads and stores.
fn asked(bytes: &[u8], regs: &mut Regs, mut env: Flat) -> Vec<Event> {
    run(bytes, regs, &mut env).expect("no fault");
    assert_eq!(regs.rip, IP + bytes.len() as u64);
    let log = env.log.expect("a log");
    log.into_iter().filter(|e| !matches!(e, Event::Load(_) | Event::Store(..))).collect()
}

fn with_quadwords(values: &[u64]) -> Flat {
    let mut env = Flat::logging(BASE);
    for (place, value) in env.memory.chunks_exact_mut(8).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    env
}

#[test]
fn segment_registers() {
    let mut regs = regs();
    regs.gpr[RAX] = u64::MAX;
    // mov %ds,%eax is zero-extended, mov %gs,%ax merged.
    let log = asked(&[0x8c, 0xd8], &mut regs, Flat::logging(BASE));
    assert_eq!((log, regs.gpr[RAX]), (vec![Event::Selector(Segment::Ds)], 0xabcd));
    regs.gpr[RAX] = u64::MAX;
    let log = asked(&[0x66, 0x8c, 0xe8], &mut regs, Flat::logging(BASE));
    assert_eq!(log, [Event::Selector(Segment::Gs)]);
    assert_eq!(regs.gpr[RAX], 0xffff_ffff_ffff_abcd);
    // mov %cs,(%rbx) stores 16 bits, with REX.W too.
    let mut env = Flat::logging(BASE);
    regs.gpr[RBX] = BASE;
    env.memory[..4].fill(0xee);
    run(&[0x48, 0x8c, 0x0b], &mut regs, &mut env).expect("no fault");
    assert_eq!(env.memory[..4], [0xcd, 0xab, 0xee, 0xee]);
    for (modrm, segment) in [
        (0xc0, Segment::Es),
        (0xd0, Segment::Ss),
        (0xd8, Segment::Ds),
        (0xe0, Segment::Fs),
        (0xe8, Segment::Gs),
    ] {
        regs.gpr[RAX] = 0xffff_0010;
        let log = asked(&[0x8e, modrm], &mut regs, Flat::logging(BASE));
        assert_eq!(log, [Event::LoadSegment(segment, 0x10)]);
    }
    // mov (%rbx),%ss
    let log = asked(&[0x8e, 0x13], &mut regs, with_quadwords(&[0x7777_0018]));
    assert_eq!(log, [Event::LoadSegment(Segment::Ss, 0x18)]);
}

#[test]
fn descriptor_tables() {
    let mut regs = regs();
    regs.gpr[RBX] = BASE;
    let memory = [0x3344_5566_7788_0fff, 0x1122];
    let log = asked(&[0x0f, 0x01, 0x13], &mut regs, with_quadwords(&memory));
    assert_eq!(log, [Event::LoadTable(Table::Gdt, 0x1122_3344_5566_7788, 0xfff)]);
    let log = asked(&[0x0f, 0x01, 0x1b], &mut regs, with_quadwords(&memory));
    assert_eq!(log, [Event::LoadTable(Table::Idt, 0x1122_3344_5566_7788, 0xfff)]);
    let mut env = Flat::logging(BASE);
    run(&[0x0f, 0x01, 0x03], &mut regs, &mut env).expect("sgdt");
    run(&[0x0f, 0x01, 0x4b, 0x10], &mut regs, &mut env).expect("sidt 16(%rbx)");
    let image = [0xaa, 0x99, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0];
    assert_eq!(env.memory[..11], image);
    assert_eq!(env.memory[16..27], image);
    assert!(env.log.expect("a log").contains(&Event::Table(Table::Idt)));
    regs.gpr[RAX] = 0xffff_0028;
    assert_eq!(asked(&[0x0f, 0x00, 0xd8], &mut regs, Flat::logging(BASE)), [Event::LoadTask(0x28)]);
}

#[test]
fn ports() {
    let mut regs = regs();
    regs.gpr[RDX] = 0xffff_03fd;
    for (bytes, size, port, rax) in [
        (&[0xec][..], 1, 0x3fd, 0xffff_ffff_ffff_ff21),
        (&[0x66, 0xed], 2, 0x3fd, 0xffff_ffff_ffff_4321),
        (&[0xed], 4, 0x3fd, 0x8765_4321),
        (&[0xe4, 0xf4], 1, 0xf4, 0xffff_ffff_ffff_ff21),
    ] {
        regs.gpr[RAX] = u64::MAX;
        let log = asked(bytes, &mut regs, Flat::logging(BASE));
        assert_eq!((log, regs.gpr[RAX]), (vec![Event::PortIn(port, size)], rax));
    }
    regs.gpr[RAX] = 0x1122_3344_5566_7788;
    for (bytes, port, size, value) in [
        (&[0xee][..], 0x3fd, 1, 0x88),
        (&[0x66, 0xef], 0x3fd, 2, 0x7788),
        (&[0xef], 0x3fd, 4, 0x5566_7788),
        (&[0xe6, 0xf4], 0xf4, 1, 0x88),
        (&[0xe7, 0xf4], 0xf4, 4, 0x5566_7788),
    ] {
        let log = asked(bytes, &mut regs, Flat::logging(BASE));
        assert_eq!(log, [Event::PortOut(port, size, value)]);
    }
}

#[test]
fn access_flag() {
    let mut regs = regs();
    assert_eq!(asked(&[0x0f, 0x01, 0xcb], &mut regs, Flat::logging(BASE)), []);
    assert_eq!(regs.rflags, flags::FIXED | flags::AC);
    assert_eq!(asked(&[0x0f, 0x01, 0xca], &mut regs, Flat::logging(BASE)), []);
    assert_eq!(regs.rflags, flags::FIXED);
    let mut without = Flat { smap: false, ..Flat::new(BASE) };
    assert_eq!(run(&[0x0f, 0x01, 0xcb], &mut regs, &mut without), Err(Fault::UD));
}

#[test]
fn interrupt_return_pops_five_quadwords() {
    let mut regs = regs();
    regs.gpr[RSP] = BASE;
    let image = u64::MAX;
    let frame = [0x1234_5678, 0xffff_0033, image, 0x7fff_0000, 0xffff_002b];
    let mut env = with_quadwords(&frame);
    run(&[0x48, 0xcf], &mut regs, &mut env).expect("no fault");
    let unchanged = flags::RF | flags::VM | 1 << 3 | 1 << 5 | 1 << 15;
    let rflags = 0x3f_ffff & !unchanged;
    let to = FarReturn { rip: frame[0], cs: 0x33, rflags, rsp: frame[3], ss: Some(0x2b) };
    let log = env.log.expect("a log");
    assert_eq!(log.len(), 6);
    assert_eq!(log[5], Event::FarReturn(to));
    assert_eq!((regs.rip, regs.rflags, regs.gpr[RSP]), (frame[0], rflags, frame[3]));
}

#[test]
fn interrupt_return_at_cpl_3_keeps_privileged_flags() {
    let mut regs = regs();
    regs.gpr[RSP] = BASE;
    regs.rflags |= flags::IF;
    let mut env = with_quadwords(&[0, 0x33, flags::IOPL | flags::VIF, 0, 0x2b]);
    env.cpl = 3;
    run(&[0x48, 0xcf], &mut regs, &mut env).expect("no fault");
    assert_eq!(regs.rflags, flags::FIXED | flags::IF);
}

#[test]
fn interrupt_return_that_faults_changes_nothing() {
    let mut regs = regs();
    regs.gpr[RSP] = BASE;
    let mut env = with_quadwords(&[0x1234, 0, 0x3202, 0x10, 0]);
    assert_eq!(run(&[0x48, 0xcf], &mut regs, &mut env), Err(Fault::GP));
    assert_eq!((regs.rip, regs.rflags, regs.gpr[RSP]), (IP, flags::FIXED, BASE));
    // A nested task: SDM vol. 2 IRET.
    regs.rflags |= flags::NT;
    let mut env = Flat::logging(BASE);
    assert_eq!(run(&[0x48, 0xcf], &mut regs, &mut env), Err(Fault::GP));
    assert_eq!(env.log, Some(vec![]));
}

#[test]
fn far_return() {
    let mut regs = regs();
    regs.gpr[RSP] = BASE;
    let mut env = with_quadwords(&[0x1234, 0x8, 0x77, 0x88, 0x9000, 0x2b]);
    run(&[0x48, 0xcb], &mut regs, &mut env).expect("lretq");
    assert_eq!((regs.rip, regs.gpr[RSP]), (0x1234, BASE + 16));
    let inner = FarReturn { rip: 0x1234, cs: 8, rflags: flags::FIXED, rsp: BASE + 16, ss: None };
    assert_eq!(env.log.expect("a log").last(), Some(&Event::FarReturn(inner)));
    // lretq $16 to CPL 3: the parameters are skipped on both stacks.
    regs.gpr[RSP] = BASE;
    let mut env = with_quadwords(&[0x1234, 0x33, 0x77, 0x88, 0x9000, 0x2b]);
    run(&[0x48, 0xca, 16, 0], &mut regs, &mut env).expect("lretq $16");
    assert_eq!((regs.rip, regs.gpr[RSP]), (0x1234, 0x9010));
    let outer = FarReturn { cs: 0x33, rsp: 0x9010, ss: Some(0x2b), ..inner };
    assert_eq!(env.log.expect("a log").last(), Some(&Event::FarReturn(outer)));
}

#[test]
fn software_interrupts_pass_the_address_after_them() {
    for (bytes, vector) in [(&[0xcc][..], 3), (&[0xcd, 0x80], 0x80), (&[0xcd, 0x03], 3)] {
        let mut regs = regs();
        let mut env = Flat::new(BASE);
        env.cpl = 3;
        let stop = run(bytes, &mut regs, &mut env);
        assert_eq!(stop, Err(Fault { vector, code: 0, va: 0 }));
        assert_eq!(env.interrupt, Some((vector, IP + bytes.len() as u64)));
        assert_eq!(regs.rip, IP);
    }
}

#[test]
fn privileged_instructions_fault_at_cpl_3() {
    let general: [&[u8]; 15] = [
        &[0xfa],                         // cli
        &[0xfb],                         // sti
        &[0xf4],                         // hlt
        &[0xec],                         // in
        &[0xee],                         // out
        &[0x0f, 0x32],                   // rdmsr
        &[0x0f, 0x30],                   // wrmsr
        &[0x0f, 0x01, 0xf8],             // swapgs
        &[0x0f, 0x20, 0xd8],             // mov %cr3,%rax
        &[0x0f, 0x22, 0xd8],             // mov %rax,%cr3
        &[0x0f, 0x01, 0x3b],             // invlpg
        &[0x66, 0x0f, 0x38, 0x82, 0x03], // invpcid
        &[0x0f, 0x01, 0x13],             // lgdt
        &[0x0f, 0x01, 0x1b],             // lidt
        &[0x0f, 0x00, 0xd8],             // ltr
    ];
    let invalid: [&[u8]; 2] = [&[0x0f, 0x01, 0xcb], &[0x0f, 0x01, 0xca]]; // stac, clac
    let general = general.iter().map(|bytes| (bytes, Fault::GP));
    for (bytes, fault) in general.chain(invalid.iter().map(|bytes| (bytes, Fault::UD))) {
        let mut env = Flat { cpl: 3, ..Flat::logging(BASE) };
        let mut regs = regs();
        assert_eq!(run(bytes, &mut regs, &mut env), Err(fault), "{bytes:02x?}");
        assert_eq!(env.log, Some(vec![]), "{bytes:02x?}");
    }
}

#[test]
fn the_io_privilege_level_allows_flags_and_ports() {
    for bytes in [0xfa, 0xfb, 0xec, 0xee] {
        let mut env = Flat { cpl: 3, ..Flat::new(BASE) };
        let mut regs = regs();
        regs.rflags |= flags::IOPL;
        assert_eq!(run(&[bytes], &mut regs, &mut env), Ok(()), "{bytes:02x}");
    }
}

#[test]
fn popf_at_cpl_3_keeps_the_privileged_flags() {
    let popf = |rflags: u64, image: u64| {
        let mut env = with_quadwords(&[image]);
        env.cpl = 3;
        let mut regs = regs();
        regs.gpr[RSP] = BASE;
        regs.rflags = rflags;
        run(&[0x9d], &mut regs, &mut env).expect("no fault");
        (regs.rflags, env.log.expect("a log").len())
    };
    let on = flags::FIXED | flags::IF;
    assert_eq!(popf(on, flags::IOPL), (on, 1));
    assert_eq!(popf(on, flags::IOPL | flags::CF), (on | flags::CF, 1));
    // With IOPL 3 the machine sees the change of IF; IOPL itself changes only at CPL 0.
    let open = flags::FIXED | flags::IOPL;
    assert_eq!(popf(open, flags::IF), (open | flags::IF, 2));
}
