//! Instructions that not every privilege level may execute: first the check, then the execution.

use super::access::{effective, get, linear, put};
use super::{segment, system};
use crate::env::Env;
use crate::flags::{AC, AF, CF, DF, ID, IF, IOPL, NT, OF, PF, SF, TF, ZF};
use crate::num::{low8, low16, low32};
use crate::op::{Kind, Op};
use crate::{Fault, Regs};

/// The flags that POPF changes at CPL 0: neither VM, VIF and VIP nor reserved bits.
const POPF: u64 = CF | PF | AF | ZF | SF | TF | IF | DF | OF | IOPL | NT | AC | ID;

pub(super) fn exec<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    use Kind as K;
    if let Some(fault) = refusal(op.kind, env.cpl(), regs.rflags) {
        return Err(fault.into());
    }
    match op.kind {
        K::Cli | K::Sti => system::interrupt_flag(op, regs, env),
        K::In => port_in(op, regs, env),
        K::Out => port_out(op, regs, env),
        K::Stac | K::Clac => access_flag(op, regs, env),
        K::Hlt => env.hlt(regs),
        K::Rdmsr => system::rdmsr(regs, env),
        K::Wrmsr => system::wrmsr(regs, env),
        K::ReadCr => system::read_cr(op, regs, env),
        K::WriteCr => system::write_cr(op, regs, env),
        K::Invlpg => env.invlpg(linear(op, regs, effective(op, regs))),
        K::Invpcid => system::invpcid(op, regs, env),
        K::Lgdt | K::Lidt => segment::load_table(op, regs, env),
        K::Ltr => segment::load_task_register(op, regs, env),
        _ => {
            debug_assert_eq!(op.kind, K::Swapgs);
            std::mem::swap(&mut regs.gs_base, &mut regs.kernel_gs_base);
            Ok(())
        }
    }
}

/// Returns the fault for lack of privilege, if there is one (SDM vol. 3 §5.9; vol. 2 CLI, STI, IN,
/// OUT, STAC).
fn refusal(kind: Kind, cpl: u8, rflags: u64) -> Option<Fault> {
    match kind {
        Kind::Cli | Kind::Sti | Kind::In | Kind::Out => (cpl > iopl(rflags)).then_some(Fault::GP),
        Kind::Stac | Kind::Clac => (cpl > 0).then_some(Fault::UD),
        _ => (cpl > 0).then_some(Fault::GP),
    }
}

/// Returns the I/O privilege level.
pub(super) fn iopl(rflags: u64) -> u8 {
    low8((rflags & IOPL) >> 12)
}

/// Executes STAC, CLAC.
fn access_flag<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if !env.smap()? {
        return Err(Fault::UD.into());
    }
    let on = op.kind == Kind::Stac;
    regs.rflags = if on { regs.rflags | AC } else { regs.rflags & !AC };
    Ok(())
}

fn port_in<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let port = low16(get(op, op.src, 2, regs));
    let value = env.port_in(port, op.size)?;
    put(op.dst, op.size, u64::from(value), regs);
    Ok(())
}

fn port_out<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let port = low16(get(op, op.dst, 2, regs));
    let value = get(op, op.src, op.size, regs);
    env.port_out(port, op.size, low32(value))
}

/// Returns the flags that POPFQ and IRETQ may change at this CPL: IOPL at 0 only, IF up to IOPL.
pub(super) fn changeable(cpl: u8, rflags: u64) -> u64 {
    let privilege = if cpl > 0 { IOPL } else { 0 };
    let interrupts = if cpl > iopl(rflags) { IF } else { 0 };
    POPF & !privilege & !interrupts
}
