//! Maskable interrupts, exceptions and software interrupts on one CPU: the moment of delivery, and
//! the state that the handler finds (SDM vol. 3 §6.8, §6.12, §6.14, §10.8).

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::apic::{self, To};
use crate::labels::{
    Label, address, after_hlt, after_popf, op_divide, op_int, op_int_trap, op_int3, op_read,
    op_skewed, op_ud, popf_window, ss_sti_cli, sti_cli, sti_hlt_cli, sti_nop_cli, sti_ss_cli,
    sti_ss_then_cli, sti_ss_twice_cli, sti_twice_cli, user_int_closed,
};
use crate::tables::{cpu_of, stack_top};
use crate::trap::{Frame, Trap};
use crate::{cpu, ipi, log, print, println, probe};

/// A vector whose handler lets others interrupt it.
const OPEN: u64 = 0x62;
/// A vector taken inside it.
const ABOVE: u32 = 0x71;
/// A vector that waits for its end.
const BELOW: u32 = 0x51;
const IF: u64 = 1 << 9;

/// The vectors in service after the end of the upper of two handlers: bit 1 the upper, bit 0 the lower.
static IN_SERVICE: AtomicU64 = AtomicU64::new(0);

/// Handles vectors 40H to 7FH.
pub(crate) fn handle(frame: &Frame, rflags: u64) {
    if cpu_of((&raw const *frame).addr() as u64) == 1 {
        ipi::handle(frame.vector);
        return apic::end();
    }
    log::note([frame.vector, frame.rip, rflags & IF]);
    ipi::count(0, frame.vector);
    if frame.vector == OPEN {
        apic::send(To::Me, BELOW);
        apic::send(To::Me, ABOVE);
        while log::taken() < 2 || !apic::is_requested(BELOW) {}
        log::note([0, 0, 0]);
        let left = [ABOVE, OPEN as u32].map(|vector| u64::from(apic::is_in_service(vector)));
        IN_SERVICE.store(left[0] << 1 | left[1], Relaxed);
        // After the end BELOW arrives, on the stack that this handler is on.
        cpu::interrupts_off();
    }
    apic::end();
}

/// Runs a window of `trap.s` with `vectors` pending.
fn window(label: Label, vectors: &[u32]) {
    log::forget();
    for &vector in vectors {
        apic::request(vector);
    }
    let _ = probe::run(label, 0, 0);
}

/// Takes the interrupts that are left over.
fn drain() {
    let _ = probe::run(sti_nop_cli, 0, 0);
}

pub(crate) fn run() {
    windows();
    priorities();
    gates();
    frames();
}

fn windows() {
    log::forget();
    apic::request(0x41);
    print!("int/if-off:");
    log::print();
    drain();
    print!("int/if-on:");
    log::print();
    window(sti_cli, &[0x41]);
    print!("int/sti-cli:");
    log::print();
    drain();
    window(sti_hlt_cli, &[0x41]);
    print!("int/sti-hlt: after-hlt={}", log::returned_to() == address(after_hlt));
    log::print();
    window(popf_window, &[0x41]);
    print!("int/popf: after-popf={}", log::returned_to() == address(after_popf));
    log::print();
    window(sti_ss_cli, &[0x41]);
    print!("int/sti-mov-ss:");
    log::print();
    for (name, label) in [
        ("sti-mov-ss-cli", sti_ss_then_cli as Label),
        ("mov-ss-sti-cli", ss_sti_cli),
        ("sti-sti-cli", sti_twice_cli),
        ("sti-mov-ss-twice-cli", sti_ss_twice_cli),
    ] {
        window(label, &[0x41]);
        print!("int/{name}:");
        log::print();
        drain();
    }
}

fn priorities() {
    window(sti_nop_cli, &[0x41, 0x41, 0x41]);
    print!("int/equal-vectors:");
    log::print();
    window(sti_nop_cli, &[0x41, 0x52, 0x43]);
    print!("int/order:");
    log::print();
    cpu::write_cr8(5);
    window(sti_nop_cli, &[0x52, 0x63]);
    print!("int/cr8-5:");
    log::print();
    cpu::write_cr8(0);
    drain();
    print!("int/cr8-0:");
    log::print();
    window(sti_nop_cli, &[OPEN as u32]);
    print!("int/in-service:");
    log::print();
    let left = IN_SERVICE.load(Relaxed);
    println!("int/eoi: above={} below={}", left >> 1, left & 1);
}

fn gates() {
    let inside = |label| probe::run(label, 0, 0).map_or(0, |trap: Trap| trap.inside.0 & IF);
    cpu::interrupts_on();
    println!("int/interrupt-gate-if: {:x}", inside(op_int));
    println!("int/trap-gate-if: {:x}", inside(op_int_trap));
    cpu::interrupts_off();
}

/// Prints the frame that the handler of a trap finds, taken at CPL 0 and CPL 3.
fn frames() {
    let cases: [(&str, Label, u64); 6] = [
        ("ud", op_ud, address(op_ud)),
        ("bp", op_int3, address(op_int3)),
        ("de", op_divide, address(op_divide)),
        ("gp", op_read, address(op_read)),
        ("int-84", op_int, address(op_int)),
        ("int-82", op_int_trap, address(op_int_trap)),
    ];
    for (name, label, start) in cases {
        let trap = probe::run(label, 0x8000_0000_0000, 0).expect("it traps");
        print!("frame/{name}: rip+{:x}", trap.rip - start);
        frame(&trap);
    }
    let trap = probe::run_user(user_int_closed, 0).expect("it traps");
    print!("frame/cpl3-gp: rip+{:x} rsp={:x}", trap.rip & 0xfff, trap.rsp);
    frame(&trap);
    // RSP is aligned to 16 before the frame is pushed, unless the IST gives a stack.
    for skew in [0, 1, 8, 15] {
        let rsp = stack_top(0, 4) - 0x100 + skew;
        let trap = probe::run(op_skewed, rsp, 0).expect("it traps");
        let below = stack_top(0, 4) - 0x100 - trap.at;
        println!("frame/skew-{skew}: at=-{below:x} rsp={}", trap.rsp == rsp);
    }
}

/// Prints a frame without RF: a fault sets it in the image, and models without debug exceptions
/// need not.
fn frame(trap: &Trap) {
    let depth = stack_top(0, 1) - trap.at;
    print!(" v={} code={:x} cs={:x} ss={:x}", trap.vector, trap.code, trap.cs, trap.ss);
    println!(" rflags={:x} at=-{depth:x} ss-inside={:x}", trap.rflags & 0x7700 | 2, trap.inside.1);
}
