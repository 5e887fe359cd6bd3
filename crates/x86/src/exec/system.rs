//! Instructions for which the machine is needed: fences, flags, control registers, MSRs,
//! invalidation.

use super::access::{at, get, put};
use crate::env::{Env, Fence, IfChange};
use crate::flags::IF;
use crate::num::{high64, low32, low64, mask};
use crate::op::{Kind, Op};
use crate::{Fault, RAX, RBX, RCX, RDX, Regs};

/// The MSR that RDTSCP puts into ECX.
const IA32_TSC_AUX: u32 = 0xc000_0103;

pub(super) fn fence<E: Env>(op: &Op, env: &mut E) -> Result<(), E::Stop> {
    env.fence(match op.kind {
        Kind::Mfence => Fence::Mfence,
        Kind::Sfence => Fence::Sfence,
        _ => Fence::Lfence,
    })
}

/// Executes CLFLUSH, CLFLUSHOPT, CLWB. On memory that caches keep coherent they are only a load of
/// a byte, with its permissions and faults (SDM vol. 2 CLFLUSH).
pub(super) fn flush_line<E: Env>(op: &Op, regs: &Regs, env: &mut E) -> Result<(), E::Stop> {
    env.load(at(op, regs, 1)).map(drop)
}

/// Executes CLI, STI.
pub(super) fn interrupt_flag<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let on = op.kind == Kind::Sti;
    env.interrupt_flag(regs, if on { IfChange::Sti } else { IfChange::Cli })?;
    regs.rflags = if on { regs.rflags | IF } else { regs.rflags & !IF };
    Ok(())
}

pub(super) fn cpuid<E: Env>(regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let values = env.cpuid(low32(regs.gpr[RAX]), low32(regs.gpr[RCX]))?;
    for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(values) {
        regs.gpr[register] = u64::from(value);
    }
    Ok(())
}

/// Executes RDTSC, RDTSCP.
pub(super) fn rdtsc<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let time = env.rdtsc()?;
    if op.kind == Kind::Rdtscp {
        let aux = env.rdmsr(regs, IA32_TSC_AUX)?;
        regs.gpr[RCX] = aux & mask(4);
    }
    put_pair(time, regs);
    Ok(())
}

pub(super) fn rdmsr<E: Env>(regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = env.rdmsr(regs, low32(regs.gpr[RCX]))?;
    put_pair(value, regs);
    Ok(())
}

pub(super) fn wrmsr<E: Env>(regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = regs.gpr[RDX] << 32 | regs.gpr[RAX] & mask(4);
    env.wrmsr(regs, low32(regs.gpr[RCX]), value)
}

/// Writes `value` to EDX:EAX.
fn put_pair(value: u64, regs: &mut Regs) {
    regs.gpr[RAX] = value & mask(4);
    regs.gpr[RDX] = value >> 32;
}

/// Executes RDFSBASE, RDGSBASE.
pub(super) fn read_base<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if !env.fsgsbase()? {
        return Err(Fault::UD.into());
    }
    let base = if op.kind == Kind::Rdfsbase { regs.fs_base } else { regs.gs_base };
    put(op.dst, op.size, base, regs);
    Ok(())
}

/// Executes WRFSBASE, WRGSBASE. The base must be canonical at 57 bits: the widest a processor has.
pub(super) fn write_base<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if !env.fsgsbase()? {
        return Err(Fault::UD.into());
    }
    let base = get(op, op.dst, op.size, regs);
    let sign = base.cast_signed() >> 56;
    if sign != 0 && sign != -1 {
        return Err(Fault::GP.into());
    }
    let cell = if op.kind == Kind::Wrfsbase { &mut regs.fs_base } else { &mut regs.gs_base };
    *cell = base;
    Ok(())
}

pub(super) fn read_cr<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let value = env.read_cr(crate::num::low8(op.imm))?;
    put(op.dst, 8, value, regs);
    Ok(())
}

pub(super) fn write_cr<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    env.write_cr(crate::num::low8(op.imm), get(op, op.src, 8, regs))
}

/// Executes INVPCID. The descriptor is an ordinary data operand; the address inside it is not.
pub(super) fn invpcid<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let descriptor = env.load128(at(op, regs, 16))?;
    env.invpcid(get(op, op.dst, 8, regs), [low64(descriptor), high64(descriptor)])
}
