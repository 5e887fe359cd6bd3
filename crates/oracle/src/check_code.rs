//! Invariants and final checks as instructions.

use abi::hypercall::Hypercall;

use crate::program::{Check, Op, Place, RCX, RDI, failure};

/// The function that asks for it.
pub(crate) fn ops(check: &Check) -> Vec<Op> {
    let asks = |(word, value): (u8, u32), over| {
        [
            Op::Load(RCX, 8, Place::Data(8 * u16::from(word))),
            Op::Lea(RCX, RCX, -value.cast_signed()),
            Op::Jrcxz(over),
        ]
    };
    let mut ops = asks(check.when, 4).to_vec();
    ops.push(Op::Ret);
    ops.extend(asks(check.then, 9));
    ops.extend(match check.property {
        Some(property) => [Op::Set(RDI, failure(property)), Op::Call(Hypercall::Fail)],
        None => [Op::Set(RDI, 0), Op::Call(Hypercall::Assume)],
    });
    ops.push(Op::Ret);
    ops
}
