//! Far returns and software interrupts (SDM vol. 2 IRET, RET, INT n).

use super::access::on_stack;
use super::control::next;
use super::privileged::changeable;
use crate::env::{Env, FarReturn};
use crate::flags::{FIXED, NT, RF, VIF, VIP, replace};
use crate::num::{low8, low16};
use crate::op::Op;
use crate::{Fault, RSP, Regs};

/// Executes INT n, INT3.
pub(super) fn software_interrupt<E: Env>(op: &Op, regs: &Regs, env: &mut E) -> E::Stop {
    env.software_interrupt(low8(op.imm), next(op, regs))
}

/// Returns the `number`th quadword from the top of the stack.
fn quadword<E: Env>(regs: &Regs, env: &mut E, number: u64) -> Result<u64, E::Stop> {
    env.load(on_stack(regs.gpr[RSP].wrapping_add(8 * number), 8))
}

/// Executes IRETQ: pops RIP, CS, RFLAGS, RSP and SS in this order, whatever level it
/// returns to.
///
/// RF is cleared, not loaded: no modelled debug exception could be held back by it.
pub(super) fn iretq<E: Env>(_: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    if regs.rflags & NT != 0 {
        return Err(Fault::GP.into());
    }
    let cpl = env.cpl();
    let rip = quadword(regs, env, 0)?;
    let cs = low16(quadword(regs, env, 1)?);
    let image = quadword(regs, env, 2)?;
    let rsp = quadword(regs, env, 3)?;
    let ss = Some(low16(quadword(regs, env, 4)?));
    let virtual_flags = if cpl == 0 { VIF | VIP } else { 0 };
    let which = changeable(cpl, regs.rflags) | virtual_flags;
    let rflags = replace(regs.rflags, which, image) & !RF | FIXED;
    finish(regs, env, &FarReturn { rip, cs, rflags, rsp, ss })
}

/// Executes RETFQ and RETFQ imm16. A return to an outer level takes RSP and SS from above the
/// parameters.
pub(super) fn retfq<E: Env>(op: &Op, regs: &mut Regs, env: &mut E) -> Result<(), E::Stop> {
    let parameters = op.imm & 0xffff;
    let rip = quadword(regs, env, 0)?;
    let cs = low16(quadword(regs, env, 1)?);
    let above = regs.gpr[RSP].wrapping_add(16).wrapping_add(parameters);
    let (rsp, ss) = if low8(u64::from(cs & 3)) > env.cpl() {
        let rsp = env.load(on_stack(above, 8))?;
        let ss = env.load(on_stack(above.wrapping_add(8), 8))?;
        (rsp.wrapping_add(parameters), Some(low16(ss)))
    } else {
        (above, None)
    };
    finish(regs, env, &FarReturn { rip, cs, rflags: regs.rflags, rsp, ss })
}

fn finish<E: Env>(regs: &mut Regs, env: &mut E, to: &FarReturn) -> Result<(), E::Stop> {
    env.far_return(regs, to)?;
    regs.rip = to.rip;
    regs.rflags = to.rflags;
    regs.gpr[RSP] = to.rsp;
    Ok(())
}
