//! Shifts and rotates (SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
//!
//! A count of 0 after masking changes no flag. Among the flags that a greater count leaves
//! undefined, CF of a SHL or SHR by at least the operand size is the last bit shifted out; the
//! others are cleared.

use super::access::{get, modify, put, read};
use crate::Regs;
use crate::env::Env;
use crate::flags::{CF, OF, STATUS, replace, szp, when};
use crate::num::{low8, mask, msb, sign_extend};
use crate::op::{Kind, Op, Operand};

/// Masks a count to 5 bits, 6 for 64-bit operands.
#[inline]
fn masked(count: u64, size: u8) -> u32 {
    u32::from(low8(count)) & if size == 8 { 63 } else { 31 }
}

/// Returns the count operand: CL, an immediate, or the constant 1.
#[inline]
fn count_of(op: &Op, operand: Operand, regs: &Regs) -> u32 {
    masked(get(op, operand, 1, regs), op.size)
}

#[inline]
fn bit(value: u64, index: u32) -> u64 {
    if index < 64 { (value >> index) & 1 } else { 0 }
}

/// Executes SHL, SHR, SAR.
#[inline]
pub(super) fn shift<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let count = count_of(op, op.src, regs);
    modify(op, regs, env, |a, rflags| {
        if count == 0 {
            return (a, rflags);
        }
        let size = op.size;
        let width = 8 * u32::from(size);
        let (result, carry, overflow) = match op.kind {
            Kind::Shl => {
                let carry = if count <= width { bit(a, width - count) } else { 0 };
                let result = a << count;
                (result, carry, carry ^ msb(result, size))
            }
            Kind::Shr => (a >> count, bit(a, count - 1), msb(a, size)),
            _ => {
                let wide = sign_extend(a, size).cast_signed();
                let carry = (wide >> (count - 1)).cast_unsigned() & 1;
                ((wide >> count).cast_unsigned(), carry, 0)
            }
        };
        let overflow = when(count == 1 && overflow == 1, OF);
        (result, replace(rflags, STATUS, carry | overflow | szp(result, size)))
    })
}

/// Executes ROL, ROR, RCL, RCR: only CF and OF change.
pub(super) fn rotate<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let count = count_of(op, op.src, regs);
    modify(op, regs, env, |a, rflags| {
        if count == 0 {
            return (a, rflags);
        }
        let size = op.size;
        let width = 8 * u32::from(size);
        let (result, carry) = match op.kind {
            Kind::Rol => {
                let result = rotated(u128::from(a), width, count % width);
                (result, result & 1)
            }
            Kind::Ror => {
                let result = rotated(u128::from(a), width, width - count % width);
                (result, u128::from(msb(crate::num::low64(result), size)))
            }
            _ => {
                // Through the carry: a rotation wider by one bit.
                let ring = u128::from(rflags & CF) << width | u128::from(a);
                let left = count % (width + 1);
                let left = if op.kind == Kind::Rcl { left } else { width + 1 - left };
                let ring = rotated(ring, width + 1, left);
                (ring, ring >> width & 1)
            }
        };
        let (result, carry) = (crate::num::low64(result) & mask(size), crate::num::low64(carry));
        // Left: the sign differs from the carry. Right: the two top bits differ.
        let overflow = match op.kind {
            Kind::Rol | Kind::Rcl => carry ^ msb(result, size),
            _ => msb(result, size) ^ msb(result << 1, size),
        };
        let overflow = when(count == 1 && overflow == 1, OF);
        (result, replace(rflags, CF | OF, carry | overflow))
    })
}

/// Returns the low `width` bits of `value` rotated left by at most `width`.
fn rotated(value: u128, width: u32, left: u32) -> u128 {
    let ones = (1u128 << width) - 1;
    ((value << left) | (value >> (width - left))) & ones
}

/// Executes SHLD, SHRD. A 16-bit operand and a count above 16: the result is undefined; here the
/// destination stays and the status flags are cleared.
pub(super) fn double<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let count = count_of(op, op.src2, regs);
    let b = get(op, op.src, op.size, regs);
    modify(op, regs, env, |a, rflags| {
        let size = op.size;
        let width = 8 * u32::from(size);
        if count == 0 {
            return (a, rflags);
        }
        if count > width {
            return (a, rflags & !STATUS);
        }
        let (result, carry) = if op.kind == Kind::Shld {
            let low = if count == width { b } else { b >> (width - count) };
            (a << count | low, bit(a, width - count))
        } else {
            let high = b << (width - count);
            (a >> count | high, bit(a, count - 1))
        };
        let result = result & mask(size);
        let overflow = when(count == 1 && msb(result ^ a, size) == 1, OF);
        (result, replace(rflags, STATUS, carry | overflow | szp(result, size)))
    })
}

/// Executes RORX, SARX, SHLX, SHRX: no flags.
pub(super) fn flagless<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let a = read(op, op.src, size, regs, env)?;
    let count = count_of(op, op.src2, regs);
    let result = match op.kind {
        Kind::Shlx => a << count,
        Kind::Shrx => a >> count,
        Kind::Sarx => (sign_extend(a, size).cast_signed() >> count).cast_unsigned(),
        _ if size == 4 => u64::from(crate::num::low32(a).rotate_right(count)),
        _ => a.rotate_right(count),
    };
    put(op.dst, size, result, regs);
    Ok(())
}
