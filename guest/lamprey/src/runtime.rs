//! The symbols that the compiler and the linker expect of a program without operating system.
//!
//! The memory functions are plain loops, a word at a time where both sides are aligned. Their
//! accesses are volatile: otherwise the compiler recognises each loop as the function it is in, and
//! calls it.

use core::arch::global_asm;
use core::ptr;

// The image's entry point. Nothing starts there: Lamprey calls scenarios through their table.
global_asm!(
    ".pushsection .text.lamprey_entry, \"ax\", @progbits",
    ".globl lamprey_entry",
    ".type lamprey_entry, @function",
    "lamprey_entry: ud2",
    ".size lamprey_entry, . - lamprey_entry",
    ".popsection",
    // The target and the optimisation level of the guest, in a section that the linker keeps.
    ".pushsection .lamprey.built, \"a\", @progbits",
    concat!(
        ".ascii \"",
        env!("LAMPREY_TARGET_BUILT_FOR"),
        " at opt-level ",
        env!("LAMPREY_OPT_LEVEL"),
        "\""
    ),
    ".popsection",
);

/// The personality routine of the precompiled `core`; with `panic = "abort"` it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

const WORD: usize = size_of::<u64>();

/// Returns whether an address or a length is a multiple of a word.
fn aligned(number: usize) -> bool {
    number.is_multiple_of(WORD)
}

/// Copies upwards: correct for `to <= from` and for areas that do not overlap.
///
/// # Safety
///
/// `len` bytes can be read at `from` and written at `to`.
unsafe fn copy_up(to: *mut u8, from: *const u8, len: usize) {
    let mut done = 0;
    if aligned(to.addr() | from.addr()) {
        while len - done >= WORD {
            // SAFETY: `done + WORD <= len`, and both are aligned.
            unsafe { move_one::<u64>(to.add(done), from.add(done)) };
            done += WORD;
        }
    }
    while done < len {
        // SAFETY: `done < len`.
        unsafe { move_one::<u8>(to.add(done), from.add(done)) };
        done += 1;
    }
}

/// Copies downwards: correct for `to >= from`.
///
/// # Safety
///
/// As [`copy_up`].
unsafe fn copy_down(to: *mut u8, from: *const u8, len: usize) {
    let mut left = len;
    if aligned(to.addr() | from.addr()) {
        while !aligned(left) {
            left -= 1;
            // SAFETY: `left < len`.
            unsafe { move_one::<u8>(to.add(left), from.add(left)) };
        }
        while left != 0 {
            left -= WORD;
            // SAFETY: `left + WORD <= len`, and all three are multiples of a word.
            unsafe { move_one::<u64>(to.add(left), from.add(left)) };
        }
    }
    while left != 0 {
        left -= 1;
        // SAFETY: `left < len`.
        unsafe { move_one::<u8>(to.add(left), from.add(left)) };
    }
}

/// # Safety
///
/// `from` can be read and `to` written as a `T`; both are aligned to it.
#[inline(always)]
unsafe fn move_one<T>(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's contract.
    unsafe { ptr::write_volatile(to.cast::<T>(), ptr::read_volatile(from.cast::<T>())) };
}

/// # Safety
///
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's contract; the two do not overlap.
    unsafe { copy_up(to, from, len) };
    to
}

/// # Safety
///
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: the caller's contract, and upwards is correct here.
        unsafe { copy_up(to, from, len) };
    } else {
        // SAFETY: the caller's contract, and downwards is correct here.
        unsafe { copy_down(to, from, len) };
    }
    to
}

/// # Safety
///
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // C takes the low byte.
    let byte = byte as u8;
    let word = u64::from_ne_bytes([byte; WORD]);
    let mut done = 0;
    if aligned(to.addr()) {
        while len - done >= WORD {
            // SAFETY: `done + WORD <= len`, and the place is aligned.
            unsafe { ptr::write_volatile(to.add(done).cast::<u64>(), word) };
            done += WORD;
        }
    }
    while done < len {
        // SAFETY: `done < len`.
        unsafe { ptr::write_volatile(to.add(done), byte) };
        done += 1;
    }
    to
}

/// # Safety
///
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    for index in 0..len {
        // SAFETY: `index < len`.
        let (l, r) =
            unsafe { (ptr::read_volatile(left.add(index)), ptr::read_volatile(right.add(index))) };
        if l != r {
            return i32::from(l) - i32::from(r);
        }
    }
    0
}

/// # Safety
///
/// As `memcmp`; only whether the result is 0 matters.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { memcmp(left, right, len) }
}
