//! Operations that LOCK, or XCHG without it, makes atomic.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

fn expect(word: &'static AtomicU64, value: u64) {
    lamprey::finally(move || {
        lamprey::mark!("all are done");
        lamprey::require_eq!(word.load(Relaxed), value, "lost-update", "an update is lost");
    });
}

/// LOCK INC on two CPUs.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_inc() {
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            for _ in 0..2 {
                // SAFETY: `hits` is 8 bytes.
                unsafe { asm!("lock inc qword ptr [{}]", in(reg) hits.as_ptr()) }
            }
        });
    }
    expect(hits, 4);
}

/// LOCK XADD gives every CPU a number of its own.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_xadd() {
    let next = lamprey::new(AtomicU64::new(0));
    let taken = lamprey::new(AtomicU64::new(0));
    for cpu in 0..3 {
        lamprey::cpu(cpu, move || {
            let mine = next.fetch_add(1, Relaxed);
            taken.fetch_or(1 << mine, Relaxed);
        });
    }
    expect(taken, 7);
}

/// XCHG is atomic without LOCK: the value is handed on, never doubled.
#[lamprey::scenario(marks = ["all are done"])]
fn xchg_has_lock() {
    let token = lamprey::new(AtomicU64::new(1));
    let held = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            let mut mine = 0u64;
            // SAFETY: `token` is 8 bytes.
            unsafe { asm!("xchg qword ptr [{}], {}", in(reg) token.as_ptr(), inout(reg) mine) }
            held.fetch_add(mine, Relaxed);
        });
    }
    expect(held, 1);
}

/// A handler's LOCK INC and its thread's.
#[lamprey::scenario(marks = ["all are done"])]
fn lock_inc_in_handler() {
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::handler(40, move || {
        hits.fetch_add(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        hits.fetch_add(1, Relaxed);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
    expect(hits, 2);
}

/// A plain INC is safe against a handler on its own CPU: interrupts come between instructions.
#[lamprey::scenario(marks = ["all are done"])]
fn plain_inc_and_handler() {
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::handler(40, move || {
        // SAFETY: `hits` is 8 bytes.
        unsafe { asm!("inc qword ptr [{}]", in(reg) hits.as_ptr()) }
    });
    lamprey::cpu(0, move || {
        // SAFETY: `hits` is 8 bytes.
        unsafe { asm!("inc qword ptr [{}]", in(reg) hits.as_ptr()) }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
    expect(hits, 2);
}

#[repr(C, align(16))]
struct Pair([AtomicU64; 2]);

impl Pair {
    /// Exchanges (old, old) for (new, new) by LOCK CMPXCHG16B; returns the previous values.
    fn exchange(&self, old: u64, new: u64) -> (u64, u64) {
        let (mut low, mut high) = (old, old);
        // SAFETY: 16 aligned bytes; RBX is put back.
        unsafe {
            asm!(
                "xchg {new}, rbx", "lock cmpxchg16b [{pair}]", "mov rbx, {new}",
                new = inout(reg) new => _,
                pair = in(reg) self.0.as_ptr(),
                inout("rax") low, inout("rdx") high, in("rcx") new,
            );
        }
        (low, high)
    }
}

/// LOCK CMPXCHG16B: a CPU that reads by it sees both words of one write.
#[lamprey::scenario]
fn cmpxchg16b_pair() {
    let pair = lamprey::new(Pair([AtomicU64::new(0), AtomicU64::new(0)]));
    lamprey::cpu(0, move || {
        pair.exchange(0, 1);
        pair.exchange(1, 2);
    });
    lamprey::cpu(1, move || {
        let (low, high) = pair.exchange(9, 9);
        lamprey::require!(low == high, "torn", "{low} and {high}");
        if low == 1 {
            lamprey::mark!("seen in between");
        }
    });
}

/// LOCK CMPXCHG16B: even plain loads, low word first, see no high word without its low one.
#[lamprey::scenario]
fn cmpxchg16b_and_plain_loads() {
    let pair = lamprey::new(Pair([AtomicU64::new(0), AtomicU64::new(0)]));
    lamprey::always(move || {
        let (low, high) = (pair.0[0].load(Relaxed), pair.0[1].load(Relaxed));
        lamprey::require!(low == high, "torn", "{low} and {high}");
    });
    for cpu in 0..2u64 {
        lamprey::cpu(cpu as usize, move || {
            if pair.exchange(0, cpu + 1) != (0, 0) {
                lamprey::mark!("came second");
            }
        });
    }
}

/// A LOCKed update across a word boundary (a split lock) is still one.
#[lamprey::scenario(marks = ["all are done"])]
fn split_lock() {
    let pair = lamprey::new(Pair([AtomicU64::new(0), AtomicU64::new(0)]));
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            // SAFETY: 8 bytes from the middle of 16.
            unsafe {
                asm!(
                    "lock add qword ptr [{} + 4], {}",
                    in(reg) pair.0.as_ptr(), in(reg) 0x8000_0000u64,
                );
            }
        });
    }
    expect(&pair.0[1], 1);
}

/// An aligned 8-byte store, and a misaligned one within a word, are never seen in half.
#[lamprey::scenario]
fn within_a_word() {
    let word = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        // SAFETY: bytes 3 to 6 of `word`.
        unsafe { asm!("mov dword ptr [{} + 3], -1", in(reg) word.as_ptr()) }
    });
    lamprey::cpu(1, move || {
        let seen = word.load(Relaxed);
        lamprey::require!(seen == 0 || seen == 0x00ff_ffff_ff00_0000, "torn", "{seen:#x}");
        if seen != 0 {
            lamprey::mark!("seen");
        }
    });
}

/// Stores to different bytes of one word keep the other bytes.
#[lamprey::scenario(marks = ["all are done"])]
fn neighbouring_bytes() {
    let word = lamprey::new(AtomicU64::new(0));
    for cpu in 0..3u64 {
        lamprey::cpu(cpu as usize, move || {
            // SAFETY: a byte of `word`.
            unsafe { asm!("mov byte ptr [{} + {}], 1", in(reg) word.as_ptr(), in(reg) cpu) }
        });
    }
    expect(word, 0x1_0101);
}
