//! The local APIC of a CPU, by MSRs on an x2APIC, else in memory (SDM vol. 3 §10.4, §10.12).

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use crate::cpu::{self, Feature};

const APIC_BASE: u32 = 0x1b;
const X2APIC: u64 = 1 << 10;
const ENABLED: u64 = 1 << 11;
const MEMORY: u64 = 0xfee0_0000;

/// Registers by their offset in memory, divided by 16.
const ID: u32 = 0x02;
const EOI: u32 = 0x0b;
const SPURIOUS: u32 = 0x0f;
const IN_SERVICE: u32 = 0x10;
const REQUESTED: u32 = 0x20;
const COMMAND: u32 = 0x30;
const COMMAND_HIGH: u32 = 0x31;
const LINT0: u32 = 0x35;

const SOFTWARE_ENABLED: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const SENDING: u32 = 1 << 12;
const ASSERT: u32 = 1 << 14;

/// Delivery modes of the interrupt command register.
const NMI: u32 = 4 << 8;
const INIT: u32 = 5 << 8;
const STARTUP: u32 = 6 << 8;

/// The destination of an IPI.
#[derive(Clone, Copy)]
pub(crate) enum To {
    Cpu(usize),
    Me,
    All,
    Others,
}

static BY_MSR: AtomicBool = AtomicBool::new(false);
/// Identifiers of the CPUs.
static IDS: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
/// The number of CPUs that run.
static PRESENT: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
}

fn read(register: u32) -> u32 {
    if BY_MSR.load(Relaxed) {
        return cpu::rdmsr(0x800 + register) as u32;
    }
    // SAFETY: mapped one to one, and present on every processor.
    unsafe { ((MEMORY + 16 * u64::from(register)) as *const u32).read_volatile() }
}

fn write(register: u32, value: u32) {
    if BY_MSR.load(Relaxed) {
        return cpu::wrmsr(0x800 + register, value.into());
    }
    // SAFETY: as for `read`.
    unsafe { ((MEMORY + 16 * u64::from(register)) as *mut u32).write_volatile(value) }
}

/// Enables the APIC of this CPU, and records this CPU.
pub(crate) fn enable(number: usize) {
    if cpu::has(Feature::X2apic) {
        let base = cpu::rdmsr(APIC_BASE);
        if base & X2APIC == 0 {
            cpu::wrmsr(APIC_BASE, base | ENABLED | X2APIC);
        }
        BY_MSR.store(true, Relaxed);
    }
    write(SPURIOUS, SOFTWARE_ENABLED | 0xff);
    let id = if BY_MSR.load(Relaxed) { read(ID) } else { read(ID) >> 24 };
    IDS[number].store(id, Relaxed);
    PRESENT.fetch_add(1, SeqCst);
}

/// Starts CPU 1, and masks the devices that firmware may have left on.
pub(crate) fn start_the_other() {
    for port in [0x21, 0xa1] {
        cpu::port_out(port, 0xff);
    }
    write(LINT0, MASKED);
    let from = &raw const ap_trampoline;
    let length = (&raw const ap_trampoline_end).addr() - from.addr();
    for i in 0..length {
        // SAFETY: low memory that nothing uses; the source is in the image.
        unsafe { (0x8000 as *mut u8).add(i).write_volatile(from.add(i).read_volatile()) };
    }
    command(To::Others, INIT | ASSERT);
    pause(1_000_000);
    command(To::Others, STARTUP | ASSERT | 8);
    pause(1_000_000);
    if PRESENT.load(SeqCst) < 2 {
        command(To::Others, STARTUP | ASSERT | 8);
    }
}

/// Waits until CPU 1 runs.
pub(crate) fn wait_for_the_other() {
    while PRESENT.load(SeqCst) < 2 {
        core::hint::spin_loop();
    }
}

fn pause(times: u32) {
    for _ in 0..times {
        core::hint::spin_loop();
    }
}

fn command(to: To, mode: u32) {
    let (shorthand, destination) = match to {
        To::Cpu(number) => (0, IDS[number].load(Relaxed)),
        To::Me => (1, 0),
        To::All => (2, 0),
        To::Others => (3, 0),
    };
    let low = mode | shorthand << 18;
    if BY_MSR.load(Relaxed) {
        cpu::wrmsr(0x800 + COMMAND, u64::from(destination) << 32 | u64::from(low));
        return;
    }
    write(COMMAND_HIGH, destination << 24);
    write(COMMAND, low);
    while read(COMMAND) & SENDING != 0 {}
}

/// Sends a fixed interrupt.
pub(crate) fn send(to: To, vector: u32) {
    command(to, ASSERT | vector);
}

/// Sends an NMI. No shorthand sends it to this CPU.
pub(crate) fn send_nmi(to: To) {
    command(to, ASSERT | NMI);
}

/// Ends the interrupt in service.
pub(crate) fn end() {
    write(EOI, 0);
}

/// Returns whether `vector` is pending on this CPU and not yet in service.
pub(crate) fn is_requested(vector: u32) -> bool {
    read(REQUESTED + vector / 32) >> (vector % 32) & 1 == 1
}

/// Returns whether `vector` is in service on this CPU: taken, and not ended yet.
pub(crate) fn is_in_service(vector: u32) -> bool {
    read(IN_SERVICE + vector / 32) >> (vector % 32) & 1 == 1
}

/// Sends to this CPU, and waits until it is pending. Interrupts must be off, or blocked by
/// priority.
pub(crate) fn request(vector: u32) {
    send(To::Me, vector);
    while !is_requested(vector) {}
}
