//! Moves between vector registers, general registers and memory.

use super::super::access::{aligned, at, read, register, write, xmm};
use crate::Regs;
use crate::env::Env;
use crate::num::{high64, join, low64, mask};
use crate::op::{Kind, Op, Operand};

fn set(operand: Operand, value: u128, regs: &mut Regs) {
    regs.xmm[usize::from(register(operand) & 15)] = value;
}

/// Executes MOVAPS, MOVUPS and the other moves of 16 bytes.
pub(super) fn whole<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let place = (op.dst == Operand::Mem || op.src == Operand::Mem).then(|| at(op, regs, 16));
    if let (Some(place), Kind::MovAligned) = (place, op.kind) {
        aligned(place)?;
    }
    match place {
        None => set(op.dst, xmm(regs, register(op.src)), regs),
        Some(place) if op.dst == Operand::Mem => {
            env.store128(place, xmm(regs, register(op.src)))?;
        }
        Some(place) => {
            let value = env.load128(place)?;
            set(op.dst, value, regs);
        }
    }
    Ok(())
}

/// Executes MOVD and MOVQ with a general register, or the same encodings with memory.
pub(super) fn general<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if op.kind == Kind::MovdToXmm {
        let value = read(op, op.src, op.src_size, regs, env)?;
        set(op.dst, u128::from(value), regs);
        return Ok(());
    }
    let value = low64(xmm(regs, register(op.src)));
    write(op, op.size, value, regs, env)
}

/// Executes MOVQ between vector registers and memory.
pub(super) fn movq<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = match op.src {
        Operand::Mem => env.load(at(op, regs, 8))?,
        source => low64(xmm(regs, register(source))),
    };
    if op.dst == Operand::Mem {
        return env.store(at(op, regs, 8), value);
    }
    set(op.dst, u128::from(value), regs);
    Ok(())
}

/// Executes MOVSS, MOVSD: a load zeroes the rest of the register, a move between registers keeps
/// it.
pub(super) fn scalar<E: Env>(
    op: &Op,
    size: u8,
    regs: &mut Regs,
    env: &mut E,
) -> Result<(), E::Stop> {
    if op.src == Operand::Mem {
        let value = env.load(at(op, regs, size))?;
        set(op.dst, u128::from(value), regs);
        return Ok(());
    }
    let value = low64(xmm(regs, register(op.src))) & mask(size);
    if op.dst == Operand::Mem {
        return env.store(at(op, regs, size), value);
    }
    let kept = xmm(regs, register(op.dst)) & !u128::from(mask(size));
    set(op.dst, kept | u128::from(value), regs);
    Ok(())
}

/// Executes MOVLPS, MOVHPS, MOVLPD and MOVHPD: one quadword of the register, the other kept.
pub(super) fn half<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if op.dst == Operand::Mem {
        let value = xmm(regs, register(op.src));
        let half = if op.kind == Kind::Movhp { high64(value) } else { low64(value) };
        return env.store(at(op, regs, 8), half);
    }
    let old = xmm(regs, register(op.dst));
    let new = match op.kind {
        Kind::Movlp => join(high64(old), env.load(at(op, regs, 8))?),
        Kind::Movhp => join(env.load(at(op, regs, 8))?, low64(old)),
        Kind::Movhlps => join(high64(old), high64(xmm(regs, register(op.src)))),
        _ => join(low64(xmm(regs, register(op.src))), low64(old)),
    };
    set(op.dst, new, regs);
    Ok(())
}
