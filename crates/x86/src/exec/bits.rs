//! Bit tests, bit scans, BMI and CRC32 (SDM vol. 2 under each name). Undefined flags are cleared.

use super::access::{at_effective, displaced, get, put, read};
use crate::Regs;
use crate::env::{At, Env};
use crate::flags::{AF, CF, OF, PF, SF, STATUS, ZF, replace, szp, when};
use crate::num::{low8, low32, mask, sign_extend};
use crate::op::{Kind, Op, Operand};

/// The flags that BT, BTS, BTR and BTC change or leave undefined: all but ZF.
const BIT_TEST: u64 = STATUS & !ZF;

/// Executes BT, BTS, BTR, BTC.
pub(super) fn bit_test<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let offset = get(op, op.src, size, regs);
    let index = offset & (8 * u64::from(size) - 1);
    let bit = 1u64 << index;
    let change = |a: u64, rflags: u64| {
        let new = match op.kind {
            Kind::Bts => a | bit,
            Kind::Btr => a & !bit,
            Kind::Btc => a ^ bit,
            _ => a,
        };
        (new, replace(rflags, BIT_TEST, (a >> index) & 1))
    };
    if op.dst != Operand::Mem {
        let (new, rflags) = change(get(op, op.dst, size, regs), regs.rflags);
        // BT must not even zero-extend.
        if op.kind != Kind::Bt {
            put(op.dst, size, new, regs);
        }
        regs.rflags = rflags;
        return Ok(());
    }
    // In memory a register offset reaches beyond the operand, in both directions.
    let units = if op.src == Operand::Imm {
        0
    } else {
        let bits = sign_extend(offset, size).cast_signed();
        let unit = size.trailing_zeros();
        ((bits >> (unit + 3)) << unit).cast_unsigned()
    };
    let place = at_effective(op, regs, displaced(op, regs, units), size);
    let old = env.load(At { for_write: op.kind != Kind::Bt, ..place })?;
    let (new, rflags) = change(old, regs.rflags);
    if op.kind != Kind::Bt {
        env.store(place, new & mask(size))?;
    }
    regs.rflags = rflags;
    Ok(())
}

/// Executes BSF, BSR. A source of 0 leaves the destination as it was, as AMD documents and Intel
/// does.
pub(super) fn scan<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let a = read(op, op.src, op.size, regs, env)?;
    if a != 0 {
        let index = if op.kind == Kind::Bsf { a.trailing_zeros() } else { a.ilog2() };
        put(op.dst, op.size, u64::from(index), regs);
    }
    regs.rflags = replace(regs.rflags, STATUS, when(a == 0, ZF));
    Ok(())
}

/// Executes TZCNT, LZCNT, POPCNT.
pub(super) fn count<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let a = read(op, op.src, op.size, regs, env)?;
    let width = 8 * u32::from(op.size);
    let result = match op.kind {
        Kind::Tzcnt => a.trailing_zeros().min(width),
        Kind::Lzcnt => a.leading_zeros() - (64 - width),
        _ => a.count_ones(),
    };
    put(op.dst, op.size, u64::from(result), regs);
    let status = if op.kind == Kind::Popcnt {
        when(a == 0, ZF)
    } else {
        when(a == 0, CF) | when(result == 0, ZF)
    };
    regs.rflags = replace(regs.rflags, STATUS, status);
    Ok(())
}

/// Executes ANDN, BEXTR, BZHI, PDEP, PEXT.
pub(super) fn bmi_binary<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let first = read(op, op.src, size, regs, env)?;
    let second = read(op, op.src2, size, regs, env)?;
    let sign_zero = |result| szp(result, size) & (SF | ZF);
    let (result, changed, status) = match op.kind {
        Kind::Andn => {
            let result = !first & second & mask(size);
            (result, STATUS, sign_zero(result))
        }
        Kind::Bextr => {
            let result = extracted(first, second);
            (result, STATUS, when(result == 0, ZF))
        }
        Kind::Bzhi => {
            let index = u32::from(low8(second));
            let saturated = index >= 8 * u32::from(size);
            let kept = if saturated { u64::MAX } else { (1 << index) - 1 };
            let result = first & kept;
            (result, STATUS, sign_zero(result) | when(saturated, CF))
        }
        Kind::Pdep => (deposit(first, second), 0, 0),
        _ => (extract(first, second), 0, 0),
    };
    put(op.dst, size, result, regs);
    regs.rflags = replace(regs.rflags, changed, status);
    Ok(())
}

/// Returns the bits of `value` that `control` selects: bits 7:0 are the first bit, bits 15:8 the
/// number of bits.
fn extracted(value: u64, control: u64) -> u64 {
    let (start, length) = (u32::from(low8(control)), u32::from(low8(control >> 8)));
    let shifted = value.checked_shr(start).unwrap_or(0);
    if length >= 64 { shifted } else { shifted & ((1 << length) - 1) }
}

/// Computes PDEP: the low bits of `source` to the places set in `places`.
fn deposit(mut source: u64, mut places: u64) -> u64 {
    let mut result = 0;
    while places != 0 {
        let lowest = places & places.wrapping_neg();
        if source & 1 == 1 {
            result |= lowest;
        }
        source >>= 1;
        places &= places - 1;
    }
    result
}

/// Computes PEXT: the bits of `source` at the places set in `places`, packed.
fn extract(source: u64, mut places: u64) -> u64 {
    let (mut result, mut next) = (0, 0);
    while places != 0 {
        let lowest = places & places.wrapping_neg();
        result |= u64::from(source & lowest != 0) << next;
        next += 1;
        places &= places - 1;
    }
    result
}

/// Executes BLSI, BLSMSK, BLSR.
pub(super) fn lowest_set<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let size = op.size;
    let a = read(op, op.src, size, regs, env)?;
    let (result, carry) = match op.kind {
        Kind::Blsi => (a & a.wrapping_neg(), a != 0),
        Kind::Blsmsk => (a ^ a.wrapping_sub(1), a == 0),
        _ => (a & a.wrapping_sub(1), a == 0),
    };
    let result = result & mask(size);
    let status = szp(result, size) & (SF | ZF) | when(carry, CF);
    put(op.dst, size, result, regs);
    regs.rflags = replace(regs.rflags, CF | PF | AF | ZF | SF | OF, status);
    Ok(())
}

/// Executes CRC32 with the Castagnoli polynomial, bit-reflected.
pub(super) fn crc32<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let source = read(op, op.src, op.src_size, regs, env)?;
    let mut crc = low32(get(op, op.dst, 4, regs));
    for byte in source.to_le_bytes().into_iter().take(usize::from(op.src_size)) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
        }
    }
    put(op.dst, 8, u64::from(crc), regs);
    Ok(())
}
