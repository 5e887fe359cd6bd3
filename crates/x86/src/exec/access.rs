//! Operands: their locations, reads and writes.

use crate::env::{At, Env};
use crate::num::{mask, small};
use crate::op::{NO_REG, Op, Operand, mem, prefix};
use crate::{Fault, RSP, Regs};

/// Returns a general register.
#[inline]
pub(super) fn gpr(regs: &Regs, number: u8) -> u64 {
    regs.gpr[usize::from(number & 15)]
}

/// Returns an XMM register.
#[inline]
pub(super) fn xmm(regs: &Regs, number: u8) -> u128 {
    regs.xmm[usize::from(number & 15)]
}

/// Returns the effective address: base + index * scale + displacement, cut to the address size.
#[inline]
pub(super) fn effective(op: &Op, regs: &Regs) -> u64 {
    displaced(op, regs, 0)
}

/// Returns [`effective`] plus `offset` bytes.
#[inline]
pub(super) fn displaced(op: &Op, regs: &Regs, offset: u64) -> u64 {
    let mut address = op.disp.wrapping_add(offset);
    if op.base != NO_REG {
        address = address.wrapping_add(gpr(regs, op.base));
    }
    if op.index != NO_REG {
        address = address.wrapping_add(gpr(regs, op.index) << (op.scale & 3));
    }
    if op.mem & mem::ADDR32 != 0 { address & mask(4) } else { address }
}

/// Adds the base of FS or GS if overridden.
#[inline]
pub(super) fn linear(op: &Op, regs: &Regs, effective: u64) -> u64 {
    if op.mem & (mem::FS | mem::GS) == 0 {
        return effective;
    }
    let base = if op.mem & mem::FS != 0 { regs.fs_base } else { regs.gs_base };
    effective.wrapping_add(base)
}

/// Returns the access to the memory operand, as a plain load or store of `size` bytes.
#[inline]
pub(super) fn at(op: &Op, regs: &Regs, size: u8) -> At {
    at_effective(op, regs, effective(op, regs), size)
}

/// Returns [`at`] for an effective address of the caller's.
#[inline]
pub(super) fn at_effective(op: &Op, regs: &Regs, effective: u64, size: u8) -> At {
    At {
        va: linear(op, regs, effective),
        size,
        stack: op.mem & mem::STACK != 0,
        locked: op.prefix & prefix::LOCK != 0,
        for_write: false,
    }
}

/// Returns an access to the stack.
#[inline]
pub(super) fn on_stack(va: u64, size: u8) -> At {
    At { va, size, stack: true, locked: false, for_write: false }
}

/// Returns `size` bytes of a register or immediate, zero-extended.
#[inline]
pub(super) fn get(op: &Op, operand: Operand, size: u8, regs: &Regs) -> u64 {
    match operand {
        Operand::Reg(r) => gpr(regs, r) & mask(size),
        Operand::High(r) => (gpr(regs, r) >> 8) & 0xff,
        Operand::Imm => op.imm & mask(size),
        Operand::Xmm(_) | Operand::Mem | Operand::None => {
            debug_assert!(false, "not a register: {op:?}");
            0
        }
    }
}

/// Writes `size` bytes of a general register: 4 bytes zero-extend, 1 and 2 merge (SDM vol. 1 §3.4.1.1).
#[inline]
pub(super) fn put(operand: Operand, size: u8, value: u64, regs: &mut Regs) {
    match operand {
        Operand::Reg(r) => {
            let cell = &mut regs.gpr[usize::from(r & 15)];
            let kept = if size <= 2 { !mask(size) } else { 0 };
            *cell = (*cell & kept) | (value & mask(size));
        }
        Operand::High(r) => {
            let cell = &mut regs.gpr[usize::from(r & 15)];
            *cell = (*cell & !0xff00) | ((value & 0xff) << 8);
        }
        Operand::Xmm(_) | Operand::Mem | Operand::Imm | Operand::None => {
            debug_assert!(false, "not a register: {operand:?}");
        }
    }
}

/// Reads an operand of `size` bytes from its location.
#[inline]
pub(super) fn read<E: Env>(
    op: &Op,
    operand: Operand,
    size: u8,
    regs: &Regs,
    env: &mut E,
) -> Result<u64, E::Stop> {
    if operand == Operand::Mem {
        env.load(at(op, regs, size))
    } else {
        Ok(get(op, operand, size, regs))
    }
}

/// Writes the first operand, `size` bytes. Nothing in `regs` has changed if this fails.
#[inline]
pub(super) fn write<E: Env>(
    op: &Op,
    size: u8,
    value: u64,
    regs: &mut Regs,
    env: &mut E,
) -> Result<(), E::Stop> {
    if op.dst == Operand::Mem {
        env.store(at(op, regs, size), value & mask(size))
    } else {
        put(op.dst, size, value, regs);
        Ok(())
    }
}

/// Replaces the first operand by the result of `change`, which also gives all of RFLAGS.
#[inline]
pub(super) fn modify<E: Env>(
    op: &Op,
    regs: &mut Regs,
    env: &mut E,
    change: impl FnOnce(u64, u64) -> (u64, u64),
) -> Result<(), E::Stop> {
    if op.dst == Operand::Mem {
        let place = at(op, regs, op.size);
        let old = env.load(At { for_write: true, ..place })?;
        let (new, rflags) = change(old, regs.rflags);
        env.store(place, new & mask(op.size))?;
        regs.rflags = rflags;
    } else {
        let (new, rflags) = change(get(op, op.dst, op.size, regs), regs.rflags);
        put(op.dst, op.size, new, regs);
        regs.rflags = rflags;
    }
    Ok(())
}

/// Reads a 16-byte vector operand; memory must be aligned (SDM vol. 1 §15.1, exception type 4).
#[inline]
pub(super) fn read128<E: Env>(
    op: &Op,
    operand: Operand,
    regs: &Regs,
    env: &mut E,
) -> Result<u128, E::Stop> {
    match operand {
        Operand::Xmm(x) => Ok(xmm(regs, x)),
        _ => {
            let place = at(op, regs, 16);
            aligned(place)?;
            env.load128(place)
        }
    }
}

/// Fails with #GP(0) unless `place` is a multiple of 16.
#[inline]
pub(super) fn aligned(place: At) -> Result<(), Fault> {
    if place.va & 15 == 0 { Ok(()) } else { Err(Fault::GP) }
}

/// Pushes `size` bytes and moves RSP, the last step of an instruction.
#[inline]
pub(super) fn push<E: Env>(
    size: u8,
    value: u64,
    regs: &mut Regs,
    env: &mut E,
) -> Result<(), E::Stop> {
    let top = regs.gpr[RSP].wrapping_sub(u64::from(size));
    env.store(on_stack(top, size), value & mask(size))?;
    regs.gpr[RSP] = top;
    Ok(())
}

/// Returns the number of an operand known to be a register.
#[inline]
pub(super) fn register(operand: Operand) -> u8 {
    match operand {
        Operand::Reg(r) | Operand::High(r) | Operand::Xmm(r) => r,
        Operand::Mem | Operand::Imm | Operand::None => small(0),
    }
}
