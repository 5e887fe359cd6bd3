//! A feature that does not exist, or is not enabled, faults; one that exists and has no model ends the run.

use super::*;

const SYSCALL: &[u8] = &[0x0f, 0x05];
const SYSRETQ: &[u8] = &[0x48, 0x0f, 0x07];
const CLTS: &[u8] = &[0x0f, 0x06];
const RDMSR: &[u8] = &[0x0f, 0x32];
const MOV_TO_CR0: &[u8] = &[0x0f, 0x22, 0xc0];
const MOV_TO_CR4: &[u8] = &[0x0f, 0x22, 0xe0];

/// The vector that CPU 0 takes at `code`; `None` if that has no model.
fn vector(code: &[u8], prepare: impl FnOnce(&mut Board)) -> Option<u64> {
    let mut board = board(&[code]);
    prepare(&mut board);
    match board.step(0, &mut |_| ControlFlow::Continue(())) {
        Ok(Did::Work) => Some(handled(&board)),
        Err(Ended::Gap { .. }) => None,
        other => panic!("{code:02x?}: {other:?}"),
    }
}

fn without_sce(board: &mut Board) {
    board.cpus[0].core.msrs.efer &= !1;
}

#[test]
fn syscall_needs_efer_sce() {
    assert_eq!(vector(SYSCALL, without_sce), Some(6));
    assert_eq!(vector(SYSCALL, |_| {}), None);
    assert_eq!(vector(SYSRETQ, without_sce), Some(6));
    assert_eq!(vector(SYSRETQ, at_user_level), Some(13));
    assert_eq!(vector(SYSRETQ, |_| {}), None);
}

#[test]
fn what_has_no_model_needs_its_privilege() {
    assert_eq!(vector(CLTS, at_user_level), Some(13));
    assert_eq!(vector(CLTS, |_| {}), None);
}

#[test]
fn what_does_not_exist_is_an_invalid_opcode() {
    // push %es; vzeroupper; xgetbv; invlpgb; lea %rax, %rax
    for code in
        [&[0x06][..], &[0xc5, 0xf8, 0x77], &[0x0f, 0x01, 0xd0], &[0x0f, 0x01, 0xfe], &[0x8d, 0xc0]]
    {
        assert_eq!(vector(code, |_| {}), Some(6), "{code:02x?}");
        assert_eq!(vector(code, at_user_level), Some(6), "{code:02x?}");
    }
}

#[test]
fn an_instruction_of_16_bytes_is_a_protection_fault() {
    assert_eq!(vector(&[0x66; 16], |_| {}), Some(13));
}

/// The byte behind an opcode that does not exist is not fetched.
#[test]
fn the_end_of_a_page_ends_an_invalid_opcode() {
    let second = PAGE_TABLE + (CODE / 4096 + 1) * 8;
    for (byte, expected) in [(0x06, 6), (0x0f, 14)] {
        let at_the_end = |board: &mut Board| {
            board.ram.store(CODE + 0xfff, 1, byte);
            board.ram.store(second, 8, 0);
            board.cpus[0].regs.rip = CODE + 0xfff;
        };
        assert_eq!(vector(NOP, at_the_end), Some(expected), "{byte:#x}");
    }
}

#[test]
fn registers_that_cpuid_does_not_enumerate_fault() {
    let number = |number: u64| move |board: &mut Board| board.cpus[0].regs.gpr[x86::RCX] = number;
    for absent in [0x3b, 0x48, 0x6e0, 0x4000_0000] {
        assert_eq!(vector(RDMSR, number(absent)), Some(13), "{absent:#x}");
    }
    for without_model in [0x10, 0x277, 0xc000_0082] {
        assert_eq!(vector(RDMSR, number(without_model)), None, "{without_model:#x}");
    }
}

#[test]
fn bits_of_control_registers() {
    let value = |value: u64| move |board: &mut Board| board.cpus[0].regs.gpr[RAX] = value;
    let (cr0, cr4) = (0x8001_0033, 0x620);
    assert_eq!(vector(MOV_TO_CR0, value(cr0 | 1 << 29)), Some(13), "NW");
    assert_eq!(vector(MOV_TO_CR0, value(cr0 | 3 << 29)), None, "CD and NW");
    assert_eq!(vector(MOV_TO_CR4, value(cr4 | 1 << 11)), Some(13), "UMIP");
    assert_eq!(vector(MOV_TO_CR4, value(cr4 | 1 << 12)), Some(13), "LA57");
    assert_eq!(vector(MOV_TO_CR4, value(cr4 | 1 << 18)), Some(13), "OSXSAVE");
    assert_eq!(vector(MOV_TO_CR4, value(cr4 | 1 << 1)), None, "PVI");
    assert_eq!(vector(MOV_TO_CR4, value(cr4 & !(1 << 9))), None, "OSFXSR");
    for bit in [0, 3, 4, 6, 7, 8] {
        let mut board = board(&[MOV_TO_CR4]);
        board.cpus[0].regs.gpr[RAX] = cr4 | 1 << bit;
        step(&mut board);
        assert_eq!(board.cpus[0].core.cr4, cr4 | 1 << bit);
    }
}
