//! Near branches, calls and returns.

use super::access::{on_stack, push, read};
use crate::env::Env;
use crate::flags::{ZF, condition};
use crate::num::mask;
use crate::op::{Kind, Op, mem};
use crate::{Fault, RCX, RSP, Regs};

/// Returns the address after the instruction.
#[inline]
pub(super) fn next(op: &Op, regs: &Regs) -> u64 {
    regs.rip.wrapping_add(u64::from(op.len))
}

/// Fails with #GP(0) for a branch target that is not canonical at 48 bits.
///
/// Under 5-level paging the width is 57 bits; code that jumps into the difference does not occur
/// here, and an additional fault cannot hide anything.
#[inline]
fn canonical(target: u64) -> Result<u64, Fault> {
    let sign = target.cast_signed() >> 47;
    if sign == 0 || sign == -1 { Ok(target) } else { Err(Fault::GP) }
}

#[inline]
pub(super) fn jcc<S: From<Fault>>(op: &Op, regs: &mut Regs) -> Result<(), S> {
    regs.rip = if condition(regs.rflags, op.cond) { canonical(op.imm)? } else { next(op, regs) };
    Ok(())
}

#[inline]
pub(super) fn jmp<S: From<Fault>>(op: &Op, regs: &mut Regs) -> Result<(), S> {
    regs.rip = canonical(op.imm)?;
    Ok(())
}

pub(super) fn jmp_indirect<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    regs.rip = canonical(read(op, op.dst, 8, regs, env)?)?;
    Ok(())
}

#[inline]
fn call_to<E: Env>(op: &Op, target: u64, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let target = canonical(target)?;
    push(8, next(op, regs), regs, env)?;
    regs.rip = target;
    Ok(())
}

#[inline]
pub(super) fn call<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    call_to(op, op.imm, regs, env)
}

pub(super) fn call_indirect<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let target = read(op, op.dst, 8, regs, env)?;
    call_to(op, target, regs, env)
}

/// Executes RET and RET imm16.
#[inline]
pub(super) fn ret<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let top = regs.gpr[RSP];
    let target = canonical(env.load(on_stack(top, 8))?)?;
    regs.gpr[RSP] = top.wrapping_add(8).wrapping_add(op.imm & 0xffff);
    regs.rip = target;
    Ok(())
}

/// Executes JRCXZ, JECXZ, LOOP, LOOPE, LOOPNE.
pub(super) fn counted<S: From<Fault>>(op: &Op, regs: &mut Regs) -> Result<(), S> {
    let address_mask = if op.mem & mem::ADDR32 != 0 { mask(4) } else { u64::MAX };
    let count = regs.gpr[RCX] & address_mask;
    let left = count.wrapping_sub(1) & address_mask;
    let zero = regs.rflags & ZF != 0;
    let taken = match op.kind {
        Kind::Jrcxz => count == 0,
        Kind::Loop => left != 0,
        Kind::Loope => left != 0 && zero,
        _ => left != 0 && !zero,
    };
    let rip = if taken { canonical(op.imm)? } else { next(op, regs) };
    if op.kind != Kind::Jrcxz {
        regs.gpr[RCX] = left;
    }
    regs.rip = rip;
    Ok(())
}
