//! Whatever a kernel does, the machine goes on, or ends the run with a reason.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Instructions that ask the machine, with operands in RAX, RCX, RDX and at RBX.
const FRAGMENTS: &[&[u8]] = &[
    &[0x48, 0x89, 0x03],             // mov %rax, (%rbx)
    &[0x48, 0x8b, 0x03],             // mov (%rbx), %rax
    &[0xf0, 0x48, 0x0f, 0xb1, 0x0b], // lock cmpxchg %rcx, (%rbx)
    &[0x0f, 0x11, 0x03],             // movups %xmm0, (%rbx)
    &[0x0f, 0x22, 0xc0],             // mov %rax, %cr0
    &[0x0f, 0x22, 0xd8],             // mov %rax, %cr3
    &[0x0f, 0x22, 0xe0],             // mov %rax, %cr4
    &[0x44, 0x0f, 0x22, 0xc0],       // mov %rax, %cr8
    &[0x0f, 0x30],                   // wrmsr
    &[0x0f, 0x32],                   // rdmsr
    &[0x0f, 0x01, 0x3b],             // invlpg (%rbx)
    &[0x66, 0x0f, 0x38, 0x82, 0x03], // invpcid (%rbx), %rax
    &[0x0f, 0x01, 0x13],             // lgdt (%rbx)
    &[0x0f, 0x01, 0x1b],             // lidt (%rbx)
    &[0x0f, 0x00, 0xd8],             // ltr %ax
    &[0x8e, 0xd0],                   // mov %eax, %ss
    &[0x8e, 0xd8],                   // mov %eax, %ds
    &[0x8e, 0xe8],                   // mov %eax, %gs
    &[0x48, 0xcf],                   // iretq
    &[0x48, 0xcb],                   // lretq
    &[0xcd, 0x41],                   // int $0x41
    &[0xfb],                         // sti
    &[0x9d],                         // popfq
    &[0x48, 0x89, 0xdc],             // mov %rbx, %rsp
    &[0x53, 0x51],                   // push %rbx; push %rcx
    &[0x0f, 0xae, 0xf0],             // mfence
    &[0x0f, 0xae, 0xf8],             // sfence
    &[0xee],                         // out %al, (%dx)
    &[0xf4],                         // hlt
];

/// Values with which something may go wrong.
const VALUES: &[u64] = &[
    0,
    1,
    3,
    8,
    0x10,
    0x23,
    0x2b,
    0x30,
    0x803,
    0x80b,
    0x80f,
    0x830,
    0x83f,
    0xc000_0080,
    0xc000_0101,
    TABLES,
    IDT,
    GDT,
    TASK,
    CODE,
    DATA + 0xffc,
    0x1f_fffc,
    0x8001_0033,
    0x8000_0033,
    0x620,
    0x2_0620,
    0x1030_06a0,
    0x7fff_ffff_fffc,
    0x8000_0000_0000,
    0xffff_7fff_ffff_ffff,
    0xffff_8000_0000_0000,
    1 << 62,
    1 << 63,
    u64::MAX - 3,
    u64::MAX,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_instruction_or_register_makes_it_panic(
        code in vec(select(FRAGMENTS), 1..24),
        values in vec(select(VALUES), 16),
        tables in vec((0x1000u64..0x8000, select(VALUES)), 0..8),
        user in any::<bool>(),
        seed in of(0u64..4),
    ) {
        let settings = Settings { memory: 2 << 20, limit: 500, seed, ..Settings::default() };
        let mut board = board_with(&code, settings);
        if user {
            at_user_level(&mut board);
        }
        for (pa, value) in tables {
            board.ram.store(pa & !7, 8, value);
        }
        for cpu in &mut board.cpus {
            cpu.regs.gpr.copy_from_slice(&values);
        }
        run(&mut board);
        prop_assert!(board.time() <= 500);
    }
}
