//! Orders that hold despite store buffers: with an operation that drains them, or without.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, fence};

use crate::cpu::{cli, load_cr3};
use crate::shared::{part, words};

const VECTOR: u8 = 40;

fn mfence() {
    // SAFETY: orders accesses.
    unsafe { asm!("mfence", options(nostack)) };
}

/// Runs SB with `between` the store and the load of each CPU: one of the two sees the other's
/// store, and all three such results occur.
fn store_buffering(between: impl Fn() + Copy + Send + 'static) {
    let [x, y, a, b] = words();
    for (cpu, [mine, others], seen) in [(0, [x, y], a), (1, [y, x], b)] {
        lamprey::cpu(cpu, move || {
            mine.store(1, Relaxed);
            between();
            seen.store(others.load(Relaxed), Relaxed);
        });
    }
    lamprey::finally(move || one_saw_the_other(a.load(Relaxed), b.load(Relaxed)));
}

/// Checks the results of the two loads of SB, with a mark for each.
fn one_saw_the_other(a: u64, b: u64) {
    match (a, b) {
        (0, 1) => lamprey::mark!("0 1"),
        (1, 0) => lamprey::mark!("1 0"),
        (1, 1) => lamprey::mark!("1 1"),
        _ => lamprey::require!(false, "order", "both loads came before both stores"),
    }
}

/// MFENCE.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_mfence() {
    store_buffering(mfence);
}

/// MFENCE, and a load of memory that no other CPU touches between it and the shared load.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_mfence_and_an_own_load() {
    store_buffering(|| {
        mfence();
        let (own, seen) = (5u64, u64::MAX);
        // SAFETY: `own` is 8 bytes.
        unsafe { asm!("mov {}, qword ptr [{}]", inout(reg) seen => _, in(reg) &raw const own) };
    });
}

/// MFENCE, and a store to memory that no other CPU touches.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_mfence_and_an_own_store() {
    store_buffering(|| {
        mfence();
        let mut own = 5u64;
        // SAFETY: `own` is 8 bytes.
        unsafe { asm!("mov qword ptr [{}], 6", in(reg) &raw mut own) };
    });
}

/// XCHG with memory that no other CPU touches.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_xchg() {
    store_buffering(|| {
        let (own, mut value) = (0u64, 1u64);
        // SAFETY: `own` is 8 bytes.
        unsafe { asm!("xchg qword ptr [{}], {}", in(reg) &raw const own, inout(reg) value) };
        lamprey::require!(value == 0, "own-memory", "somebody else's");
    });
}

/// LOCK OR of nothing to the top of the stack, the cheapest fence.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_lock_or() {
    // SAFETY: the word at RSP keeps its value.
    store_buffering(|| unsafe { asm!("lock or dword ptr [rsp], 0") });
}

/// LOCK CMPXCHG that fails.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_failed_cmpxchg() {
    store_buffering(|| {
        let own = 1u64;
        // SAFETY: `own` is 8 bytes.
        unsafe {
            asm!(
                "lock cmpxchg qword ptr [{}], {}",
                in(reg) &raw const own, in(reg) 9u64, inout("rax") 5u64 => _,
            );
        }
        lamprey::require!(own == 1, "own-memory", "somebody else's");
    });
}

/// CPUID.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_cpuid() {
    store_buffering(|| {
        let _ = __cpuid(0);
    });
}

/// MOV to CR3.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_mov_to_cr3() {
    store_buffering(|| load_cr3(0));
}

/// INVLPG.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_invlpg() {
    // SAFETY: translations may be dropped at any time.
    store_buffering(|| unsafe { asm!("invlpg [{}]", in(reg) 0x1000u64, options(nostack)) });
}

/// INVPCID.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_invpcid() {
    store_buffering(|| {
        let descriptor = [0u64, 0];
        // SAFETY: translations may be dropped at any time.
        unsafe { asm!("invpcid {}, [{}]", in(reg) 2u64, in(reg) descriptor.as_ptr()) };
    });
}

/// WRMSR to an MSR of the processor's core.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1"])]
fn sb_wrmsr() {
    store_buffering(|| {
        // SAFETY: IA32_KERNEL_GS_BASE, which nothing here uses.
        unsafe {
            asm!("wrmsr", in("ecx") 0xc000_0102u32, in("eax") 0, in("edx") 0, options(nostack));
        }
    });
}

/// MP with plain stores and plain loads: stores leave in order.
#[lamprey::scenario(marks = ["neither", "data only", "both"])]
fn message_passing() {
    let [data, flag] = words();
    lamprey::cpu(0, move || {
        data.store(1, Relaxed);
        flag.store(1, Relaxed);
    });
    lamprey::cpu(1, move || {
        let (flag, data) = (flag.load(Relaxed), data.load(Relaxed));
        lamprey::require!(flag <= data, "order", "the flag without the data");
        match (flag, data) {
            (0, 0) => lamprey::mark!("neither"),
            (0, 1) => lamprey::mark!("data only"),
            _ => lamprey::mark!("both"),
        }
    });
}

/// A CPU loads its own latest store, or a later one over it, never an older value.
#[lamprey::scenario(marks = ["its own", "the other's"])]
fn own_store() {
    let [x] = words();
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        x.store(2, Relaxed);
        match x.load(Relaxed) {
            2 => lamprey::mark!("its own"),
            3 => lamprey::mark!("the other's"),
            seen => lamprey::require!(false, "forwarding", "{seen}"),
        }
    });
    lamprey::cpu(1, move || x.store(3, Relaxed));
}

/// A narrow load from the middle of a wider store.
#[lamprey::scenario(marks = ["its own", "the other's"])]
fn narrow_load_from_a_wide_store() {
    let [x] = words();
    lamprey::cpu(0, move || {
        x.store(0x0807_0605_0403_0201, Relaxed);
        match part::<AtomicU8>(x, 3).load(Relaxed) {
            4 => lamprey::mark!("its own"),
            0x99 => lamprey::mark!("the other's"),
            seen => lamprey::require!(false, "forwarding", "{seen:#x}"),
        }
        let upper = part::<AtomicU32>(x, 4).load(Relaxed);
        lamprey::require!(upper == 0x0807_0605, "forwarding", "{upper:#x}");
    });
    lamprey::cpu(1, move || part::<AtomicU8>(x, 3).store(0x99, Relaxed));
}

/// A load that is wider than the store before it waits for that store and gets both CPUs' bytes.
#[lamprey::scenario(marks = ["alone", "with the other's"])]
fn wide_load_over_a_narrow_store() {
    let [x] = words();
    lamprey::cpu(0, move || {
        part::<AtomicU8>(x, 0).store(1, Relaxed);
        match x.load(Relaxed) {
            1 => lamprey::mark!("alone"),
            0x0200_0000_0000_0001 => lamprey::mark!("with the other's"),
            seen => lamprey::require!(false, "forwarding", "{seen:#x}"),
        }
    });
    lamprey::cpu(1, move || part::<AtomicU8>(x, 7).store(2, Relaxed));
}

/// The newest store that overlaps a load covers only a part of it: an older one is not used instead.
#[lamprey::scenario(marks = ["read"])]
fn narrow_store_over_a_wide_one() {
    let [x, other] = words();
    lamprey::cpu(0, move || {
        x.store(0x1111_1111_1111_1111, Relaxed);
        part::<AtomicU32>(x, 4).store(0x2222_2222, Relaxed);
        let _ = other.load(Relaxed);
        let (all, lower) = (x.load(Relaxed), part::<AtomicU32>(x, 0).load(Relaxed));
        lamprey::require!(all == 0x2222_2222_1111_1111, "forwarding", "{all:#x}");
        lamprey::require!(lower == 0x1111_1111, "forwarding", "{lower:#x}");
        lamprey::mark!("read");
    });
    lamprey::cpu(1, move || {
        other.store(1, Relaxed);
        let _ = x.load(Relaxed);
    });
}

/// A load across two words; the second is stored in part: it waits for that store.
#[lamprey::scenario(marks = ["alone", "with the other's"])]
fn load_across_words_over_a_narrow_store() {
    let words = words::<2>();
    lamprey::handler(VECTOR, || {});
    lamprey::cpu(0, move || {
        let seen: u64;
        // SAFETY: a byte, and 8 from the middle of 16.
        unsafe {
            asm!(
                "mov byte ptr [{words} + 8], 7", "mov {seen}, qword ptr [{words} + 4]",
                words = in(reg) words.as_ptr(), seen = out(reg) seen, options(nostack),
            );
        }
        match seen {
            0x7_0000_0000 => lamprey::mark!("alone"),
            0x7_0000_0001 => lamprey::mark!("with the other's"),
            _ => lamprey::require!(false, "forwarding", "{seen:#x}"),
        }
    });
    lamprey::cpu(1, move || {
        words[0].store(1 << 32, Relaxed);
        let _ = words[1].load(Relaxed);
        lamprey::send_ipi(0, VECTOR);
    });
}

/// Runs CPU 1's half of an SB whose other half is on CPU 0, which it interrupts first.
fn interrupt_and_look(x: &'static AtomicU64, y: &'static AtomicU64, seen: &'static AtomicU64) {
    lamprey::cpu(1, move || {
        lamprey::send_ipi(0, VECTOR);
        y.store(1, Relaxed);
        mfence();
        seen.store(x.load(Relaxed), Relaxed);
    });
}

/// Delivery of an interrupt drains: stores of the thread are visible before the handler loads.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1", "before the store"])]
fn interrupt_drains() {
    let [x, y, a, b, stored] = words();
    a.store(2, Relaxed);
    lamprey::handler(VECTOR, move || {
        if stored.load(Relaxed) == 1 {
            a.store(y.load(Relaxed), Relaxed);
        } else {
            lamprey::mark!("before the store");
        }
    });
    lamprey::cpu(0, move || {
        x.store(1, Relaxed);
        stored.store(1, Relaxed);
    });
    interrupt_and_look(x, y, b);
    lamprey::finally(move || match a.load(Relaxed) {
        2 => {}
        a => one_saw_the_other(a, b.load(Relaxed)),
    });
}

/// Return from a handler drains: stores of the handler are visible before the thread loads.
#[lamprey::scenario(marks = ["0 1", "1 0", "1 1", "before the interrupt"])]
fn return_from_interrupt_drains() {
    let [x, y, a, b, stored] = words();
    a.store(2, Relaxed);
    lamprey::handler(VECTOR, move || {
        x.store(1, Relaxed);
        stored.store(1, Relaxed);
    });
    lamprey::cpu(0, move || {
        if stored.load(Relaxed) == 1 {
            a.store(y.load(Relaxed), Relaxed);
        } else {
            lamprey::mark!("before the interrupt");
        }
    });
    interrupt_and_look(x, y, b);
    lamprey::finally(move || match a.load(Relaxed) {
        2 => {}
        a => one_saw_the_other(a, b.load(Relaxed)),
    });
}

/// Stores before an interrupt is sent are visible to its handler.
#[lamprey::scenario(marks = ["interrupted"])]
fn sending_an_interrupt_drains() {
    let [request] = words();
    lamprey::handler(VECTOR, move || {
        lamprey::mark!("interrupted");
        lamprey::require_eq!(request.load(Relaxed), 7, "order", "the request is not there yet");
    });
    lamprey::cpu(0, move || {
        request.store(7, Relaxed);
        lamprey::send_ipi(1, VECTOR);
    });
    lamprey::cpu(1, || {});
}

/// A loop that stores in each round, and drains.
#[lamprey::scenario(marks = ["seen", "not seen"])]
fn loop_that_stores() {
    let [beat, stop] = words();
    lamprey::cpu(0, move || {
        while stop.load(Relaxed) == 0 {
            beat.store(1, Relaxed);
            fence(SeqCst);
        }
    });
    lamprey::cpu(1, move || {
        match beat.load(Relaxed) {
            0 => lamprey::mark!("not seen"),
            _ => lamprey::mark!("seen"),
        }
        stop.store(1, Relaxed);
    });
}

/// Twenty stores can all be on their way, and come in order.
#[lamprey::scenario(marks = ["the first is seen", "the last is seen"])]
fn twenty_stores_in_flight() {
    let [x] = words();
    lamprey::cpu(0, move || {
        for n in 1..=20 {
            x.store(n, Relaxed);
        }
        lamprey::require_eq!(x.load(Relaxed), 20, "forwarding", "its newest store is not there");
    });
    lamprey::cpu(1, move || {
        let (first, second) = (x.load(Relaxed), x.load(Relaxed));
        lamprey::require!(first <= second, "order", "{first}, then {second}");
        if first == 1 {
            lamprey::mark!("the first is seen");
        }
        if second == 20 {
            lamprey::mark!("the last is seen");
        }
    });
}

/// The last store of a CPU that has ended is seen: a CPU that waits for it ends, too.
#[lamprey::scenario(marks = ["seen"])]
fn stores_outlive_their_thread() {
    let [flag] = words();
    lamprey::cpu(0, move || flag.store(1, Relaxed));
    lamprey::cpu(1, move || {
        while flag.load(Relaxed) == 0 {
            spin_loop();
        }
        lamprey::mark!("seen");
    });
}

/// A CPU that sleeps in HLT still drains: a CPU that waits for its store wakes it up.
#[lamprey::scenario(marks = ["awake"])]
fn a_sleeping_cpu_drains() {
    let [flag] = words();
    lamprey::handler(VECTOR, || {});
    lamprey::cpu(0, move || {
        cli();
        flag.store(1, Relaxed);
        // SAFETY: waits for an interrupt.
        unsafe { asm!("sti", "hlt", options(nostack)) };
        lamprey::mark!("awake");
    });
    lamprey::cpu(1, move || {
        while flag.load(Relaxed) == 0 {
            spin_loop();
        }
        lamprey::send_ipi(0, VECTOR);
    });
}
