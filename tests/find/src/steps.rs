//! The view of others on a delivery, and on an instruction that changes more than one entry.

use core::arch::{asm, naked_asm};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

use lamprey::paging::{self, PageTables, USER};
use lamprey::user;

use crate::cpu::{cli, load_cr3, sti};
use crate::shared::{COUNT, words};

const VECTOR: u8 = 40;
const VA: u64 = 0x40_0000;

/// Counts in its first instruction.
#[unsafe(naked)]
unsafe extern "C" fn counts_at_once() {
    naked_asm!("lock inc qword ptr [rip + {count}]", "iretq", count = sym COUNT)
}

/// Interrupts are off before the first instruction of a handler has had an effect.
#[lamprey::scenario(finds = "not-counted")]
fn delivered_and_not_begun() {
    lamprey::always(|| {
        let seen = lamprey::interrupts_on(1) || COUNT.load(SeqCst) == 1;
        lamprey::require!(seen, "not-counted", "in the handler");
    });
    // SAFETY: it uses no register.
    unsafe { lamprey::raw_handler(VECTOR, counts_at_once) };
    lamprey::cpu(0, || lamprey::send_ipi(1, VECTOR));
    lamprey::cpu(1, || while COUNT.load(SeqCst) == 0 {});
}

/// Address of the handler's frame.
static FRAME: AtomicU64 = AtomicU64::new(0);

/// Hands out the address of its frame.
#[unsafe(naked)]
unsafe extern "C" fn shows_its_frame() {
    naked_asm!(
        "push rax", "push rcx", "push rdx",
        "lea rax, [rsp + 24]", "xchg [rip + {frame}], rax",
        "mov ecx, 0x80b", "xor eax, eax", "xor edx, edx", "wrmsr",
        "pop rdx", "pop rcx", "pop rax",
        "iretq",
        frame = sym FRAME,
    )
}

/// Another CPU looks at the frame of a handler that may have returned; the next delivery writes a new one there.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn frame_that_another_looks_at() {
    // SAFETY: it restores the registers it uses.
    unsafe { lamprey::raw_handler(VECTOR, shows_its_frame) };
    let [end] = words();
    lamprey::cpu(0, move || {
        cli();
        lamprey::send_ipi(1, VECTOR);
        let frame = FRAME.load(SeqCst);
        lamprey::assume(frame != 0);
        lamprey::send_ipi(1, VECTOR);
        // SAFETY: CPU 1 stays in the frame's function, far above the bytes.
        let rip = unsafe { &*(frame as *const AtomicU64) };
        let seen = (rip.load(SeqCst), rip.load(SeqCst));
        end.swap(1, SeqCst);
        sti();
        lamprey::require!(seen.0 == seen.1, "changed", "RIP, between two loads");
    });
    lamprey::cpu(1, move || {
        // SAFETY: RSP is put back, and no stack is used between.
        unsafe {
            asm!(
                "sub rsp, 1024",
                "2:", "mov {seen}, [{end}]", "test {seen}, {seen}", "jz 2b",
                "add rsp, 1024",
                seen = out(reg) _, end = in(reg) end,
            );
        }
    });
}

/// LOCK CMPXCHG16B takes two pages away; another CPU may still have the second.
#[lamprey::scenario(finds = "stale")]
fn two_entries_at_once() {
    lamprey::page_tables(4);
    let tables = PageTables::new();
    let frames = [paging::frame().pa(), paging::frame().pa()];
    let flags = USER | paging::A | paging::D;
    let first = tables.map(VA, frames[0], flags);
    tables.map(VA + 0x1000, frames[1], flags);
    let root = tables.root();
    let [gone] = words();
    lamprey::cpu(0, move || {
        let taken: u8;
        // SAFETY: the two PTEs; RBX is put back.
        unsafe {
            asm!(
                "xchg {zero}, rbx", "lock cmpxchg16b [rdi]", "sete {taken}", "mov rbx, {zero}",
                zero = inout(reg) 0u64 => _, taken = out(reg_byte) taken, in("rdi") first,
                inout("rax") frames[0] | flags => _, inout("rdx") frames[1] | flags => _,
                in("rcx") 0u64,
            );
        }
        lamprey::assume(taken == 1);
        gone.swap(1, SeqCst);
    });
    lamprey::cpu(1, move || {
        load_cr3(root);
        lamprey::assume(gone.load(SeqCst) == 1);
        let read = user::read::<u64>(VA + 0x1000);
        lamprey::require!(read.is_err(), "stale", "the second page is still there");
    });
}
