//! The symbols through which a guest calls Lamprey.
//!
//! Each is a function of two bytes, `ud2`, in a section of its own that the linker script keeps.
//! Lamprey acts when a CPU reaches its address and returns to the caller; the instruction is
//! never executed. A guest that is started on another machine stops there.

use abi::hypercall::{Failure, Hypercall};

/// A handler that finds a frame on its stack.
pub(crate) type RawEntry = unsafe extern "C" fn();

/// A function that `lamprey_cpu` and the other registrations call with its argument.
pub(crate) type Entry = unsafe extern "C" fn(*mut u8);

macro_rules! stubs {
    ($($symbol:literal),* $(,)?) => {
        core::arch::global_asm!(
            ".pushsection .lamprey.hypercall, \"ax\", @progbits",
            $(
                concat!(".globl ", $symbol),
                concat!(".type ", $symbol, ", @function"),
                ".p2align 4, 0xcc",
                concat!($symbol, ":"),
                "ud2",
                concat!(".size ", $symbol, ", . - ", $symbol),
            )*
            ".popsection",
        );

        const SYMBOLS: &[&str] = &[$($symbol),*];
    };
}

stubs! {
    "lamprey_cpu",
    "lamprey_always",
    "lamprey_finally",
    "lamprey_handler",
    "lamprey_raw_handler",
    "lamprey_nmi",
    "lamprey_raw_nmi",
    "lamprey_fixed_clock",
    "lamprey_page_tables",
    "lamprey_frame_free",
    "lamprey_send_ipi",
    "lamprey_send_nmi",
    "lamprey_this_cpu",
    "lamprey_assume",
    "lamprey_choose",
    "lamprey_mark",
    "lamprey_note",
    "lamprey_alloc",
    "lamprey_name",
    "lamprey_name_value",
    "lamprey_name_root",
    "lamprey_cr3",
    "lamprey_cr4",
    "lamprey_interrupts_on",
    "lamprey_user_read",
    "lamprey_user_write",
    "lamprey_user_execute",
    "lamprey_fail",
    "lamprey_return",
}

const _: () = {
    assert!(SYMBOLS.len() == Hypercall::ALL.len(), "a stub for each hypercall");
    let mut index = 0;
    while index < SYMBOLS.len() {
        let (ours, theirs) = (SYMBOLS[index].as_bytes(), Hypercall::ALL[index].symbol().as_bytes());
        assert!(ours.len() == theirs.len(), "stubs in the order of the hypercalls");
        let mut byte = 0;
        while byte < ours.len() {
            assert!(ours[byte] == theirs[byte], "stubs in the order of the hypercalls");
            byte += 1;
        }
        index += 1;
    }
};

// `safe` are those for which every argument is valid: a number out of range ends the run, and a
// text is only read by the host.
unsafe extern "C" {
    pub(crate) fn lamprey_cpu(cpu: u64, entry: Entry, data: *mut u8);
    pub(crate) fn lamprey_always(entry: Entry, data: *mut u8);
    pub(crate) fn lamprey_finally(entry: Entry, data: *mut u8);
    pub(crate) fn lamprey_handler(vector: u64, entry: Entry, data: *mut u8);
    pub(crate) fn lamprey_raw_handler(vector: u64, entry: RawEntry);
    pub(crate) fn lamprey_nmi(budget: u64, entry: Entry, data: *mut u8);
    pub(crate) fn lamprey_raw_nmi(budget: u64, entry: RawEntry);
    pub(crate) safe fn lamprey_fixed_clock(ticks: u64);
    pub(crate) safe fn lamprey_page_tables(levels: u64);
    pub(crate) safe fn lamprey_frame_free(pa: u64);
    pub(crate) safe fn lamprey_send_ipi(cpu: u64, vector: u64);
    pub(crate) safe fn lamprey_send_nmi(cpu: u64);
    pub(crate) safe fn lamprey_this_cpu() -> u64;
    pub(crate) safe fn lamprey_assume(condition: u64);
    pub(crate) safe fn lamprey_choose(n: u64) -> u64;
    pub(crate) fn lamprey_mark(text: *const u8, len: usize);
    pub(crate) fn lamprey_note(text: *const u8, len: usize);
    pub(crate) fn lamprey_alloc(size: usize, align: usize) -> *mut u8;
    pub(crate) fn lamprey_name(
        object: *const u8,
        size: usize,
        name: *const u8,
        name_len: usize,
        type_name: *const u8,
        type_name_len: usize,
    );
    pub(crate) fn lamprey_name_value(value: u64, name: *const u8, name_len: usize);
    pub(crate) fn lamprey_name_root(pa: u64, name: *const u8, name_len: usize);
    pub(crate) safe fn lamprey_cr3(cpu: u64) -> u64;
    pub(crate) safe fn lamprey_cr4(cpu: u64) -> u64;
    pub(crate) safe fn lamprey_interrupts_on(cpu: u64) -> u64;
    pub(crate) fn lamprey_user_read(pointer: u64, size: u64, value: *mut u64) -> u64;
    pub(crate) safe fn lamprey_user_write(pointer: u64, size: u64, value: u64) -> u64;
    pub(crate) safe fn lamprey_user_execute(pointer: u64) -> u64;
    pub(crate) fn lamprey_fail(failure: *const Failure) -> !;
}
