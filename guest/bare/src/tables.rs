//! GDT, IDT and TSS.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// 64-bit code at CPL 0.
pub(crate) const KERNEL_CS: u64 = 0x08;
/// Data at CPL 0.
pub(crate) const KERNEL_SS: u64 = 0x10;
/// The task-state segment of CPU 0; that of CPU 1 follows.
const TSS: u16 = 0x30;
const CPUS: usize = 2;

/// Bytes of one stack.
pub(crate) const STACK: u64 = 0x2000;
/// Bytes of the stacks of a CPU, as in `boot.s`: IST 1 to 3, RSP0, and two for the program.
pub(crate) const STACKS_PER_CPU: u64 = 6 * STACK;

/// The stack of `int 0x80` and most other vectors.
const IST_COMMON: u64 = 1;
const IST_NMI: u64 = 2;
/// The stack of vectors that may arrive inside a handler.
const IST_NESTED: u64 = 3;

unsafe extern "C" {
    static stacks: u8;
    static vectors: u8;
}

/// Null, code and data of CPL 0, 32-bit code, data and code of CPL 3, two TSSs of two entries. The
/// accessed flags are set, so that no CPU writes to them.
static GDT: [AtomicU64; 10] = [
    AtomicU64::new(0),
    AtomicU64::new(0x00af_9b00_0000_ffff),
    AtomicU64::new(0x00cf_9300_0000_ffff),
    AtomicU64::new(0x00cf_9b00_0000_ffff),
    AtomicU64::new(0x00cf_f300_0000_ffff),
    AtomicU64::new(0x00af_fb00_0000_ffff),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
];

static IDT: [[AtomicU64; 2]; 256] = [const { [const { AtomicU64::new(0) }; 2] }; 256];

/// 104 bytes each (SDM vol. 3 §7.7), as words of 4: RSP0 at word 1, IST 1 at word 9.
static TASKS: [[AtomicU32; 26]; CPUS] = [const { [const { AtomicU32::new(0) }; 26] }; CPUS];

/// Returns the address of the first byte of the stacks of `cpu`.
pub(crate) fn stacks_of(cpu: usize) -> u64 {
    (&raw const stacks).addr() as u64 + cpu as u64 * STACKS_PER_CPU
}

/// Returns the CPU whose stacks contain `address`.
pub(crate) fn cpu_of(address: u64) -> usize {
    usize::from(address >= stacks_of(1))
}

/// Returns the top of a stack: IST 1 to 3, and 4 for RSP0.
pub(crate) fn stack_top(cpu: usize, number: u64) -> u64 {
    stacks_of(cpu) + number * STACK
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Loads the tables of `cpu`. CPU 0 fills the IDT; no other CPU takes a vector before.
pub(crate) fn load(cpu: usize) {
    let task = &TASKS[cpu];
    let put = |word: usize, value: u64| {
        task[word].store(value as u32, Relaxed);
        task[word + 1].store((value >> 32) as u32, Relaxed);
    };
    put(1, stack_top(cpu, 4));
    for ist in 1..=3 {
        put(7 + 2 * ist as usize, stack_top(cpu, ist));
    }
    // No I/O permission bitmap: its base is the limit.
    task[25].store(104 << 16, Relaxed);
    let base = task.as_ptr().addr() as u64;
    let entry = 6 + 2 * cpu;
    let low = 103 | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    GDT[entry].store(low, Relaxed);
    GDT[entry + 1].store(base >> 32, Relaxed);
    let gdt = Pointer { limit: 8 * GDT.len() as u16 - 1, base: GDT.as_ptr().addr() as u64 };
    let idt = Pointer { limit: 16 * 256 - 1, base: IDT.as_ptr().addr() as u64 };
    // SAFETY: the tables are complete and never freed; the selectors are in the GDT.
    unsafe {
        asm!(
            "lgdt [{gdt}]",
            "lidt [{idt}]",
            "push {cs}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ds, {ss:e}",
            "mov es, {ss:e}",
            "mov ss, {ss:e}",
            "mov fs, {zero:e}",
            "mov gs, {zero:e}",
            "ltr {task:x}",
            gdt = in(reg) &gdt,
            idt = in(reg) &idt,
            cs = in(reg) KERNEL_CS,
            ss = in(reg) KERNEL_SS,
            zero = in(reg) 0u64,
            task = in(reg) u64::from(TSS) + 16 * cpu as u64,
            scratch = out(reg) _,
        );
    }
}

/// Sets one gate. With `trap`, IF stays as it is.
fn gate(vector: usize, ist: u64, trap: bool, dpl: u64) {
    let handler = (&raw const vectors).addr() as u64 + 16 * vector as u64;
    let kind = if trap { 0xf } else { 0xe };
    let access = 0x80 | dpl << 5 | kind;
    let low = handler & 0xffff | KERNEL_CS << 16 | ist << 32 | access << 40;
    IDT[vector][0].store(low | (handler >> 16 & 0xffff) << 48, Relaxed);
    IDT[vector][1].store(handler >> 32, Relaxed);
}

/// Sets all gates. CPL 3 may use 3 and 80H.
pub(crate) fn fill_vectors() {
    for vector in 0..256 {
        gate(vector, IST_COMMON, false, 0);
    }
    gate(2, IST_NMI, false, 0);
    gate(3, IST_COMMON, false, 3);
    gate(0x62, IST_COMMON, true, 0);
    gate(0x71, IST_NESTED, false, 0);
    gate(0x80, IST_COMMON, false, 3);
    gate(0x81, 0, false, 0);
    gate(0x82, IST_COMMON, true, 0);
    gate(0x83, IST_NESTED, false, 0);
    // Not present.
    IDT[0x85][0].fetch_and(!(1 << 47), Relaxed);
}

/// Selects the stack in use for NMIs, so that one can arrive inside the handler of another.
pub(crate) fn nest_nmis(nest: bool) {
    gate(2, if nest { 0 } else { IST_NMI }, false, 0);
}
