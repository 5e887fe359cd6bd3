//! Stacks within stacks, and requests on a stack whose owner waits for them.

use core::arch::{asm, naked_asm};
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use lamprey::paging::USER;

use crate::cpu::load_cr3;
use crate::entry::frame;
use crate::stacks_in_use::{Request, Stack, answer_at, leaf, on_stack, prepare, read, rsp, switch};

const VECTOR: u8 = 40;

static COUNT: AtomicU64 = AtomicU64::new(0);
static FLAG: AtomicU64 = AtomicU64::new(0);
static SLOT: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicU64 = AtomicU64::new(0);
static SECOND: AtomicU64 = AtomicU64::new(0);

/// Runs another CPU, so that a step can end at each access to the count.
fn counting() {
    lamprey::cpu(1, || {
        COUNT.fetch_add(1, SeqCst);
    });
}

/// Counts twice, then switches back, again and again.
extern "C" fn coroutine() -> ! {
    loop {
        let seen = black_box([COUNT.fetch_add(1, SeqCst); 4]);
        let count = COUNT.fetch_add(1, SeqCst);
        // SAFETY: the first stack waits in `switch`.
        unsafe { switch(SECOND.as_ptr(), FIRST.load(Relaxed)) }
        lamprey::require!(seen[2] <= count, "kept", "the second stack holds {}", seen[2]);
    }
}

/// Switches to the coroutine and back, twice.
fn there_and_back(top: u64) {
    // SAFETY: the caller has a stack there.
    unsafe {
        let second = prepare(top, coroutine);
        switch(FIRST.as_ptr(), second);
        COUNT.fetch_add(1, SeqCst);
        switch(FIRST.as_ptr(), SECOND.load(Relaxed));
    }
    lamprey::mark!("back on the first stack");
}

/// A second stack that is a local of the first.
#[lamprey::scenario]
fn second_stack_in_a_local() {
    lamprey::cpu(0, || {
        let mut stack: Stack = [0; 1024];
        let top = &raw const *black_box(&mut stack).last().expect("not empty") as u64;
        there_and_back(top & !15);
        black_box(&mut stack);
    });
    counting();
}

/// A second stack far below the frames of the first.
#[lamprey::scenario]
fn second_stack_below() {
    lamprey::cpu(0, || there_and_back((rsp() - 16384) & !15));
    counting();
}

/// A second stack in memory of its own.
#[lamprey::scenario]
fn second_stack_elsewhere() {
    let top = lamprey::alloc(8192, 16) as u64 + 8192;
    lamprey::cpu(0, move || there_and_back(top));
    counting();
}

/// A generator whose stack is an array of its caller, which keeps locals of its own meanwhile.
#[lamprey::scenario]
fn generator_on_a_local_stack() {
    extern "C" fn body() {
        COUNT.fetch_add(1, SeqCst);
        COUNT.fetch_add(1, SeqCst);
    }
    #[inline(never)]
    fn run(top: u64) -> u64 {
        let (a, b) = (black_box(1u64), black_box(2u64));
        // SAFETY: the caller has a stack there.
        unsafe { on_stack(top, body) };
        a + b
    }
    lamprey::cpu(0, || {
        let mut stack = [0u64; 512];
        let got = run((stack.as_mut_ptr_range().end as u64) & !15);
        black_box(&mut stack);
        lamprey::require!(got == 3, "kept", "{got}");
        lamprey::mark!("back");
    });
    counting();
}

/// Another CPU may use a local of a coroutine below the frames of the first stack as long as it exists.
#[lamprey::scenario]
fn local_of_a_coroutine_below() {
    extern "C" fn hands_out() -> ! {
        let local = AtomicU64::new(7);
        SLOT.store(&raw const local as u64, Release);
        // SAFETY: the first stack waits in `switch`.
        unsafe { switch(SECOND.as_ptr(), FIRST.load(Relaxed)) }
        black_box(&local);
        unreachable!("nobody switches back")
    }
    lamprey::cpu(0, || {
        let top = (rsp() - 16384) & !15;
        // SAFETY: nothing is there.
        unsafe { switch(FIRST.as_ptr(), prepare(top, hands_out)) }
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || {
        let local = SLOT.load(Acquire);
        if local != 0 && COUNT.load(SeqCst) == 1 {
            lamprey::require!(read(local) == 7, "kept", "it is not");
            lamprey::mark!("read");
        }
    });
}

/// Memory at the far end of a stack that was never in a frame is handed to another CPU.
#[lamprey::scenario]
fn never_in_a_frame() {
    lamprey::cpu(0, || {
        SLOT.store((rsp() - 16384) & !15, Release);
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || {
        let place = SLOT.load(Acquire);
        if place != 0 {
            crate::stacks_in_use::write(place, 5);
            COUNT.fetch_add(1, SeqCst);
            lamprey::require!(read(place) == 5, "kept", "{}", read(place));
            lamprey::mark!("used");
        }
    });
}

/// Puts a request of its own into the slot, and waits for it.
#[inline(never)]
fn submit_and_wait() -> u64 {
    let request = Request::default();
    SLOT.store(&raw const request as u64, Release);
    while request.done.load(Acquire) == 0 {}
    request.work.load(Relaxed)
}

/// Answers a request; the last access to it marks it as done.
fn answer(request: u64) {
    // SAFETY: its owner waits for `done`.
    let request = unsafe { &*(request as *const Request) };
    request.work.store(5, Relaxed);
    request.done.store(1, Release);
}

/// A request on the stack of a CPU that waits for it, by another CPU's plain stores.
#[lamprey::scenario]
fn request_is_waited_for() {
    lamprey::cpu(0, || {
        let answer = submit_and_wait();
        lamprey::require!(answer == 5, "answered", "{answer}");
        // The next function's frame is in the same place.
        let answer = black_box([answer; 16]);
        COUNT.fetch_add(answer[7], SeqCst);
        lamprey::mark!("answered");
    });
    lamprey::cpu(1, || {
        let mut request = 0;
        while request == 0 {
            request = SLOT.load(Acquire);
        }
        answer(request);
    });
}

/// The same by a handler on the CPU that waits.
#[lamprey::scenario]
fn request_is_answered_by_a_handler() {
    lamprey::handler(VECTOR, || answer(SLOT.load(Relaxed)));
    lamprey::cpu(0, || {
        let answer = submit_and_wait();
        lamprey::require!(answer == 5, "answered", "{answer}");
        COUNT.fetch_add(1, SeqCst);
        lamprey::mark!("answered");
    });
    lamprey::cpu(1, || {
        while SLOT.load(Acquire) == 0 {}
        lamprey::send_ipi(0, VECTOR);
    });
}

/// A local in the red zone of a leaf function, which another CPU reads while the function waits.
#[lamprey::scenario]
fn local_in_the_red_zone() {
    #[inline(never)]
    fn deep() {
        black_box([1u64; 8]);
    }
    lamprey::cpu(0, || {
        // The memory below was in a frame.
        deep();
        // SAFETY: it follows the ABI.
        unsafe { leaf(SLOT.as_ptr(), COUNT.as_ptr(), 7) }
    });
    lamprey::cpu(1, || {
        let mut local = 0;
        while local == 0 {
            local = SLOT.load(Acquire);
        }
        let found = read(local);
        lamprey::require!(found == 7, "kept", "{found}");
        COUNT.store(1, Release);
        lamprey::mark!("read");
    });
}

/// Page tables in a frame that is gone: walks find its remains.
#[lamprey::scenario]
fn tables_in_a_frame_that_is_gone() {
    #[inline(never)]
    fn enter(page: u64) {
        // Nothing was here before: all other entries are 0. The compiler aligns frames in another way than by
        // making them.
        let mut tables = MaybeUninit::<[u64; 5 * 512]>::uninit();
        let first: *mut u64 = tables.as_mut_ptr().cast();
        let first = first.wrapping_byte_add(first.align_offset(4096) * 8);
        let mut next = page;
        for table in 0..4 {
            let entry = first.wrapping_add(table * 512);
            // SAFETY: four tables fit behind the first boundary of a page.
            unsafe { entry.write(next | USER) };
            next = lamprey::physical_address(entry.cast());
        }
        black_box(&mut tables);
        load_cr3(next);
    }
    lamprey::page_tables(4);
    let page = frame(7).pa();
    lamprey::cpu(0, move || {
        enter(page);
        COUNT.fetch_add(1, SeqCst);
        let got = lamprey::user::read::<u64>(0);
        lamprey::require!(matches!(got, Ok(7)), "mapped", "{got:?}");
        lamprey::mark!("read");
    });
    counting();
}

/// Frames of several sizes, made and left as by `alloca`, leave nothing that distinguishes states.
#[lamprey::scenario]
fn frames_of_any_size() {
    for cpu in 0..2 {
        lamprey::cpu(cpu, || {
            let size = 512 + 64 * lamprey::choose(4);
            // SAFETY: the frame is its own.
            unsafe {
                asm!(
                    "push rbp", "mov rbp, rsp", "sub rsp, {size}", "and rsp, -64",
                    "mov [rsp], {size}", "mov [rsp + 128], {size}", "mov {size}, [rsp + 128]",
                    "mov rsp, rbp", "pop rbp",
                    size = inout(reg) size => _,
                )
            }
            COUNT.fetch_add(1, SeqCst);
            COUNT.fetch_add(1, SeqCst);
            lamprey::mark!("counted");
        });
    }
}

/// Leaves its own stack for that of the interrupted code, below the stack pointer, as if the gate
/// had no IST; hands out a local there, and waits for the answer.
#[unsafe(naked)]
unsafe extern "C" fn goes_on_below() {
    naked_asm!(
        "push rax", "push rbx",
        "mov rbx, rsp", "mov rax, [rsp + 40]", "lea rsp, [rax - 64]",
        "push 1", "mov [rip + {slot}], rsp",
        "2:", "mov rax, [rip + {flag}]", "test rax, rax", "jz 2b",
        "pop rax", "mov [rip + {count}], rax",
        "mov rsp, rbx",
        "pop rbx", "pop rax",
        "iretq",
        slot = sym SLOT, flag = sym FLAG, count = sym COUNT,
    )
}

/// A handler may have frames below the stack pointer, too, for as long as it runs.
#[lamprey::scenario]
fn handler_below_what_it_interrupts() {
    // SAFETY: it restores the registers it uses.
    unsafe { lamprey::raw_handler(VECTOR, goes_on_below) };
    lamprey::cpu(0, || {
        // SAFETY: a frame that comes and goes.
        unsafe { asm!("sub rsp, 256", "add rsp, 256") };
        while FLAG.load(Acquire) == 0 {}
        lamprey::mark!("went on");
    });
    lamprey::cpu(1, || {
        lamprey::send_ipi(0, VECTOR);
        answer_at(&SLOT, &FLAG);
    });
    lamprey::finally(|| lamprey::require_eq!(COUNT.load(Relaxed), 2, "answered", "the local is"));
}
