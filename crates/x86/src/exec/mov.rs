//! Moves and conversions (SDM vol. 2 under each name). Only SAHF changes RFLAGS.

use super::access::{at, effective, get, put, read, write};
use crate::env::{At, Env};
use crate::flags::{AF, CF, PF, SF, ZF, condition, replace};
use crate::num::{mask, msb, sign_extend};
use crate::op::{Op, Operand};
use crate::{RAX, RDX, Regs};

/// AH, in which LAHF and SAHF keep flags.
const AH: Operand = Operand::High(0);

#[inline]
pub(super) fn mov<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.src, op.size, regs, env)?;
    write(op, op.size, value, regs, env)
}

#[inline]
pub(super) fn movzx<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.src, op.src_size, regs, env)?;
    put(op.dst, op.size, value, regs);
    Ok(())
}

#[inline]
pub(super) fn movsx<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.src, op.src_size, regs, env)?;
    put(op.dst, op.size, sign_extend(value, op.src_size), regs);
    Ok(())
}

#[inline]
pub(super) fn lea(op: &Op, regs: &mut Regs) {
    put(op.dst, op.size, effective(op, regs), regs);
}

pub(super) fn xchg<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    // iced lists the memory operand first.
    let second = get(op, op.src, op.size, regs);
    if op.dst == Operand::Mem {
        let place = at(op, regs, op.size);
        let first = env.load(At { for_write: true, ..place })?;
        env.store(place, second)?;
        put(op.src, op.size, first, regs);
    } else {
        let first = get(op, op.dst, op.size, regs);
        put(op.src, op.size, first, regs);
        put(op.dst, op.size, second, regs);
    }
    Ok(())
}

/// Executes CMOVcc. The source is loaded whether or not the condition holds, and a 32-bit
/// destination is zero-extended either way.
#[inline]
pub(super) fn cmov<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.src, op.size, regs, env)?;
    let holds = condition(regs.rflags, op.cond);
    let value = if holds { value } else { get(op, op.dst, op.size, regs) };
    put(op.dst, op.size, value, regs);
    Ok(())
}

fn swapped(value: u64, size: u8) -> u64 {
    value.swap_bytes() >> (64 - 8 * u32::from(size))
}

pub(super) fn bswap(op: &Op, regs: &mut Regs) {
    let value = get(op, op.dst, op.size, regs);
    put(op.dst, op.size, swapped(value, op.size), regs);
}

pub(super) fn movbe<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.src, op.size, regs, env)?;
    write(op, op.size, swapped(value, op.size), regs, env)
}

/// Executes CBW, CWDE, CDQE: the lower half of the accumulator, sign-extended.
pub(super) fn cbw(op: &Op, regs: &mut Regs) {
    let value = sign_extend(regs.gpr[RAX], op.size / 2);
    put(Operand::Reg(0), op.size, value, regs);
}

/// Executes CWD, CDQ, CQO: the sign of the accumulator in all bits of (R|E)DX.
pub(super) fn cwd(op: &Op, regs: &mut Regs) {
    let negative = msb(regs.gpr[RAX], op.size) == 1;
    let value = if negative { mask(op.size) } else { 0 };
    put(Operand::Reg(RDX_NUMBER), op.size, value, regs);
}

const RDX_NUMBER: u8 = 2;
const _: () = assert!(RDX == 2);

#[inline]
pub(super) fn setcc<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = u64::from(condition(regs.rflags, op.cond));
    write(op, 1, value, regs, env)
}

pub(super) fn lahf(regs: &mut Regs) {
    let flags = regs.rflags & 0xff;
    put(AH, 1, flags, regs);
}

pub(super) fn sahf(regs: &mut Regs) {
    let flags = (regs.gpr[RAX] >> 8) & 0xff;
    regs.rflags = replace(regs.rflags, SF | ZF | AF | PF | CF, flags);
}
