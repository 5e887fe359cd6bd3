//! Accesses that are more than one: another agent sees, or writes, one half.

use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

#[repr(C, align(16))]
struct Pair([AtomicU64; 2]);

fn pair() -> &'static Pair {
    lamprey::new(Pair([AtomicU64::new(0), AtomicU64::new(0)]))
}

/// Two stores to the halves of a word, seen by one load.
// switches: 0
#[lamprey::scenario(finds = "torn")]
fn two_halves() {
    let pair = pair();
    let halves = core::ptr::from_ref(&pair.0[0]).cast::<AtomicU32>();
    let at = halves.addr();
    lamprey::cpu(0, move || {
        let halves = core::ptr::with_exposed_provenance::<AtomicU32>(at);
        // SAFETY: two halves of an 8-byte word.
        unsafe {
            (*halves).store(1, Relaxed);
            (*halves.add(1)).store(1, Relaxed);
        }
    });
    lamprey::cpu(1, move || {
        let seen = pair.0[0].load(Relaxed);
        lamprey::require!(seen == 0 || seen == 1 << 32 | 1, "torn", "a half: {seen:#x}");
    });
}

/// A 16-byte MOVUPS store is two.
// switches: 0
#[lamprey::scenario(finds = "torn")]
fn sse_store() {
    let pair = pair();
    lamprey::cpu(0, move || {
        // SAFETY: 16 bytes.
        unsafe {
            asm!(
                "pcmpeqb xmm0, xmm0", "movups [{}], xmm0",
                in(reg) pair.0.as_ptr(), out("xmm0") _,
            );
        }
    });
    lamprey::cpu(1, move || {
        // The high word first: were it stored first, the low one could not be behind it.
        let (high, low) = (pair.0[1].load(Relaxed), pair.0[0].load(Relaxed));
        lamprey::require!(low == high, "torn", "one half of 16 bytes");
    });
}

/// A 16-byte MOVUPS load against a LOCK CMPXCHG16B: the load is two.
// switches: 1
#[lamprey::scenario(finds = "torn")]
fn sse_load() {
    let pair = pair();
    lamprey::cpu(0, move || {
        // SAFETY: 16 aligned bytes.
        unsafe {
            asm!(
                "xchg {save}, rbx", "mov rbx, 1", "lock cmpxchg16b [{pair}]", "mov rbx, {save}",
                save = inout(reg) 0u64 => _,
                pair = in(reg) pair.0.as_ptr(),
                inout("rax") 0u64 => _, inout("rdx") 0u64 => _, in("rcx") 1u64,
            );
        }
    });
    lamprey::cpu(1, move || {
        let mut seen = [0u64; 2];
        // SAFETY: 16 bytes each.
        unsafe {
            asm!(
                "movups xmm0, [{}]", "movups [{}], xmm0",
                in(reg) pair.0.as_ptr(), in(reg) seen.as_mut_ptr(), out("xmm0") _,
            );
        }
        lamprey::require!(seen[0] == seen[1], "torn", "{} and {}", seen[0], seen[1]);
    });
}

/// An 8-byte store that crosses a word boundary is two.
// switches: 0
#[lamprey::scenario(finds = "torn")]
fn misaligned_store() {
    let pair = pair();
    lamprey::cpu(0, move || {
        // SAFETY: 8 bytes from the middle of 16.
        unsafe {
            asm!(
                "mov qword ptr [{} + 4], {}",
                in(reg) pair.0.as_ptr(), in(reg) u64::MAX, options(nostack),
            );
        }
    });
    lamprey::cpu(1, move || {
        let (low, high) = (pair.0[0].load(Relaxed), pair.0[1].load(Relaxed));
        lamprey::require!((low == 0) || (high != 0), "torn", "the first half alone");
    });
}

/// An 8-byte load that crosses a word boundary is two.
// switches: 0
#[lamprey::scenario(finds = "torn")]
fn misaligned_load() {
    let pair = pair();
    lamprey::cpu(0, move || {
        pair.0[0].store(u64::MAX, Relaxed);
        pair.0[1].store(u64::MAX, Relaxed);
    });
    lamprey::cpu(1, move || {
        let seen: u64;
        // SAFETY: 8 bytes from the middle of 16.
        unsafe {
            asm!("mov {}, qword ptr [{} + 4]", out(reg) seen, in(reg) pair.0.as_ptr());
        }
        // The halves are loaded in ascending order, so this is the old first and the new second.
        lamprey::require!(seen != 0xffff_ffff_0000_0000, "torn", "old low half, new high half");
    });
}

/// REP MOVSB is seen between two of its iterations.
// switches: 0
// warns: one after the other
#[lamprey::scenario(finds = "torn")]
fn rep_movsb() {
    let pair = pair();
    lamprey::cpu(0, move || {
        let source = [0x11u8; 16];
        // SAFETY: 16 bytes each.
        unsafe {
            asm!(
                "rep movsb",
                inout("rcx") 16u64 => _,
                inout("rsi") source.as_ptr() => _,
                inout("rdi") pair.0.as_ptr() => _,
            );
        }
    });
    lamprey::cpu(1, move || {
        let seen = pair.0[0].load(Relaxed);
        lamprey::require!(seen != 0x11_1111, "torn", "three bytes of eight");
    });
}

/// An interrupt comes between two iterations of REP STOSQ, and the instruction then continues.
// warns: one after the other
#[lamprey::scenario(finds = "torn")]
fn rep_stosq_interrupted() {
    let pair = pair();
    lamprey::handler(40, move || {
        let (low, high) = (pair.0[0].load(Relaxed), pair.0[1].load(Relaxed));
        lamprey::require!(low == high, "torn", "one of two words");
    });
    lamprey::cpu(0, move || {
        // SAFETY: 16 bytes.
        unsafe {
            asm!(
                "rep stosq",
                inout("rcx") 2u64 => _, in("rax") 7u64, inout("rdi") pair.0.as_ptr() => _,
            );
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
}

/// A PUSH of a shared word to a shared address: the load and the store are two accesses.
// switches: 1
#[lamprey::scenario(finds = "stale-copy")]
fn push_from_memory() {
    let from = lamprey::new(AtomicU64::new(1));
    let to = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        // SAFETY: for one instruction `to` is the top of the stack; interrupts are on another one.
        unsafe {
            asm!(
                "mov {save}, rsp", "lea rsp, [{to} + 8]", "push qword ptr [{from}]",
                "mov rsp, {save}",
                save = out(reg) _, to = in(reg) to.as_ptr(), from = in(reg) from.as_ptr(),
            );
        }
    });
    lamprey::cpu(1, move || {
        from.store(2, Relaxed);
        from.store(3, Relaxed);
        to.store(9, Relaxed);
    });
    lamprey::finally(move || {
        lamprey::require!(to.load(Relaxed) != 2, "stale-copy", "what was between is left");
    });
}
