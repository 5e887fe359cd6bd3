//! Multiplication and division (SDM vol. 2, MUL, IMUL, MULX, DIV, IDIV).
//!
//! Multiplication leaves SF, ZF, AF and PF undefined, division all six: here they are cleared.

use super::access::{get, put, read};
use crate::env::Env;
use crate::flags::{CF, OF, STATUS, replace, when};
use crate::num::{join, low64, mask, sign_extend, signed_product, signed128, unsigned128};
use crate::op::{Op, Operand};
use crate::{Fault, RAX, RDX, Regs};

const LOW: Operand = Operand::Reg(0);
const HIGH: Operand = Operand::Reg(2);
const AH: Operand = Operand::High(0);

/// Sets CF and OF if the upper half of the product is significant.
fn product_flags(rflags: u64, significant: bool) -> u64 {
    replace(rflags, STATUS, when(significant, CF | OF))
}

/// Returns the operand that holds the upper half of the double-width accumulator: AH for bytes,
/// else (R|E)DX.
fn upper(size: u8) -> Operand {
    if size == 1 { AH } else { HIGH }
}

fn put_wide(size: u8, low: u64, high: u64, regs: &mut Regs) {
    put(LOW, size, low, regs);
    put(upper(size), size, high, regs);
}

pub(super) fn mul<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let b = read(op, op.dst, size, regs, env)?;
    let product = u128::from(regs.gpr[RAX] & mask(size)) * u128::from(b);
    let high = low64(product >> (8 * u32::from(size))) & mask(size);
    put_wide(size, low64(product), high, regs);
    regs.rflags = product_flags(regs.rflags, high != 0);
    Ok(())
}

/// Executes IMUL with one operand.
pub(super) fn imul<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let b = sign_extend(read(op, op.dst, size, regs, env)?, size);
    let product = signed_product(sign_extend(regs.gpr[RAX], size), b);
    let bits = unsigned128(product);
    put_wide(size, low64(bits), low64(bits >> (8 * u32::from(size))), regs);
    regs.rflags = product_flags(regs.rflags, !fits(product, size));
    Ok(())
}

/// Executes IMUL with two and three operands.
#[inline]
pub(super) fn imul_truncating<E: Env>(
    op: &Op,
    regs: &mut Regs,
    env: &mut E,
) -> Result<(), E::Stop> {
    let size = op.size;
    let b = read(op, op.src, size, regs, env)?;
    let first = if op.src2 == Operand::None { op.dst } else { op.src2 };
    let a = get(op, first, size, regs);
    let product = signed_product(sign_extend(a, size), sign_extend(b, size));
    put(op.dst, size, low64(unsigned128(product)), regs);
    regs.rflags = product_flags(regs.rflags, !fits(product, size));
    Ok(())
}

/// Returns whether the value is its own lower half sign-extended.
fn fits(product: i128, size: u8) -> bool {
    let low = sign_extend(low64(unsigned128(product)), size);
    i128::from(low.cast_signed()) == product
}

/// Executes MULX: `dst:src = RDX * src2`, no flags; the upper half stays if both are one register.
pub(super) fn mulx<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let b = read(op, op.src2, size, regs, env)?;
    let product = u128::from(regs.gpr[RDX] & mask(size)) * u128::from(b);
    put(op.src, size, low64(product), regs);
    put(op.dst, size, low64(product >> (8 * u32::from(size))), regs);
    Ok(())
}

/// Returns the dividend of a division by a `size`-byte divisor, zero-extended.
fn dividend(size: u8, regs: &Regs) -> u128 {
    match size {
        1 => u128::from(regs.gpr[RAX] & mask(2)),
        8 => join(regs.gpr[RDX], regs.gpr[RAX]),
        _ => {
            let (high, low) = (regs.gpr[RDX] & mask(size), regs.gpr[RAX] & mask(size));
            u128::from(high << (8 * u32::from(size)) | low)
        }
    }
}

pub(super) fn div<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let divisor = u128::from(read(op, op.dst, size, regs, env)?);
    let dividend = dividend(size, regs);
    let quotient = dividend.checked_div(divisor).ok_or(Fault::DE)?;
    if quotient > u128::from(mask(size)) {
        return Err(Fault::DE.into());
    }
    put_wide(size, low64(quotient), low64(dividend % divisor), regs);
    regs.rflags &= !STATUS;
    Ok(())
}

pub(super) fn idiv<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let divisor = read(op, op.dst, size, regs, env)?;
    let divisor = i128::from(sign_extend(divisor, size).cast_signed());
    let unused = 128 - 16 * u32::from(size);
    let dividend = signed128(dividend(size, regs) << unused) >> unused;
    let quotient = dividend.checked_div(divisor).ok_or(Fault::DE)?;
    if !fits(quotient, size) {
        return Err(Fault::DE.into());
    }
    let remainder = unsigned128(dividend % divisor);
    put_wide(size, low64(unsigned128(quotient)), low64(remainder), regs);
    regs.rflags &= !STATUS;
    Ok(())
}
