//! The memory below a stack pointer: it keeps its value, and no other code uses it.

use core::arch::{asm, naked_asm};
use core::hint::black_box;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::cpu::x2apic_send;
use crate::stacks_in_use::{
    Request, Stack, answer_at, leaf, leave_behind, read, uninitialised, write,
};

const VECTOR: u8 = 40;

static COUNT: AtomicU64 = AtomicU64::new(0);
static SLOT: AtomicU64 = AtomicU64::new(0);
static FLAG: AtomicU64 = AtomicU64::new(0);

/// Runs another CPU, so that a step can end at each access to the count.
fn counting() {
    lamprey::cpu(1, || {
        COUNT.fetch_add(1, SeqCst);
    });
}

static BACK: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static POPPED: AtomicU64 = AtomicU64::new(0);

/// Goes back to the frame of [`jump_into`].
extern "C" fn on_the_other_stack() -> ! {
    COUNT.fetch_add(1, SeqCst);
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: as `longjmp`: that frame still exists.
    unsafe {
        asm!(
            "mov rsp, {}", "jmp {}",
            in(reg) BACK[0].load(Relaxed), in(reg) BACK[1].load(Relaxed), options(noreturn),
        )
    }
}

/// Keeps `value` on its stack while it runs the other function on a stack inside that stack.
#[inline(never)]
fn jump_into(stack: &mut Stack, value: u64) -> u64 {
    let top = (&raw const stack[1020] as u64) & !15;
    // SAFETY: it returns with its stack as it was; the rest is clobbered.
    unsafe {
        asm!(
            "push rcx",
            "lea rax, [rip + 2f]", "mov [rdx + 8], rax", "mov [rdx], rsp",
            "mov rsp, rsi", "sub rsp, 8", "jmp {f}",
            "2:", "pop rcx", "mov [rip + {popped}], rcx",
            f = sym on_the_other_stack, popped = sym POPPED,
            in("rcx") value, in("rdx") BACK.as_ptr(), in("rsi") top,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, clobber_abi("C"),
        )
    }
    POPPED.load(Relaxed)
}

/// The memory above a second stack that is a local array is live while that is in use.
#[lamprey::scenario(finds = "one")]
fn pushed_before_a_jump_onto_a_local_stack() {
    lamprey::cpu(0, || {
        let mut stack = [0u64; 1024];
        let value = jump_into(black_box(&mut stack), COUNT.load(SeqCst));
        lamprey::require!(value != 1, "one", "{value} came back");
    });
    counting();
}

/// Lets the next function read the frame of one that has returned, two steps later.
fn uninitialised_is(bad: u64) {
    lamprey::cpu(0, move || {
        let at = leave_behind(lamprey::choose(3));
        COUNT.fetch_add(1, SeqCst);
        COUNT.fetch_add(1, SeqCst);
        let found = uninitialised(at);
        lamprey::require!(found != bad, "left", "{found} is left");
    });
    counting();
}

/// The first value that may be there.
#[lamprey::scenario(finds = "left")]
fn uninitialised_is_0() {
    uninitialised_is(0);
}

/// The second.
#[lamprey::scenario(finds = "left")]
fn uninitialised_is_1() {
    uninitialised_is(1);
}

/// The third.
#[lamprey::scenario(finds = "left")]
fn uninitialised_is_2() {
    uninitialised_is(2);
}

/// Four bytes of a word are written again, and all of it is read.
#[lamprey::scenario(finds = "left")]
fn half_initialised() {
    lamprey::cpu(0, || {
        let at = leave_behind((5 + lamprey::choose(2)) << 32);
        COUNT.fetch_add(1, SeqCst);
        COUNT.fetch_add(1, SeqCst);
        // SAFETY: an address of this stack that no other code uses.
        unsafe { asm!("mov dword ptr [{}], 7", in(reg) at, options(nostack)) }
        let found = read(at);
        lamprey::require!(found != 6 << 32 | 7, "left", "{found:#x} is there");
    });
    counting();
}

/// A final check reads the remains of a frame that is gone.
#[lamprey::scenario(finds = "left")]
fn left_for_a_final_check() {
    lamprey::cpu(0, || {
        SLOT.store(leave_behind(lamprey::choose(3)), Relaxed);
        COUNT.fetch_add(1, SeqCst);
    });
    counting();
    lamprey::finally(|| {
        let found = read(SLOT.load(Relaxed));
        lamprey::require!(found != 2, "left", "{found} is left");
    });
}

/// An invariant reads the remains, which a state that was seen before must not hide.
#[lamprey::scenario(finds = "left")]
fn left_for_an_invariant() {
    lamprey::cpu(0, || {
        SLOT.store(leave_behind(lamprey::choose(3)), Relaxed);
        COUNT.fetch_add(1, SeqCst);
        COUNT.fetch_add(1, SeqCst);
        FLAG.store(1, Relaxed);
    });
    counting();
    lamprey::always(|| {
        if FLAG.load(Relaxed) == 1 {
            let found = read(SLOT.load(Relaxed));
            lamprey::require!(found != 2, "left", "{found} is left");
        }
    });
}

/// The last store of a function is to a local that an invariant reads: the invariant sees it, even
/// if the frame goes before the step ends.
#[lamprey::scenario(finds = "left")]
fn last_store_of_a_frame() {
    #[inline(never)]
    fn leaves() {
        let mut frame = [0u64; 128];
        black_box(&mut frame);
        let at = &raw const frame[8] as u64;
        SLOT.store(at, Relaxed);
        COUNT.fetch_add(1, SeqCst);
        // SAFETY: a word of the frame. At once, past the store buffer.
        unsafe { (*(at as *const AtomicU64)).swap(2, SeqCst) };
    }
    lamprey::cpu(0, || {
        leaves();
        SLOT.store(0, Relaxed);
    });
    counting();
    lamprey::always(|| {
        let at = SLOT.load(Relaxed);
        if at != 0 {
            let found = read(at);
            lamprey::require!(found != 2, "left", "{found} is left");
        }
    });
}

/// Puts a request of its own into the slot, and does not wait.
#[inline(never)]
fn submit() {
    let request = Request::default();
    request.work.store(7, Relaxed);
    SLOT.store(&raw const request as u64, Release);
    black_box(&request);
}

/// Lets CPU 1 run the request that it finds.
fn serve() {
    lamprey::cpu(1, || {
        let request = SLOT.load(Acquire);
        if request != 0 {
            lamprey::mark!("served");
            read(request);
        }
    });
}

/// The owner of a request on its stack returns without waiting for it.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn request_after_return() {
    lamprey::cpu(0, || {
        submit();
        COUNT.fetch_add(1, SeqCst);
    });
    serve();
}

/// The same, and the CPU ends after it.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn request_after_the_end() {
    lamprey::cpu(0, submit);
    serve();
}

/// The next function has its frame in the same place before the CPU does anything that others see.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn gone_and_made_again() {
    #[inline(never)]
    fn next() {
        let request = Request::default();
        black_box(&request);
        COUNT.fetch_add(1, SeqCst);
    }
    lamprey::cpu(0, || {
        submit();
        next();
    });
    serve();
}

/// The owner moves to another stack, with nothing between that others see.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn gone_before_a_switch() {
    extern "C" fn body() {
        COUNT.fetch_add(1, SeqCst);
    }
    let stack = lamprey::alloc(8192, 16) as u64 + 8192;
    lamprey::cpu(0, move || {
        submit();
        // SAFETY: a stack that no other code uses.
        unsafe { crate::stacks_in_use::on_stack(stack, body) };
    });
    serve();
}

/// A buffer that the owner itself never touches is filled when it is gone.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn filled_too_late() {
    #[inline(never)]
    fn ask() {
        let buffer = core::mem::MaybeUninit::<[u64; 8]>::uninit();
        SLOT.store(buffer.as_ptr() as u64 + 32, Release);
        black_box(&buffer);
    }
    lamprey::cpu(0, || {
        ask();
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || {
        let buffer = SLOT.load(Acquire);
        if buffer != 0 {
            write(buffer, 1);
        }
    });
}

/// A local in the red zone of a leaf function that does not wait for its reader.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn local_of_a_leaf_function() {
    // SAFETY: it follows the ABI.
    lamprey::cpu(0, || unsafe { leaf(SLOT.as_ptr(), FLAG.as_ptr(), 7) });
    serve();
    lamprey::cpu(2, || FLAG.store(1, Release));
}

/// A handler on the same CPU runs the request.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn request_by_a_handler() {
    lamprey::handler(VECTOR, || {
        let request = SLOT.load(Relaxed);
        if request != 0 {
            read(request);
        }
    });
    lamprey::cpu(0, || {
        submit();
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A handler stores to the frame that is gone.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn answer_by_a_handler() {
    lamprey::handler(VECTOR, || {
        let request = SLOT.load(Relaxed);
        if request != 0 {
            write(request, 1);
        }
    });
    lamprey::cpu(0, || {
        submit();
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// A handler hands out a local of its own; the thread that it interrupted reads it.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn local_of_a_handler() {
    lamprey::handler(VECTOR, || {
        let local = AtomicU64::new(7);
        SLOT.store(&raw const local as u64, Relaxed);
        black_box(&local);
    });
    lamprey::cpu(0, || {
        COUNT.fetch_add(1, SeqCst);
        let local = SLOT.load(Relaxed);
        if local != 0 {
            read(local);
        }
    });
    lamprey::cpu(1, || lamprey::send_ipi(0, VECTOR));
}

/// Hands out the address of its frame.
#[unsafe(naked)]
unsafe extern "C" fn hands_out_its_frame() {
    naked_asm!("mov [rip + {slot}], rsp", "iretq", slot = sym SLOT)
}

/// The frame of a raw handler is read after its IRETQ.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn frame_of_a_raw_handler() {
    // SAFETY: it uses no register.
    unsafe { lamprey::raw_nmi(1, hands_out_its_frame) };
    lamprey::cpu(0, || {
        COUNT.fetch_add(1, SeqCst);
    });
    lamprey::cpu(1, || {
        let frame = SLOT.load(Acquire);
        if frame != 0 {
            read(frame + 16);
        }
    });
}

/// An answer is still in the store buffer when an IPI that overtakes it lets the owner return.
// only: tso
#[lamprey::scenario(finds = "stack-use-after-return")]
fn answer_in_the_store_buffer() {
    lamprey::handler(VECTOR, || FLAG.store(1, Relaxed));
    lamprey::cpu(0, || {
        submit_and_wait();
        COUNT.fetch_add(1, SeqCst);
    });
    #[inline(never)]
    fn submit_and_wait() {
        let request = Request::default();
        SLOT.store(&raw const request as u64, Release);
        while FLAG.load(Relaxed) == 0 {}
        black_box(&request);
    }
    lamprey::cpu(1, || {
        let mut request = 0;
        while request == 0 {
            request = SLOT.load(Acquire);
        }
        write(request, 1);
        x2apic_send(0, VECTOR);
    });
}

/// Hands out a local below the stack pointer of the interrupted code, and does not wait.
#[unsafe(naked)]
unsafe extern "C" fn leaves_a_local_below() {
    naked_asm!(
        "push rax",
        "mov rax, [rsp + 32]", "sub rax, 64",
        "mov qword ptr [rax], 1", "mov [rip + {slot}], rax",
        "pop rax",
        "iretq",
        slot = sym SLOT,
    )
}

/// A local of a handler below the stack pointer of the interrupted code is gone when the handler returns.
#[lamprey::scenario(finds = "stack-use-after-return")]
fn local_below_what_is_interrupted() {
    // SAFETY: it restores RAX, the only register it uses.
    unsafe { lamprey::raw_handler(VECTOR, leaves_a_local_below) };
    lamprey::cpu(0, || {
        // SAFETY: a frame that comes and goes.
        unsafe { asm!("sub rsp, 256", "add rsp, 256") };
        while FLAG.load(Acquire) == 0 {}
    });
    lamprey::cpu(1, || {
        lamprey::send_ipi(0, VECTOR);
        answer_at(&SLOT, &FLAG);
    });
}
