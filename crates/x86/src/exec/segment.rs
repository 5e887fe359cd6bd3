//! Segment registers and descriptor tables (SDM vol. 2 under each name).

use super::access::{self, at, at_effective, displaced, put};
use crate::Regs;
use crate::env::{Env, Segment, Table};
use crate::num::low16;
use crate::op::{Kind, Op, Operand};

fn segment(op: &Op) -> Segment {
    match op.imm {
        0 => Segment::Es,
        1 => Segment::Cs,
        2 => Segment::Ss,
        3 => Segment::Ds,
        4 => Segment::Fs,
        _ => Segment::Gs,
    }
}

fn table(op: &Op) -> Table {
    if matches!(op.kind, Kind::Lgdt | Kind::Sgdt) { Table::Gdt } else { Table::Idt }
}

/// Executes MOV from a segment register: memory gets 16 bits, a register is zero-extended from
/// them.
pub(super) fn read<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let selector = u64::from(env.selector(segment(op))?);
    if op.dst == Operand::Mem {
        return env.store(at(op, regs, 2), selector);
    }
    put(op.dst, op.size, selector, regs);
    Ok(())
}

/// Executes MOV to a segment register.
pub(super) fn write<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let selector = low16(access::read(op, op.src, 2, regs, env)?);
    env.load_segment(regs, segment(op), selector)
}

/// Executes LTR.
pub(super) fn load_task_register<E: Env>(op: &Op, regs: &Regs, env: &mut E) -> Result<(), E::Stop> {
    let selector = low16(access::read(op, op.dst, 2, regs, env)?);
    env.load_task_register(selector)
}

/// Executes LGDT, LIDT: the limit in 2 bytes, then the base in 8.
pub(super) fn load_table<E: Env>(op: &Op, regs: &Regs, env: &mut E) -> Result<(), E::Stop> {
    let limit = low16(env.load(at(op, regs, 2))?);
    let base = env.load(at_effective(op, regs, displaced(op, regs, 2), 8))?;
    env.load_table(table(op), base, limit)
}

/// Executes SGDT, SIDT.
pub(super) fn store_table<E: Env>(op: &Op, regs: &Regs, env: &mut E) -> Result<(), E::Stop> {
    let (base, limit) = env.table(table(op))?;
    env.store(at(op, regs, 2), u64::from(limit))?;
    env.store(at_effective(op, regs, displaced(op, regs, 2), 8), base)
}
