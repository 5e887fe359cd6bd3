//! Read-modify-write without LOCK: another agent comes between the load and the store.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

fn expect(hits: &'static AtomicU64, count: u64) {
    lamprey::finally(move || {
        lamprey::require_eq!(hits.load(Relaxed), count, "lost-update", "an increment is lost");
    });
}

/// One plain INC is a load and a store.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn plain_inc() {
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        // SAFETY: `hits` is 8 bytes.
        lamprey::cpu(cpu, move || unsafe { asm!("inc qword ptr [{}]", in(reg) hits.as_ptr()) });
    }
    expect(hits, 2);
}

/// XADD without LOCK is no better.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn plain_xadd() {
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        // SAFETY: `hits` is 8 bytes.
        lamprey::cpu(cpu, move || unsafe {
            asm!("xadd qword ptr [{}], {}", in(reg) hits.as_ptr(), inout(reg) 1u64 => _);
        });
    }
    expect(hits, 2);
}

/// BTS without LOCK loses the other's bit, also where the two set different bits of one byte.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn plain_bts() {
    let bits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2u64 {
        // SAFETY: `bits` is 8 bytes, and the bit is one of it.
        lamprey::cpu(cpu as usize, move || unsafe {
            asm!("bts qword ptr [{}], {}", in(reg) bits.as_ptr(), in(reg) cpu);
        });
    }
    expect(bits, 3);
}

/// CMPXCHG without LOCK writes back the value that it has read, even if it fails.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn plain_cmpxchg_that_fails() {
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        // SAFETY: `hits` is 8 bytes.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{}], {}",
                in(reg) hits.as_ptr(), in(reg) 9u64, inout("rax") 5u64 => _,
            );
        }
    });
    lamprey::cpu(1, move || hits.store(1, Relaxed));
    expect(hits, 1);
}

/// Byte-wide stores into one word do not collide, but byte-wide INCs of one byte do.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn plain_byte_inc() {
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        // SAFETY: the second byte of `hits`.
        lamprey::cpu(cpu, move || unsafe {
            asm!("inc byte ptr [{} + 1]", in(reg) hits.as_ptr());
        });
    }
    expect(hits, 0x200);
}

/// The update of one CPU outlives the two of another: needs all of them between load and store.
// switches: 1
#[lamprey::scenario(finds = "all-lost")]
fn two_lost_to_one() {
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            for _ in 0..=cpu {
                hits.store(hits.load(Relaxed) + 1, Relaxed);
            }
        });
    }
    lamprey::finally(move || {
        lamprey::require!(hits.load(Relaxed) != 1, "all-lost", "three increments made one");
    });
}

/// A handler updates between the load and the store of the thread it interrupts, on one CPU.
#[lamprey::scenario(finds = "lost-update")]
fn by_own_handler() {
    let hits = lamprey::new(AtomicU64::new(0));
    lamprey::handler(40, move || hits.store(hits.load(Relaxed) + 1, Relaxed));
    lamprey::cpu(0, move || hits.store(hits.load(Relaxed) + 1, Relaxed));
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
    expect(hits, 2);
}

/// Three CPUs; only the first and the third count.
// switches: 1
#[lamprey::scenario(finds = "lost-update")]
fn past_a_third_cpu() {
    let hits = lamprey::new(AtomicU64::new(0));
    let other = lamprey::new(AtomicU64::new(0));
    for cpu in [0, 2] {
        // SAFETY: `hits` is 8 bytes.
        lamprey::cpu(cpu, move || unsafe { asm!("add qword ptr [{}], 1", in(reg) hits.as_ptr()) });
    }
    lamprey::cpu(1, move || other.store(1, Relaxed));
    expect(hits, 2);
}
