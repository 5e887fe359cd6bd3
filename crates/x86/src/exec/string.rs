//! MOVS, STOS, LODS, SCAS, CMPS, one iteration at a time (SDM vol. 2, REP).

use super::access::linear;
use super::access::put;
use crate::env::{At, Env};
use crate::flags::{DF, STATUS, ZF, replace, sub};
use crate::num::mask;
use crate::op::{Kind, Op, Operand, mem, prefix};
use crate::{RAX, RCX, RDI, RSI, Regs};

/// Executes one iteration. RIP advances with the last, or if the count is 0 at the start.
pub(super) fn string<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let address_mask = if op.mem & mem::ADDR32 != 0 { mask(4) } else { u64::MAX };
    let repeated = op.prefix & (prefix::REP | prefix::REPNE) != 0;
    let count = regs.gpr[RCX] & address_mask;
    if repeated && count == 0 {
        advance(op, regs);
        return Ok(());
    }
    iterate(op, regs, env, address_mask)?;
    if !repeated {
        advance(op, regs);
        return Ok(());
    }
    let left = count.wrapping_sub(1) & address_mask;
    regs.gpr[RCX] = left;
    let compares = matches!(op.kind, Kind::Scas | Kind::Cmps);
    let while_equal = op.prefix & prefix::REP != 0;
    let ended = compares && (regs.rflags & ZF != 0) != while_equal;
    if left == 0 || ended {
        advance(op, regs);
    }
    Ok(())
}

fn advance(op: &Op, regs: &mut Regs) {
    regs.rip = regs.rip.wrapping_add(u64::from(op.len));
}

/// Performs the accesses of one element, sets flags and moves the pointers.
fn iterate<E: Env>(
    op: &Op,
    regs: &mut Regs,
    env: &mut E,
    address_mask: u64,
) -> Result<(), E::Stop> {
    let size = op.size;
    // The source can have another segment; the destination is always in ES.
    let at = |va| At { va, size, stack: false, locked: false, for_write: false };
    let source = at(linear(op, regs, regs.gpr[RSI] & address_mask));
    let destination = at(regs.gpr[RDI] & address_mask);
    let (mut uses_source, mut uses_destination) = (true, true);
    match op.kind {
        Kind::Movs => {
            let value = env.load(source)?;
            env.store(destination, value)?;
        }
        Kind::Stos => {
            env.store(destination, regs.gpr[RAX] & mask(size))?;
            uses_source = false;
        }
        Kind::Lods => {
            let value = env.load(source)?;
            put(Operand::Reg(0), size, value, regs);
            uses_destination = false;
        }
        Kind::Scas => {
            let b = env.load(destination)?;
            compare(regs.gpr[RAX] & mask(size), b, size, regs);
            uses_source = false;
        }
        _ => {
            let a = env.load(source)?;
            let b = env.load(destination)?;
            compare(a, b, size, regs);
        }
    }
    let step = u64::from(size);
    let step = if regs.rflags & DF == 0 { step } else { step.wrapping_neg() };
    if uses_source {
        regs.gpr[RSI] = regs.gpr[RSI].wrapping_add(step) & address_mask;
    }
    if uses_destination {
        regs.gpr[RDI] = regs.gpr[RDI].wrapping_add(step) & address_mask;
    }
    Ok(())
}

fn compare(a: u64, b: u64, size: u8, regs: &mut Regs) {
    regs.rflags = replace(regs.rflags, STATUS, sub(a, b, 0, size).1);
}
