//! Locks that do not lock, or are never released.

use core::hint::spin_loop;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use crate::shared::Section;

/// Peterson's algorithm with the two stores exchanged: turn first, then the flag.
#[lamprey::scenario(finds = "mutual-exclusion")]
fn peterson_turn_first() {
    let flags = lamprey::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let turn = lamprey::new(AtomicUsize::new(0));
    let section = Section::new();
    for me in 0..2 {
        lamprey::cpu(me, move || {
            let other = 1 - me;
            turn.store(other, SeqCst);
            flags[me].store(true, SeqCst);
            while flags[other].load(SeqCst) && turn.load(SeqCst) == other {
                spin_loop();
            }
            section.pass();
            flags[me].store(false, SeqCst);
        });
    }
}

/// Test and set by a load and a store.
// switches: 2
#[lamprey::scenario(finds = "mutual-exclusion")]
fn test_then_set() {
    let locked = lamprey::new(AtomicBool::new(false));
    let section = Section::new();
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            while locked.load(SeqCst) {
                spin_loop();
            }
            locked.store(true, SeqCst);
            section.pass();
            locked.store(false, SeqCst);
        });
    }
}

/// CMPXCHG without LOCK.
// switches: 2
#[lamprey::scenario(finds = "mutual-exclusion")]
fn cmpxchg_without_lock() {
    let locked = lamprey::new(AtomicU64::new(0));
    let section = Section::new();
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            let seen: u64;
            // SAFETY: `locked` is 8 bytes.
            unsafe {
                core::arch::asm!(
                    "cmpxchg qword ptr [{}], {}",
                    in(reg) locked.as_ptr(), in(reg) 1u64, inout("rax") 0u64 => seen,
                );
            }
            if seen == 0 {
                section.pass();
            }
        });
    }
}

/// Two locks taken in two orders: both CPUs spin for ever.
// switches: 2
#[lamprey::scenario(finds = "livelock")]
fn two_orders() {
    let locks = lamprey::new([AtomicBool::new(false), AtomicBool::new(false)]);
    for cpu in 0..2usize {
        lamprey::cpu(cpu, move || {
            for lock in [&locks[cpu], &locks[1 - cpu]] {
                while lock.swap(true, SeqCst) {
                    spin_loop();
                }
            }
            for lock in locks {
                lock.store(false, SeqCst);
            }
        });
    }
}

/// A handler spins on a lock that the thread it interrupted holds.
#[lamprey::scenario(finds = "livelock")]
fn lock_taken_by_interrupted() {
    let locked = lamprey::new(AtomicBool::new(false));
    lamprey::handler(40, move || {
        while locked.swap(true, SeqCst) {
            spin_loop();
        }
        locked.store(false, SeqCst);
    });
    lamprey::cpu(0, move || {
        while locked.swap(true, SeqCst) {
            spin_loop();
        }
        locked.store(false, SeqCst);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, 40));
}

/// A CPU waits for the answer of one that has interrupts off and waits for it, too.
#[lamprey::scenario(finds = "livelock")]
fn ipi_to_one_that_waits() {
    let answer = lamprey::new(AtomicBool::new(false));
    let done = lamprey::new(AtomicBool::new(false));
    lamprey::handler(40, move || answer.store(true, SeqCst));
    lamprey::cpu(0, move || {
        lamprey::send_ipi(1, 40);
        while !answer.load(SeqCst) {
            spin_loop();
        }
        done.store(true, SeqCst);
    });
    lamprey::cpu(1, move || {
        crate::cpu::cli();
        while !done.load(SeqCst) {
            spin_loop();
        }
        crate::cpu::sti();
    });
}
