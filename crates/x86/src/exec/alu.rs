//! Addition, subtraction, logic, compare-and-exchange.

use super::access::{aligned, at, get, modify, put, read};
use crate::env::{At, Env};
use crate::flags::{self, CF, DF, OF, STATUS, ZF, replace, szp, when};
use crate::num::{high64, join, low32, low64, mask};
use crate::op::{Kind, Op, Operand};
use crate::{RAX, RBX, RCX, RDX, Regs};

/// Returns `rflags` with all six status flags replaced.
#[inline]
fn with_status(rflags: u64, status: u64) -> u64 {
    replace(rflags, STATUS, status)
}

#[inline]
pub(super) fn add<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let b = read(op, op.src, op.size, regs, env)?;
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::add(a, b, 0, op.size);
        (result, with_status(rflags, status))
    })
}

#[inline]
pub(super) fn adc<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let b = read(op, op.src, op.size, regs, env)?;
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::add(a, b, rflags & CF, op.size);
        (result, with_status(rflags, status))
    })
}

#[inline]
pub(super) fn sub<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let b = read(op, op.src, op.size, regs, env)?;
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::sub(a, b, 0, op.size);
        (result, with_status(rflags, status))
    })
}

#[inline]
pub(super) fn sbb<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let b = read(op, op.src, op.size, regs, env)?;
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::sub(a, b, rflags & CF, op.size);
        (result, with_status(rflags, status))
    })
}

/// Executes AND, OR, XOR: CF and OF cleared, AF undefined.
#[inline]
pub(super) fn logic<E: Env>(
    op: &Op,
    regs: &mut Regs,
    env: &mut E,
    f: impl FnOnce(u64, u64) -> u64,
) -> Result<(), E::Stop> {
    let b = read(op, op.src, op.size, regs, env)?;
    modify(op, regs, env, |a, rflags| {
        let result = f(a, b);
        (result, with_status(rflags, szp(result, op.size)))
    })
}

#[inline]
pub(super) fn cmp<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let a = read(op, op.dst, op.size, regs, env)?;
    let b = read(op, op.src, op.size, regs, env)?;
    regs.rflags = with_status(regs.rflags, flags::sub(a, b, 0, op.size).1);
    Ok(())
}

#[inline]
pub(super) fn test<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let a = read(op, op.dst, op.size, regs, env)?;
    let b = read(op, op.src, op.size, regs, env)?;
    regs.rflags = with_status(regs.rflags, szp(a & b, op.size));
    Ok(())
}

/// Executes INC and DEC, which keep CF.
#[inline]
pub(super) fn inc<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::add(a, 1, 0, op.size);
        (result, replace(rflags, STATUS & !CF, status))
    })
}

#[inline]
pub(super) fn dec<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::sub(a, 1, 0, op.size);
        (result, replace(rflags, STATUS & !CF, status))
    })
}

pub(super) fn neg<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    modify(op, regs, env, |a, rflags| {
        let (result, status) = flags::sub(0, a, 0, op.size);
        (result, with_status(rflags, status))
    })
}

pub(super) fn not<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    modify(op, regs, env, |a, rflags| (!a, rflags))
}

/// Executes ADCX, which carries through CF alone, and ADOX, which carries through OF alone.
pub(super) fn adx<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let flag = if op.kind == Kind::Adcx { CF } else { OF };
    let b = read(op, op.src, op.size, regs, env)?;
    let a = get(op, op.dst, op.size, regs);
    let carry = u64::from(regs.rflags & flag != 0);
    let (result, status) = flags::add(a, b, carry, op.size);
    put(op.dst, op.size, result, regs);
    regs.rflags = replace(regs.rflags, flag, when(status & CF != 0, flag));
    Ok(())
}

/// Executes CMPXCHG. A location in memory is written in either case, with its old value if the
/// comparison fails.
pub(super) fn cmpxchg<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let accumulator = regs.gpr[RAX] & mask(op.size);
    let new = get(op, op.src, op.size, regs);
    let place = (op.dst == Operand::Mem).then(|| at(op, regs, op.size));
    let old = match place {
        Some(place) => env.load(At { for_write: true, ..place })?,
        None => get(op, op.dst, op.size, regs),
    };
    let (difference, status) = flags::sub(accumulator, old, 0, op.size);
    let equal = difference == 0;
    if let Some(place) = place {
        env.store(place, if equal { new } else { old })?;
    }
    if equal {
        if place.is_none() {
            put(op.dst, op.size, new, regs);
        }
    } else {
        put(Operand::Reg(0), op.size, old, regs);
    }
    regs.rflags = with_status(regs.rflags, status);
    Ok(())
}

/// Executes CMPXCHG8B: compares EDX:EAX with 8 bytes, writes ECX:EBX.
pub(super) fn cmpxchg8b<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let pair = |high: usize, low: usize, regs: &Regs| {
        u64::from(low32(regs.gpr[high])) << 32 | u64::from(low32(regs.gpr[low]))
    };
    let place = at(op, regs, 8);
    let old = env.load(At { for_write: true, ..place })?;
    let equal = old == pair(RDX, RAX, regs);
    let new = pair(RCX, RBX, regs);
    env.store(place, if equal { new } else { old })?;
    if !equal {
        regs.gpr[RAX] = old & mask(4);
        regs.gpr[RDX] = old >> 32;
    }
    regs.rflags = replace(regs.rflags, ZF, when(equal, ZF));
    Ok(())
}

/// Executes CMPXCHG16B: compares RDX:RAX with 16 aligned bytes, writes RCX:RBX.
pub(super) fn cmpxchg16b<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let place = at(op, regs, 16);
    aligned(place)?;
    let old = env.load128(At { for_write: true, ..place })?;
    let equal = old == join(regs.gpr[RDX], regs.gpr[RAX]);
    let new = join(regs.gpr[RCX], regs.gpr[RBX]);
    env.store128(place, if equal { new } else { old })?;
    if !equal {
        regs.gpr[RAX] = low64(old);
        regs.gpr[RDX] = high64(old);
    }
    regs.rflags = replace(regs.rflags, ZF, when(equal, ZF));
    Ok(())
}

/// Executes XADD. The source register gets the old value first: if both operands are one register,
/// it keeps the sum.
pub(super) fn xadd<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let b = get(op, op.src, op.size, regs);
    let place = (op.dst == Operand::Mem).then(|| at(op, regs, op.size));
    let a = match place {
        Some(place) => env.load(At { for_write: true, ..place })?,
        None => get(op, op.dst, op.size, regs),
    };
    let (sum, status) = flags::add(a, b, 0, op.size);
    if let Some(place) = place {
        env.store(place, sum)?;
    }
    put(op.src, op.size, a, regs);
    if place.is_none() {
        put(op.dst, op.size, sum, regs);
    }
    regs.rflags = with_status(regs.rflags, status);
    Ok(())
}

/// Executes CLC, STC, CMC, CLD, STD.
pub(super) fn set_flag(op: &Op, regs: &mut Regs) {
    match op.kind {
        Kind::Clc => regs.rflags &= !CF,
        Kind::Stc => regs.rflags |= CF,
        Kind::Cmc => regs.rflags ^= CF,
        Kind::Cld => regs.rflags &= !DF,
        _ => regs.rflags |= DF,
    }
}
