//! Effects that no other CPU can notice cost no states.

use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;

/// A string copy of private memory, by REP MOVSB.
#[lamprey::scenario]
fn string_copy() {
    let shared = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2u8 {
        lamprey::cpu(cpu.into(), move || {
            let (from, mut to) = (black_box([cpu; 100]), [9u8; 100]);
            // SAFETY: 100 bytes each.
            unsafe {
                asm!(
                    "rep movsb",
                    inout("rcx") 100u64 => _,
                    inout("rsi") from.as_ptr() => _,
                    inout("rdi") to.as_mut_ptr() => _,
                );
            }
            lamprey::require!(to.iter().all(|byte| *byte == cpu), "copied", "not all");
            shared.fetch_add(1, SeqCst);
            lamprey::mark!("copied");
        });
    }
}

/// A private loop longer than a step, and a shared access after it.
#[lamprey::scenario]
fn long_loop() {
    let shared = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        let mut n = 0u64;
        // SAFETY: only registers.
        unsafe { asm!("2: inc {0}", "cmp {0}, 50000", "jne 2b", inout(reg) n) }
        shared.store(n, SeqCst);
    });
    lamprey::cpu(1, move || {
        let seen = shared.load(SeqCst);
        lamprey::require!(seen == 0 || seen == 50_000, "whole", "{seen}");
        if seen != 0 {
            lamprey::mark!("seen");
        }
    });
}

/// A deep stack, traversed up and down between two shared accesses.
#[lamprey::scenario]
fn deep_calls() {
    #[inline(never)]
    fn sum(n: u64) -> u64 {
        if n == 0 { 0 } else { black_box(n) + sum(n - 1) }
    }
    let shared = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            shared.fetch_add(sum(100), SeqCst);
            lamprey::require!(shared.load(SeqCst).is_multiple_of(5050), "sum", "wrong");
            lamprey::mark!("summed");
        });
    }
}

/// A local variable that another CPU writes through a pointer lives on this CPU's stack.
#[lamprey::scenario]
fn shared_local() {
    let place = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        let local = AtomicU64::new(0);
        place.store(local.as_ptr().expose_provenance() as u64, SeqCst);
        while local.load(SeqCst) == 0 {
            lamprey::mark!("waits");
        }
        lamprey::require_eq!(local.load(SeqCst), 3, "local", "another value");
    });
    lamprey::cpu(1, move || {
        let local = place.load(SeqCst);
        lamprey::assume(local != 0);
        // SAFETY: CPU 0 waits for this store.
        unsafe {
            (*core::ptr::with_exposed_provenance::<AtomicU64>(local as usize)).store(3, SeqCst)
        };
    });
}

/// XMM registers and flags belong to a CPU.
#[lamprey::scenario]
fn registers() {
    let shared = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2u64 {
        lamprey::cpu(cpu as usize, move || {
            let back: u64;
            // SAFETY: registers are declared; `shared` is 8 bytes.
            unsafe {
                asm!(
                    "movq xmm0, {cpu}", "lock inc qword ptr [{shared}]",
                    "mov {back}, qword ptr [{shared}]", "movq {back}, xmm0",
                    cpu = in(reg) cpu, shared = in(reg) shared.as_ptr(), back = out(reg) back,
                    out("xmm0") _,
                );
            }
            lamprey::require_eq!(back, cpu, "own", "the other's");
            lamprey::mark!("kept");
        });
    }
}

/// The contents of a stack that the CPU has left for another are kept.
#[lamprey::scenario]
fn other_stack() {
    #[repr(align(16))]
    struct Stack([u64; 64]);
    static mut STACK: Stack = Stack([0; 64]);
    let shared = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        let back: u64;
        // SAFETY: the other stack is this CPU's, and has room; RSP is put back.
        unsafe {
            asm!(
                "mov {save}, rsp", "push 7", "mov {first}, rsp", "mov rsp, {other}",
                "push 8", "lock inc qword ptr [{shared}]", "lock inc qword ptr [{shared}]",
                "mov rsp, {first}", "pop {back}", "mov rsp, {save}",
                save = out(reg) _, first = out(reg) _, back = out(reg) back,
                other = in(reg) (&raw mut STACK.0).cast::<u64>().add(64),
                shared = in(reg) shared.as_ptr(),
            );
        }
        lamprey::require_eq!(back, 7, "stack", "it is gone");
        lamprey::mark!("back");
    });
    lamprey::cpu(1, move || _ = shared.load(SeqCst));
}
