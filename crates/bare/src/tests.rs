//! The machine on small programs.
//!
//! The first 2 MiB of memory are mapped one to one by 4-KiB pages. The handler of each vector writes the
//! vector to port F4H, which ends the run.

use std::ops::ControlFlow;

use mmu::bits::{
    CR3_LAM_U57, CR3_NOFLUSH, CR4_PCIDE, ENTRY_A, ENTRY_P, ENTRY_RW, ENTRY_US, ENTRY_XD,
};
use x86::{At, Env, Fault, Fence, RAX, RSP, Segment, flags};

use crate::apic;
use crate::board::{Board, Did, Ended, Event, Load, Settings, Start};
use crate::core::Extent;
use crate::view::Stop;

mod features;
mod robust;

const TABLES: u64 = 0x1000;
const PAGE_TABLE: u64 = TABLES + 0x3000;
const IDT: u64 = 0x6000;
const GDT: u64 = 0x7000;
const TASK: u64 = 0x7100;
const CODE: u64 = 0x1_0000;
const HANDLERS: u64 = 0x2_0000;
const STACKS: u64 = 0x3_0000;
/// RSP0 and IST 1.
const INNER_STACK: u64 = 0x4_0000;
const IST_STACK: u64 = 0x5_0000;
const DATA: u64 = 0x6_0000;

const KERNEL_CS: u16 = 0x08;
const KERNEL_SS: u16 = 0x10;
const USER_SS: u16 = 0x23;
const USER_CS: u16 = 0x2b;
const DESCRIPTORS: [u64; 6] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];

const UD2: &[u8] = &[0x0f, 0x0b];
const HLT: &[u8] = &[0xf4];
const STI: &[u8] = &[0xfb];
const CLI: &[u8] = &[0xfa];
const NOP: &[u8] = &[0x90];
const IRETQ: &[u8] = &[0x48, 0xcf];
/// `mov $0, %al; out %al, $0xf4`
const DONE: &[u8] = &[0xb0, 0, 0xe6, 0xf4];

/// Two CPUs at `code`, in the state of a kernel that has loaded its tables.
fn board(code: &[&[u8]]) -> Board {
    board_with(code, Settings { memory: 2 << 20, limit: 10_000, ..Settings::default() })
}

fn board_with(code: &[&[u8]], settings: Settings) -> Board {
    let code = code.concat();
    let loads = [Load { pa: CODE, bytes: &code, size: 0 }];
    let mut board =
        Board::new(&loads, Start { rip: CODE, cr3: TABLES }, settings).expect("it fits");
    let ram = &mut board.ram;
    for level in 0..3u64 {
        let entry = (TABLES + 0x1000 * (level + 1)) | ENTRY_P | ENTRY_RW | ENTRY_US;
        ram.store(TABLES + 0x1000 * level, 8, entry);
    }
    for page in 0..512 {
        ram.store(PAGE_TABLE + 8 * page, 8, page << 12 | ENTRY_P | ENTRY_RW);
    }
    for (place, descriptor) in (0..).zip(DESCRIPTORS) {
        ram.store(GDT + 8 * place, 8, descriptor);
    }
    for vector in 0..=255u8 {
        let exit = [0xb0, vector, 0xe6, 0xf4];
        for (pa, byte) in (handler(vector)..).zip(exit) {
            board.ram.store(pa, 1, byte.into());
        }
        gate(&mut board, vector, 0, 0, 0xe);
    }
    for (offset, stack) in [(4, INNER_STACK), (36, IST_STACK)] {
        board.ram.store(TASK + offset, 4, stack);
    }
    for (cpu, number) in board.cpus.iter_mut().zip(1..) {
        cpu.core.gdt = Extent { base: GDT, limit: 47 };
        cpu.core.idt = Extent { base: IDT, limit: 4095 };
        cpu.core.task = (0x30, Extent { base: TASK, limit: 103 });
        cpu.regs.gpr[RSP] = STACKS + 0x1000 * number;
    }
    for (apic, number) in [0, 1].into_iter().enumerate() {
        let base = board.apics[apic].base() | 1 << 10;
        board.apics[apic].set_base(base).expect("from xAPIC mode");
        apic::write(&mut board.apics, number, 0x80f, 0x1ff).expect("a legal value");
    }
    board
}

fn handler(vector: u8) -> u64 {
    HANDLERS + 16 * u64::from(vector)
}

fn gate(board: &mut Board, vector: u8, ist: u64, dpl: u64, kind: u64) {
    let offset = handler(vector);
    let access = 0x80 | dpl << 5 | kind;
    let low = offset & 0xffff | u64::from(KERNEL_CS) << 16 | ist << 32 | access << 40;
    board.ram.store(IDT + 16 * u64::from(vector), 8, low | (offset >> 16 & 0xffff) << 48);
}

/// Opens the page at `pa` to CPL 3.
fn open(board: &mut Board, pa: u64) {
    board.ram.store(PAGE_TABLE + pa / 4096 * 8, 8, pa | ENTRY_P | ENTRY_RW | ENTRY_US);
}

/// CPU 0 stands at its code at CPL 3.
fn at_user_level(board: &mut Board) {
    open(board, CODE);
    let core = &mut board.cpus[0].core;
    core.cpl = 3;
    core.segment_mut(Segment::Cs).selector = USER_CS;
    core.segment_mut(Segment::Ss).selector = USER_SS;
}

fn run(board: &mut Board) -> Ended {
    board.run(&mut |_| ControlFlow::Continue(()))
}

/// CPU 0 takes an event or executes an instruction.
fn step(board: &mut Board) {
    let did = board.step(0, &mut |_| ControlFlow::Continue(()));
    assert_eq!(did, Ok(Did::Work));
}

/// The handler that CPU 0 is at.
fn handled(board: &Board) -> u64 {
    (board.cpus[0].regs.rip - HANDLERS) / 16
}

/// Words on the stack of CPU 0, from the top.
fn frame<const N: usize>(board: &Board) -> [u64; N] {
    let rsp = board.cpus[0].regs.gpr[RSP];
    std::array::from_fn(|word| board.ram.load(rsp + 8 * u64::try_from(word).expect("few"), 8))
}

fn request(board: &mut Board, vector: u64) {
    apic::write(&mut board.apics, 0, 0x83f, vector).expect("a legal vector");
}

#[test]
fn without_an_idt_any_exception_is_a_triple_fault() {
    let mut board = board(&[UD2]);
    board.cpus[0].core.idt.limit = 0;
    let faults = ["#UD", "#GP(0x33)", "#DF", "#GP(0x43)"].map(String::from).to_vec();
    assert_eq!(run(&mut board), Ended::TripleFault { cpu: 0, rip: CODE, faults });
}

#[test]
fn a_page_fault_at_cpl_3_finds_its_frame_on_the_inner_stack() {
    // mov DATA, %al
    let mut board = board(&[&[0x8a, 0x04, 0x25, 0x08, 0x00, 0x06, 0x00]]);
    at_user_level(&mut board);
    let rsp = board.cpus[0].regs.gpr[RSP];
    step(&mut board);
    assert_eq!(handled(&board), 14);
    let [code, rip, cs, rflags, old_rsp, ss] = frame(&board);
    assert_eq!((code, rip, cs), (5, CODE, USER_CS.into()));
    assert_eq!((rflags, old_rsp, ss), (flags::FIXED | flags::RF, rsp, USER_SS.into()));
    let cpu = &board.cpus[0];
    assert_eq!(cpu.regs.gpr[RSP], INNER_STACK - 48);
    assert_eq!((cpu.core.cr2, cpu.core.cpl), (DATA + 8, 0));
    let selectors = [Segment::Cs, Segment::Ss].map(|segment| cpu.core.segment(segment).selector);
    assert_eq!(selectors, [KERNEL_CS, 0]);
}

#[test]
fn a_stack_of_the_ist_is_used_at_the_same_level_and_others_are_aligned() {
    for (ist, top) in [(1, IST_STACK), (0, STACKS + 0xff0)] {
        let mut board = board(&[&[0xcd, 0x41]]);
        gate(&mut board, 0x41, ist, 0, 0xe);
        board.cpus[0].regs.gpr[RSP] = STACKS + 0xffb;
        step(&mut board);
        assert_eq!(board.cpus[0].regs.gpr[RSP], top - 40);
        let [rip, cs, _, rsp, ss] = frame(&board);
        assert_eq!((rip, cs), (CODE + 2, KERNEL_CS.into()));
        assert_eq!((rsp, ss), (STACKS + 0xffb, KERNEL_SS.into()));
        assert_eq!(board.cpus[0].core.segment(Segment::Ss).selector, KERNEL_SS);
    }
}

#[test]
fn int_n_needs_a_gate_of_its_level() {
    for (dpl, vector, rip) in [(0, 13, CODE), (3, 0x41, CODE + 2)] {
        let mut board = board(&[&[0xcd, 0x41]]);
        at_user_level(&mut board);
        gate(&mut board, 0x41, 0, dpl, 0xe);
        step(&mut board);
        assert_eq!(handled(&board), vector);
        match vector {
            13 => assert_eq!(frame(&board), [0x41 * 8 + 2, rip]),
            _ => assert_eq!(frame(&board), [rip]),
        }
    }
}

#[test]
fn trap_gates_leave_if_and_interrupt_gates_clear_it() {
    for (kind, expected) in [(0xe, 0), (0xf, flags::IF)] {
        let mut board = board(&[&[0xcd, 0x41]]);
        board.cpus[0].regs.rflags |= flags::IF | flags::NT;
        gate(&mut board, 0x41, 0, 0, kind);
        step(&mut board);
        assert_eq!(board.cpus[0].regs.rflags, flags::FIXED | expected);
    }
}

#[test]
fn a_gate_that_is_absent_or_none_is_refused_with_its_vector() {
    for (access, vector) in [(0x0e, 11), (0x8c, 13)] {
        let mut board = board(&[UD2]);
        board.ram.store(IDT + 16 * 6 + 5, 1, access);
        step(&mut board);
        assert_eq!(handled(&board), vector);
        assert_eq!(frame(&board), [6 * 8 + 3, CODE]);
    }
}

#[test]
fn a_fault_for_the_stack_of_a_page_fault_is_a_double_fault() {
    // mov 0x200000, %al: nothing is mapped there; nor where RSP is.
    let mut board = board(&[&[0x8a, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00]]);
    gate(&mut board, 8, 1, 0, 0xe);
    board.cpus[0].regs.gpr[RSP] = 0x40_0000;
    step(&mut board);
    assert_eq!(handled(&board), 8);
    assert_eq!(frame(&board), [0, CODE]);
    assert_eq!(board.cpus[0].core.cr2, 0x40_0000 - 8);
}

#[test]
fn after_sti_one_instruction_passes() {
    let mut board = board(&[STI, CLI, DONE]);
    request(&mut board, 0x41);
    assert_eq!(run(&mut board), Ended::Exit(0), "STI, CLI leaves no window");

    let mut board = self::board(&[STI, NOP, NOP, DONE]);
    request(&mut board, 0x41);
    (0..3).for_each(|_| step(&mut board));
    assert_eq!(handled(&board), 0x41);
    assert_eq!(frame(&board), [CODE + 2]);
}

#[test]
fn after_mov_to_ss_one_instruction_passes() {
    // sti; nop; mov %eax, %ss; nop
    let mut board = board(&[STI, NOP, &[0x8e, 0xd0], NOP]);
    board.cpus[0].regs.gpr[RAX] = KERNEL_SS.into();
    (0..3).for_each(|_| step(&mut board));
    request(&mut board, 0x41);
    board.apics[0].nmi = true;
    step(&mut board);
    assert_eq!(board.cpus[0].regs.rip, CODE + 5);
    step(&mut board);
    assert_eq!(handled(&board), 2, "an NMI goes first");
}

#[test]
fn of_two_moves_to_ss_in_a_row_the_second_delays_nothing() {
    // mov %eax, %ss; mov %eax, %ss; nop
    let mut board = board(&[&[0x8e, 0xd0], &[0x8e, 0xd0], NOP]);
    board.cpus[0].regs.gpr[RAX] = KERNEL_SS.into();
    board.cpus[0].regs.rflags |= flags::IF;
    step(&mut board);
    request(&mut board, 0x41);
    (0..2).for_each(|_| step(&mut board));
    assert_eq!(handled(&board), 0x41);
    assert_eq!(frame(&board), [CODE + 4]);
}

#[test]
fn nmis_are_blocked_until_an_iret_even_one_that_faults() {
    let mut board = board(&[NOP]);
    for (pa, byte) in (handler(2)..).zip([NOP, IRETQ].concat()) {
        board.ram.store(pa, 1, byte.into());
    }
    board.apics[0].nmi = true;
    step(&mut board);
    assert_eq!((handled(&board), board.apics[0].nmi), (2, false));
    board.apics[0].nmi = true;
    step(&mut board);
    assert_eq!(board.cpus[0].regs.rip, handler(2) + 1, "the second waits");
    step(&mut board);
    assert_eq!(board.cpus[0].regs.rip, CODE, "IRET");
    step(&mut board);
    assert_eq!(handled(&board), 2);
    // In this one IRET faults: its CS is null.
    step(&mut board);
    let cs = board.cpus[0].regs.gpr[RSP] + 8;
    board.ram.store(cs, 8, 0);
    step(&mut board);
    assert_eq!(handled(&board), 13);
    board.apics[0].nmi = true;
    step(&mut board);
    assert_eq!(handled(&board), 2);
}

#[test]
fn an_interrupt_wakes_another_cpu() {
    // Both CPUs run this, with their number in RDI: test %edi, %edi; jnz 1f; mov $0x830, %ecx;
    // mov $0x44, %eax; mov $1, %edx; wrmsr; hlt; 1: sti; hlt
    let mut board = board(&[
        &[0x85, 0xff, 0x75, 0x12],
        &[0xb9, 0x30, 8, 0, 0, 0xb8, 0x44, 0, 0, 0, 0xba, 1, 0, 0, 0, 0x0f, 0x30],
        HLT,
        STI,
        HLT,
    ]);
    assert_eq!(run(&mut board), Ended::Exit(0x44));
    assert_eq!(board.cpus[1].regs.rip, handler(0x44) + 4);
    let rsp = board.cpus[1].regs.gpr[RSP];
    assert_eq!(board.ram.load(rsp, 8), CODE + 24, "after HLT");
}

#[test]
fn halted_for_ever_is_an_end() {
    let mut board = board(&[HLT]);
    assert_eq!(run(&mut board), Ended::Halted);
}

#[test]
fn what_is_not_modelled_is_named() {
    // in $0x60, %al
    let mut board = board(&[&[0xe4, 0x60]]);
    let ended = run(&mut board);
    let Ended::Gap { cpu: 0, rip: CODE, what, instruction } = ended else { panic!("{ended:?}") };
    assert_eq!(what, "IN of 1 bytes at port 0x60");
    assert_eq!(instruction.as_deref(), Some("in $0x60,%al"));
}

#[test]
fn a_run_has_a_limit() {
    // jmp .
    let mut board = board(&[&[0xeb, 0xfe]]);
    assert_eq!(run(&mut board), Ended::Limit(vec![CODE, CODE]));
    assert_eq!(board.time(), 10_000);
}

#[test]
fn the_serial_line_is_told() {
    // mov $0x3f8, %edx; mov $0x41, %al; out %al, (%dx)
    let mut board = board(&[&[0xba, 0xf8, 3, 0, 0, 0xb0, 0x41, 0xee], DONE]);
    let mut heard = Vec::new();
    let ended = board.run(&mut |event| {
        if let Event::Output(bytes) = event {
            heard.extend_from_slice(bytes);
        }
        ControlFlow::Continue(())
    });
    assert_eq!((ended, heard.as_slice()), (Ended::Exit(0), &b"A"[..]));
}

#[test]
fn an_instruction_over_two_pages_faults_for_the_second() {
    let mut board = board(&[NOP]);
    // mov $imm32, %eax, of which one byte is on the next page.
    for (pa, byte) in (CODE + 0xffc..).zip([0xb8, 1, 2, 3, 4]) {
        board.ram.store(pa, 1, byte);
    }
    let second = PAGE_TABLE + (CODE / 4096 + 1) * 8;
    let entry = board.ram.load(second, 8);
    board.ram.store(second, 8, entry | ENTRY_XD);
    board.cpus[0].regs.rip = CODE + 0xffc;
    step(&mut board);
    assert_eq!((handled(&board), board.cpus[0].core.cr2), (14, CODE + 0x1000));
    assert_eq!(frame(&board), [0x11, CODE + 0xffc]);
    board.ram.store(second, 8, entry);
    board.cpus[0].regs.rip = CODE + 0xffc;
    step(&mut board);
    assert_eq!(board.cpus[0].regs.gpr[RAX], 0x0403_0201);
}

#[test]
fn code_that_was_stored_to_is_executed_as_it_is_now() {
    // movb $0x41, 1f(%rip); 1: mov $0x90, %al
    let mut board = board(&[&[0xc6, 0x05, 1, 0, 0, 0, 0x41], &[0xb0, 0x90]]);
    board.cpus[0].regs.rip = CODE + 7;
    step(&mut board);
    assert_eq!(board.cpus[0].regs.gpr[RAX], 0x90);
    board.cpus[0].regs.rip = CODE;
    (0..2).for_each(|_| step(&mut board));
    assert_eq!(board.cpus[0].regs.gpr[RAX], 0x41);
}

/// An access of the instruction that CPU 0 is at.
fn at(va: u64, size: u8) -> At {
    At { va, size, stack: false, locked: false, for_write: false }
}

#[test]
fn a_store_is_visible_to_others_when_the_buffer_drains() {
    let mut board = board(&[NOP]);
    board.view(0).store(at(DATA, 8), 7).expect("mapped");
    assert_eq!(board.view(0).load(at(DATA, 8)), Ok(7));
    assert_eq!(board.view(1).load(at(DATA, 8)), Ok(0));
    let locked = At { locked: true, for_write: true, ..at(DATA + 64, 8) };
    assert_eq!(board.view(0).load(locked), Ok(0));
    assert_eq!(board.view(1).load(at(DATA, 8)), Ok(7));
}

#[test]
fn a_delivery_drains_the_buffer() {
    let mut board = board(&[&[0xcd, 0x41]]);
    board.view(0).store(at(DATA, 8), 7).expect("mapped");
    step(&mut board);
    assert_eq!(board.view(1).load(at(DATA, 8)), Ok(7));
}

#[test]
fn a_walk_that_would_fault_sees_the_stores_of_its_own_cpu() {
    let mut board = board(&[NOP]);
    let (va, entry) = (DATA + 0x3000, PAGE_TABLE + (DATA + 0x3000) / 4096 * 8);
    board.ram.store(entry, 8, 0);
    board.ram.store(va, 8, 7);
    let mut view = board.view(0);
    view.store(at(entry, 8), va | ENTRY_P).expect("mapped");
    assert_eq!(view.load(at(va, 8)), Ok(7));
    // The flags the walk has set are not lost to the store that was buffered.
    assert_eq!(view.ram.load(entry, 8) & ENTRY_A, ENTRY_A);
}

#[test]
fn a_page_fault_drops_the_translation_of_its_address() {
    let mut board = board(&[NOP]);
    let entry = PAGE_TABLE + DATA / 4096 * 8;
    board.ram.store(entry, 8, DATA | ENTRY_P);
    let mut view = board.view(0);
    assert_eq!(view.load(at(DATA, 8)), Ok(0));
    view.ram.store(entry, 8, 0);
    assert_eq!(view.load(at(DATA, 8)), Ok(0), "from the TLB");
    let fault = |code| Err(Stop::Fault(Fault { vector: 14, code, va: DATA }));
    assert_eq!(view.store(at(DATA, 8), 1), fault(2).map(|_: u64| ()));
    assert_eq!(view.load(at(DATA, 8)), fault(0));
}

#[test]
fn an_ipi_passes_stores_but_not_an_mfence() {
    for (fence, seen) in [(false, 0), (true, 7)] {
        let mut board = board(&[NOP]);
        let mut regs = board.cpus[0].regs.clone();
        let mut view = board.view(0);
        view.store(at(DATA, 8), 7).expect("mapped");
        if fence {
            view.fence(Fence::Mfence).expect("no fault");
        }
        view.wrmsr(&mut regs, 0x830, 1 << 32 | 0x44).expect("a legal command");
        assert_eq!(board.apics[1].deliverable(), Some(0x44));
        assert_eq!(board.view(1).load(at(DATA, 8)), Ok(seen));
    }
}

#[test]
fn a_load_of_a_part_and_of_more_than_a_store_sees_both() {
    let mut board = board(&[NOP]);
    board.ram.store(DATA, 8, 0x1111_1111_1111_1111);
    board.view(0).store(at(DATA + 2, 2), 0xabcd).expect("mapped");
    assert_eq!(board.view(0).load(at(DATA + 3, 1)), Ok(0xab));
    assert_eq!(board.view(0).load(at(DATA, 8)), Ok(0x1111_1111_abcd_1111));
    let across = DATA + 0x1000 - 3;
    board.view(0).store(at(across, 8), 0x0807_0605_0403_0201).expect("mapped");
    assert_eq!(board.view(0).load(at(across, 8)), Ok(0x0807_0605_0403_0201));
}

#[test]
fn tags_are_ignored_only_with_lam() {
    let mut board = board(&[NOP]);
    board.ram.store(DATA, 8, 7);
    let tagged = DATA | 0x2a << 57;
    assert_eq!(board.view(0).load(at(tagged, 8)), Err(Stop::Fault(Fault::GP)));
    let stack = At { stack: true, ..at(tagged, 8) };
    let fault = Fault { vector: 12, code: 0, va: 0 };
    assert_eq!(board.view(0).load(stack), Err(Stop::Fault(fault)));
    board.view(0).write_cr(3, TABLES | CR3_LAM_U57).expect("a legal value");
    assert_eq!(board.view(0).load(at(tagged, 8)), Ok(7));
    let absent = 0x20_0000 | 0x2a << 57;
    let fault = Fault { vector: 14, code: 0, va: 0x20_0000 };
    assert_eq!(board.view(0).load(at(absent, 8)), Err(Stop::Fault(fault)));
}

#[test]
fn translations_of_a_pcid_stay_until_it_is_flushed() {
    let mut board = board(&[NOP]);
    let entry = PAGE_TABLE + DATA / 4096 * 8;
    board.ram.store(DATA, 8, 7);
    let mut view = board.view(0);
    let cr4 = view.core.cr4;
    view.write_cr(4, cr4 | CR4_PCIDE).expect("a legal value");
    view.write_cr(3, TABLES | 1).expect("a legal value");
    assert_eq!(view.load(at(DATA, 8)), Ok(7));
    view.write_cr(3, TABLES).expect("a legal value");
    view.ram.store(entry, 8, (DATA + 0x1000) | ENTRY_P | ENTRY_RW);
    assert_eq!(view.load(at(DATA, 8)), Ok(0), "the new page");
    view.write_cr(3, TABLES | 1 | CR3_NOFLUSH).expect("a legal value");
    assert_eq!(view.load(at(DATA, 8)), Ok(7), "the old page");
    view.invpcid(1, [1, 0]).expect("legal operands");
    assert_eq!(view.load(at(DATA, 8)), Ok(0));
}

#[test]
fn a_return_to_an_outer_level_closes_inner_segments() {
    let mut board = board(&[IRETQ]);
    open(&mut board, CODE);
    let mut regs = board.cpus[0].regs.clone();
    for (segment, selector) in [(Segment::Ds, KERNEL_SS), (Segment::Es, USER_SS)] {
        board.view(0).load_segment(&mut regs, segment, selector).expect("a legal selector");
    }
    let rsp = STACKS + 0x800;
    let frame = [CODE, USER_CS.into(), flags::FIXED, 0x1234, USER_SS.into()];
    for (place, word) in (rsp..).step_by(8).zip(frame) {
        board.ram.store(place, 8, word);
    }
    board.cpus[0].regs.gpr[RSP] = rsp;
    step(&mut board);
    let cpu = &board.cpus[0];
    assert_eq!((cpu.core.cpl, cpu.regs.rip, cpu.regs.gpr[RSP]), (3, CODE, 0x1234));
    let selectors = [Segment::Cs, Segment::Ss, Segment::Ds, Segment::Es];
    let selectors = selectors.map(|segment| cpu.core.segment(segment).selector);
    assert_eq!(selectors, [USER_CS, USER_SS, 0, USER_SS]);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let settings =
        |seed| Settings { memory: 2 << 20, limit: 5000, seed: Some(seed), ..Settings::default() };
    // 1: incl DATA; jmp 1b
    let code: &[&[u8]] = &[&[0xff, 0x04, 0x25, 0, 0, 6, 0], &[0xeb, 0xf7]];
    let counted = |seed| {
        let mut board = board_with(code, settings(seed));
        assert!(matches!(run(&mut board), Ended::Limit(_)));
        board.ram.load(DATA, 4)
    };
    assert_eq!(counted(1), counted(1));
    let different: std::collections::BTreeSet<u64> = (1..9).map(counted).collect();
    assert!(different.len() > 1, "increments without LOCK get lost, differently: {different:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let start = Start { rip: 0, cr3: 0 };
    let load = Load { pa: 0xff0, bytes: &[1], size: 0x20 };
    let small = Settings { memory: 4096, ..Settings::default() };
    let refused = |loads: &[Load<'_>], settings| Board::new(loads, start, settings).err();
    assert!(refused(&[load], small.clone()).is_some_and(|why| why.contains("0xff0")));
    assert!(refused(&[], Settings { memory: 4095, ..small.clone() }).is_some());
    assert!(refused(&[], Settings { cpus: 0, ..small.clone() }).is_some());
    assert!(refused(&[], small).is_none());
}
