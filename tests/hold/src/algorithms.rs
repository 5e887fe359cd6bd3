//! Published algorithms; their stores are `SeqCst`, which compiles to XCHG, if the algorithm needs it.

use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};

use crate::shared::Section;

/// Peterson's algorithm for two.
#[lamprey::scenario]
fn peterson() {
    let flags = lamprey::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let turn = lamprey::new(AtomicUsize::new(0));
    let section = Section::new();
    for me in 0..2 {
        lamprey::cpu(me, move || {
            let other = 1 - me;
            flags[me].store(true, SeqCst);
            turn.store(other, SeqCst);
            while flags[other].load(SeqCst) && turn.load(SeqCst) == other {
                lamprey::mark!("waited");
                spin_loop();
            }
            section.pass();
            flags[me].store(false, SeqCst);
        });
    }
}

/// A ticket lock excludes, and every CPU gets it.
#[lamprey::scenario]
fn ticket_lock() {
    let next = lamprey::new(AtomicU64::new(0));
    let serving = lamprey::new(AtomicU64::new(0));
    let section = Section::new();
    for cpu in 0..2 {
        lamprey::cpu(cpu, move || {
            let ticket = next.fetch_add(1, Relaxed);
            while serving.load(Acquire) != ticket {
                lamprey::mark!("waited");
                spin_loop();
            }
            section.pass();
            serving.store(ticket + 1, Release);
        });
    }
}

/// A test-and-set lock by XCHG, for three.
#[lamprey::scenario]
fn xchg_lock_for_three() {
    let locked = lamprey::new(AtomicBool::new(false));
    let hits = lamprey::new(AtomicU64::new(0));
    for cpu in 0..3 {
        lamprey::cpu(cpu, move || {
            while locked.swap(true, Acquire) {
                lamprey::mark!("waited");
                spin_loop();
            }
            hits.store(hits.load(Relaxed) + 1, Relaxed);
            locked.store(false, Release);
        });
    }
    lamprey::finally(move || {
        lamprey::require_eq!(hits.load(Relaxed), 3, "lost-update", "an increment is lost");
    });
}

/// The reader of a sequence lock gets both words of one write.
#[lamprey::scenario]
fn seqlock() {
    let sequence = lamprey::new(AtomicU64::new(0));
    let data = lamprey::new([AtomicU64::new(0), AtomicU64::new(0)]);
    lamprey::cpu(0, move || {
        sequence.store(1, SeqCst);
        data[0].store(5, SeqCst);
        data[1].store(5, SeqCst);
        sequence.store(2, SeqCst);
    });
    lamprey::cpu(1, move || {
        loop {
            let before = sequence.load(SeqCst);
            if before % 2 == 1 {
                lamprey::mark!("a write was going on");
                continue;
            }
            let seen = [data[0].load(SeqCst), data[1].load(SeqCst)];
            if sequence.load(SeqCst) == before {
                lamprey::require!(seen[0] == seen[1], "torn", "{} and {}", seen[0], seen[1]);
                break;
            }
            lamprey::mark!("read again");
        }
    });
}

/// A pointer is published after its target is filled in.
#[lamprey::scenario]
fn publish_by_pointer() {
    let place = lamprey::new(AtomicPtr::<u64>::new(ptr::null_mut()));
    lamprey::cpu(0, move || {
        let object = lamprey::alloc(16, 8).cast::<u64>();
        // SAFETY: fresh memory.
        unsafe {
            object.write(7);
            object.add(1).write(7);
        }
        place.store(object, Release);
    });
    lamprey::cpu(1, move || {
        let object = place.load(Acquire);
        if !object.is_null() {
            lamprey::mark!("saw the object");
            // SAFETY: published.
            let (a, b) = unsafe { (object.read_volatile(), object.add(1).read_volatile()) };
            lamprey::require!(a == 7 && b == 7, "published", "{a} and {b}");
        }
    });
}

/// A queue of one place between two CPUs.
#[lamprey::scenario]
fn mailbox() {
    let full = lamprey::new(AtomicBool::new(false));
    let letter = lamprey::new(AtomicU64::new(0));
    lamprey::cpu(0, move || {
        for n in 1..=2 {
            while full.load(Acquire) {
                lamprey::mark!("the sender waited");
                spin_loop();
            }
            letter.store(n, Relaxed);
            full.store(true, Release);
        }
    });
    lamprey::cpu(1, move || {
        for n in 1..=2 {
            while !full.load(Acquire) {
                lamprey::mark!("the receiver waited");
                spin_loop();
            }
            lamprey::require_eq!(letter.load(Relaxed), n, "order", "a letter is lost or doubled");
            full.store(false, Release);
        }
    });
}
