//! SSE: moves, logic, integer lanes, shuffles. No floating-point arithmetic.

mod lanes;
mod moves;
mod shuffle;

use self::lanes::{map8, map16, map32, map64};
use super::access::{put, read, read128, register, xmm};
use crate::Regs;
use crate::env::Env;
use crate::num::{low8, low64, mask};
use crate::op::{Kind, Op, Operand};

/// Executes an operation on vector registers.
pub(super) fn exec<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    use Kind as K;
    match op.kind {
        K::MovAligned | K::MovUnaligned => moves::whole(op, regs, env),
        K::MovdToXmm | K::MovdFromXmm => moves::general(op, regs, env),
        K::MovqXmm => moves::movq(op, regs, env),
        K::Movss => moves::scalar(op, 4, regs, env),
        K::Movsd => moves::scalar(op, 8, regs, env),
        K::Movlp | K::Movhp | K::Movhlps | K::Movlhps => moves::half(op, regs, env),
        K::Movmskps | K::Movmskpd | K::Pmovmskb => {
            signs(op, regs);
            Ok(())
        }
        K::Pinsr => insert(op, regs, env),
        K::Pextr => extract(op, regs, env),
        _ => binary(op, regs, env),
    }
}

/// Executes an operation of the shape `dst = f(dst, src, imm)`.
fn binary<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let destination = register(op.dst);
    let a = xmm(regs, destination);
    let b = match op.src {
        Operand::Imm => u128::from(op.imm),
        source => read128(op, source, regs, env)?,
    };
    let result = bytes_and_words(op.kind, a, b)
        .or_else(|| wide(op.kind, a, b))
        .or_else(|| shuffle::shifted(op.kind, a, b))
        .unwrap_or_else(|| shuffle::shuffled(op.kind, a, b, low8(op.imm)));
    regs.xmm[usize::from(destination & 15)] = result;
    Ok(())
}

/// Computes logic, and lanes of 8 and 16 bits.
fn bytes_and_words(kind: Kind, a: u128, b: u128) -> Option<u128> {
    use Kind as K;
    Some(match kind {
        K::Pand => a & b,
        K::Pandn => !a & b,
        K::Por => a | b,
        K::Pxor => a ^ b,
        K::Paddb => map8(a, b, u8::wrapping_add),
        K::Psubb => map8(a, b, u8::wrapping_sub),
        K::Pcmpeqb => map8(a, b, |a, b| if a == b { u8::MAX } else { 0 }),
        K::Pcmpgtb => {
            map8(a, b, |a, b| if a.cast_signed() > b.cast_signed() { u8::MAX } else { 0 })
        }
        K::Pmaxub => map8(a, b, u8::max),
        K::Pminub => map8(a, b, u8::min),
        K::Paddw => map16(a, b, u16::wrapping_add),
        K::Psubw => map16(a, b, u16::wrapping_sub),
        K::Pmullw => map16(a, b, u16::wrapping_mul),
        K::Pcmpeqw => map16(a, b, |a, b| if a == b { u16::MAX } else { 0 }),
        K::Pcmpgtw => {
            map16(a, b, |a, b| if a.cast_signed() > b.cast_signed() { u16::MAX } else { 0 })
        }
        K::Pmaxsw => map16(a, b, |a, b| a.cast_signed().max(b.cast_signed()).cast_unsigned()),
        K::Pminsw => map16(a, b, |a, b| a.cast_signed().min(b.cast_signed()).cast_unsigned()),
        _ => return None,
    })
}

/// Computes lanes of 32 and 64 bits.
fn wide(kind: Kind, a: u128, b: u128) -> Option<u128> {
    use Kind as K;
    Some(match kind {
        K::Paddd => map32(a, b, u32::wrapping_add),
        K::Psubd => map32(a, b, u32::wrapping_sub),
        K::Pcmpeqd => map32(a, b, |a, b| if a == b { u32::MAX } else { 0 }),
        K::Pcmpgtd => {
            map32(a, b, |a, b| if a.cast_signed() > b.cast_signed() { u32::MAX } else { 0 })
        }
        K::Paddq => map64(a, b, u64::wrapping_add),
        K::Psubq => map64(a, b, u64::wrapping_sub),
        K::Psadbw => map64(a, b, |a, b| {
            let pairs = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
            pairs.map(|(a, b)| u64::from(a.abs_diff(b))).sum()
        }),
        K::Pmuludq => map64(a, b, |a, b| (a & mask(4)) * (b & mask(4))),
        _ => return None,
    })
}

/// Executes MOVMSKPS, MOVMSKPD, PMOVMSKB: the sign bit of each lane, zero-extended into a general
/// register.
fn signs(op: &Op, regs: &mut Regs) {
    let value = xmm(regs, register(op.src));
    let lane: usize = match op.kind {
        Kind::Movmskps => 4,
        Kind::Movmskpd => 8,
        _ => 1,
    };
    let bytes = value.to_le_bytes();
    let tops = bytes.chunks_exact(lane).map(|lane| u64::from(lane[lane.len() - 1] >> 7));
    let signs = tops.enumerate().fold(0, |signs, (i, sign)| signs | sign << i);
    put(op.dst, 8, signs, regs);
}

/// Returns bit position of the lane of `op.src_size` bytes that the immediate selects.
fn lane_shift(op: &Op) -> u32 {
    let lanes = 16 / op.src_size;
    8 * u32::from(op.src_size) * u32::from(low8(op.imm) & (lanes - 1))
}

fn insert<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let lane = read(op, op.src, op.src_size, regs, env)?;
    let shift = lane_shift(op);
    let cell = &mut regs.xmm[usize::from(register(op.dst) & 15)];
    *cell = *cell & !(u128::from(mask(op.src_size)) << shift) | u128::from(lane) << shift;
    Ok(())
}

fn extract<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = xmm(regs, register(op.src));
    let lane = low64(value >> lane_shift(op)) & mask(op.src_size);
    // A register is zero-extended, memory gets the lane alone.
    let size = if op.dst == Operand::Mem { op.src_size } else { 8 };
    super::access::write(op, size, lane, regs, env)
}
