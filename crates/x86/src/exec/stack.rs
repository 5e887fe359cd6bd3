//! PUSH, POP and the frame instructions (SDM vol. 1 §6.2, vol. 2 under each name).

use super::access::{self, at_effective, displaced, get, on_stack, put, read};
use super::privileged::changeable;
use crate::env::{Env, IfChange};
use crate::flags::{FIXED, IF, RF, VM, replace};
use crate::num::mask;
use crate::op::{Op, Operand};
use crate::{RBP, RSP, Regs};

#[inline]
pub(super) fn push<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = read(op, op.dst, op.size, regs, env)?;
    access::push(op.size, value, regs, env)
}

#[inline]
pub(super) fn pop<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let top = regs.gpr[RSP];
    let value = env.load(on_stack(top, op.size))?;
    let above = top.wrapping_add(u64::from(op.size));
    if op.dst == Operand::Mem {
        // An address formed from RSP uses the value after the increment.
        let on_rsp = op.base == RSP_NUMBER;
        let offset = if on_rsp { u64::from(op.size) } else { 0 };
        let place = at_effective(op, regs, displaced(op, regs, offset), op.size);
        env.store(place, value)?;
        regs.gpr[RSP] = above;
    } else {
        regs.gpr[RSP] = above;
        put(op.dst, op.size, value, regs);
    }
    Ok(())
}

const RSP_NUMBER: u8 = 4;
const _: () = assert!(RSP == 4);

pub(super) fn pushf<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let image = regs.rflags & !(RF | VM);
    access::push(op.size, image, regs, env)
}

pub(super) fn popf<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let top = regs.gpr[RSP];
    let value = env.load(on_stack(top, op.size))?;
    let which = changeable(env.cpl(), regs.rflags) & mask(op.size);
    if which & IF != 0 {
        env.interrupt_flag(regs, IfChange::Popf(value & IF != 0))?;
    }
    regs.rflags = replace(regs.rflags, which, value) & !RF | FIXED;
    regs.gpr[RSP] = top.wrapping_add(u64::from(op.size));
    Ok(())
}

pub(super) fn leave<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let frame = regs.gpr[RBP];
    let value = env.load(on_stack(frame, op.size))?;
    regs.gpr[RSP] = frame.wrapping_add(u64::from(op.size));
    put(Operand::Reg(5), op.size, value, regs);
    Ok(())
}

/// Executes ENTER at nesting levels 0 and 1, without the hardware's probe of the new top of the
/// stack.
pub(super) fn enter<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = u64::from(op.size);
    let (allocation, level) = (op.imm & 0xffff, op.imm >> 16);
    let frame = regs.gpr[RSP].wrapping_sub(size);
    env.store(on_stack(frame, op.size), get(op, Operand::Reg(5), op.size, regs))?;
    let mut top = frame;
    if level == 1 {
        top = top.wrapping_sub(size);
        env.store(on_stack(top, op.size), frame & mask(op.size))?;
    }
    put(Operand::Reg(5), op.size, frame, regs);
    regs.gpr[RSP] = top.wrapping_sub(allocation);
    Ok(())
}
