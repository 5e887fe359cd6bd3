//! RFLAGS: bit positions, the results of arithmetic, and the conditions that test them.
//!
//! SDM vol. 1 §3.4.3. Flags are computed eagerly: a carry-out vector gives CF, OF and AF of an
//! addition or subtraction of any width with one shift each.

use crate::num::{low8, mask, msb};

/// Carry.
pub const CF: u64 = 1 << 0;
/// Bit 1 reads as one.
pub const FIXED: u64 = 1 << 1;
/// Parity of the low byte of the result.
pub const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub const AF: u64 = 1 << 4;
/// Zero.
pub const ZF: u64 = 1 << 6;
/// Sign.
pub const SF: u64 = 1 << 7;
/// Single-step trap.
pub const TF: u64 = 1 << 8;
/// Interrupt enable.
pub const IF: u64 = 1 << 9;
/// Direction of string instructions.
pub const DF: u64 = 1 << 10;
/// Signed overflow.
pub const OF: u64 = 1 << 11;
/// I/O privilege level, two bits.
pub const IOPL: u64 = 3 << 12;
/// Nested task.
pub const NT: u64 = 1 << 14;
/// Resume.
pub const RF: u64 = 1 << 16;
/// Virtual-8086 mode.
pub const VM: u64 = 1 << 17;
/// Alignment check, and SMAP override.
pub const AC: u64 = 1 << 18;
/// Virtual interrupt flag.
pub const VIF: u64 = 1 << 19;
/// Virtual interrupt pending.
pub const VIP: u64 = 1 << 20;
/// CPUID present.
pub const ID: u64 = 1 << 21;

/// The six status flags.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// Returns SF, ZF and PF of a `size`-byte result.
#[inline]
pub(crate) const fn szp(result: u64, size: u8) -> u64 {
    let result = result & mask(size);
    let zero = if result == 0 { ZF } else { 0 };
    let parity = if low8(result).count_ones() & 1 == 0 { PF } else { 0 };
    zero | parity | (msb(result, size) << 7)
}

/// Returns `flag` if `condition`, else 0.
#[inline]
pub(crate) const fn when(condition: bool, flag: u64) -> u64 {
    if condition { flag } else { 0 }
}

/// Returns CF, OF and AF for a vector of the carries (or borrows) out of each bit.
#[inline]
const fn from_carries(carries: u64, size: u8) -> u64 {
    let carry = msb(carries, size);
    // The carry into the top bit is the carry out of the bit below it.
    let into = msb(carries << 1, size);
    carry | ((carries << 1) & AF) | ((carry ^ into) << 11)
}

/// Returns `a + b + carry` and its status flags; operands zero-extended from `size` bytes.
#[inline]
pub(crate) const fn add(a: u64, b: u64, carry: u64, size: u8) -> (u64, u64) {
    let result = a.wrapping_add(b).wrapping_add(carry);
    let carries = (a & b) | ((a | b) & !result);
    (result & mask(size), from_carries(carries, size) | szp(result, size))
}

/// Returns `a - b - borrow` and its status flags; operands zero-extended from `size` bytes.
#[inline]
pub(crate) const fn sub(a: u64, b: u64, borrow: u64, size: u8) -> (u64, u64) {
    let result = a.wrapping_sub(b).wrapping_sub(borrow);
    let borrows = (!a & b) | ((!a | b) & result);
    (result & mask(size), from_carries(borrows, size) | szp(result, size))
}

/// Replaces the flags in `which` by those in `values`.
#[inline]
pub(crate) const fn replace(rflags: u64, which: u64, values: u64) -> u64 {
    (rflags & !which) | (values & which)
}

/// Evaluates the condition `code` (the low four bits of the Jcc opcode, SDM vol. 2 appendix
/// B.1.4.7).
#[inline]
pub(crate) const fn condition(rflags: u64, code: u8) -> bool {
    let holds = match code >> 1 {
        0 => rflags & OF != 0,
        1 => rflags & CF != 0,
        2 => rflags & ZF != 0,
        3 => rflags & (CF | ZF) != 0,
        4 => rflags & SF != 0,
        5 => rflags & PF != 0,
        6 => less(rflags),
        _ => less(rflags) || rflags & ZF != 0,
    };
    holds != (code & 1 == 1)
}

/// Returns whether SF differs from OF.
#[inline]
const fn less(rflags: u64) -> bool {
    ((rflags >> 7) ^ (rflags >> 11)) & 1 != 0
}
