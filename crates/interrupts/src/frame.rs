//! The frame that a delivery pushes, and the checks of the IRETQ that pops it (SDM vol. 3 §6.14; vol. 2 IRET).
//!
//! In 64-bit mode the stack pointer is first aligned to 16 bytes, and SS and RSP are pushed whatever the
//! privilege level.

use x86::{FarReturn, Fault, Refusal, flags};

use crate::descriptor::{self, Descriptor};

/// The part of a frame that every event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// RIP to return to.
    pub rip: u64,
    /// CS selector.
    pub cs: u16,
    /// RFLAGS.
    pub rflags: u64,
    /// RSP.
    pub rsp: u64,
    /// SS selector.
    pub ss: u16,
}

impl Frame {
    /// Returns its five quadwords, the lowest address first (SDM vol. 3 §6.14.2).
    #[must_use]
    pub fn quadwords(self) -> [u64; 5] {
        [self.rip, u64::from(self.cs), self.rflags, self.rsp, u64::from(self.ss)]
    }

    /// Returns what is pushed, the first at the highest address: the five quadwords and the error code (SDM vol.
    /// 3 §6.14.2).
    pub fn pushes(self, code: Option<u32>) -> impl Iterator<Item = u64> {
        self.quadwords().into_iter().rev().chain(code.map(u64::from))
    }

    /// Returns RSP after a frame without an error code has been pushed onto a stack with this RSP.
    #[must_use]
    pub fn pushed_at(rsp: u64) -> u64 {
        aligned(rsp) - 5 * 8
    }
}

/// Returns the stack pointer below which a frame is pushed (SDM vol. 3 §6.14.2).
#[must_use]
pub fn aligned(rsp: u64) -> u64 {
    rsp & !15
}

/// Returns RFLAGS at the start of a handler, behind a trap or an interrupt gate (SDM vol. 3 §6.12.1.3).
#[must_use]
pub fn handler_flags(rflags: u64, trap: bool) -> u64 {
    let cleared = flags::TF | flags::VM | flags::RF | flags::NT;
    let closed = if trap { 0 } else { flags::IF };
    rflags & !(cleared | closed)
}

/// A far return that passed its checks: descriptors of what it loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// The privilege level returned to.
    pub cpl: u8,
    /// The code segment.
    pub code: Descriptor,
    /// The stack segment: its selector, and its descriptor unless that is null; `None` if SS stays.
    pub stack: Option<(u16, Option<Descriptor>)>,
}

/// Checks IRETQ or RETFQ at `cpl`, once the frame is popped, in the manual's order: CS, SS, RIP (SDM vol. 2 IRET,
/// IA-32E-MODE; RET). `descriptor` looks up a selector that is not null.
///
/// # Errors
///
/// A fault of the return, or of looking up; a return to compatibility mode is not modelled.
pub fn check_return<E: From<Refusal>>(
    to: &FarReturn,
    cpl: u8,
    mut descriptor: impl FnMut(u16) -> Result<Descriptor, E>,
) -> Result<Return, E> {
    let refused = |fault: Fault| E::from(Refusal::Fault(fault));
    if descriptor::is_null(to.cs) {
        return Err(refused(Fault::GP));
    }
    let code = descriptor(to.cs)?;
    descriptor::returned_to(to.cs, code, cpl).map_err(refused)?;
    if !code.is_long() {
        return Err(Refusal::Unmodelled("a return to compatibility mode".into()).into());
    }
    let level = descriptor::rpl(to.cs);
    let stack = match to.ss {
        Some(selector) => Some((selector, stack_segment(selector, level, &mut descriptor)?)),
        None => None,
    };
    if !mmu::lam::canonical(to.rip, false) {
        return Err(refused(Fault::GP));
    }
    Ok(Return { cpl: level, code, stack })
}

/// Checks `selector` for SS at privilege level `cpl`; returns its descriptor unless it is null (SDM vol. 2 MOV,
/// IRET).
///
/// # Errors
///
/// A fault of the selector, or of looking up.
pub fn stack_segment<E: From<Refusal>>(
    selector: u16,
    cpl: u8,
    mut descriptor: impl FnMut(u16) -> Result<Descriptor, E>,
) -> Result<Option<Descriptor>, E> {
    let refused = |fault: Fault| E::from(Refusal::Fault(fault));
    if descriptor::is_null(selector) {
        descriptor::null_stack(selector, cpl).map_err(refused)?;
        return Ok(None);
    }
    let found = descriptor(selector)?;
    descriptor::stack(selector, found, cpl).map_err(refused)?;
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { rip: 1, cs: 0x10, rflags: 2, rsp: 0x1009, ss: 0x18 };
    const CODE: Descriptor = Descriptor(0x00af_9b00_0000_ffff);
    const DATA: Descriptor = Descriptor(0x00cf_9300_0000_ffff);
    const COMPATIBILITY: Descriptor = Descriptor(0x00cf_9b00_0000_ffff);
    const USER_DATA: Descriptor = Descriptor(0x00cf_f300_0000_ffff);
    const USER_CODE: Descriptor = Descriptor(0x00af_fb00_0000_ffff);

    #[test]
    fn rip_is_on_top_and_the_stack_is_aligned_before() {
        assert_eq!(FRAME.quadwords(), [1, 0x10, 2, 0x1009, 0x18]);
        assert_eq!(Frame::pushed_at(FRAME.rsp), 0x1000 - 40);
        assert_eq!(Frame::pushed_at(0x1000), 0x1000 - 40);
        assert!(FRAME.pushes(Some(5)).eq([0x18, 0x1009, 2, 0x10, 1, 5]));
        assert_eq!(FRAME.pushes(None).count(), 5);
    }

    #[test]
    fn gates_clear_flags_and_interrupt_gates_if() {
        let all = flags::IF | flags::TF | flags::NT | flags::RF | flags::AC | flags::FIXED;
        assert_eq!(handler_flags(all, true), flags::IF | flags::AC | flags::FIXED);
        assert_eq!(handler_flags(all, false), flags::AC | flags::FIXED);
    }

    #[test]
    fn returns_are_checked_in_order() {
        let table = [0, CODE.0, DATA.0, COMPATIBILITY.0, USER_DATA.0, USER_CODE.0];
        let look_up = |selector: u16| -> Result<Descriptor, Refusal> {
            Ok(Descriptor(table[usize::from(selector / 8)]))
        };
        let high = 1 << 47;
        // CPL, CS, SS, RIP; level returned to, or vector and error code.
        let cases = [
            (0, 0x08, 0x10, 0, Ok(0)),
            (0, 0x2b, 0x23, 0, Ok(3)),
            (0, 0x08, 0, 0, Ok(0)),
            (0, 0x2b, 0, 0, Err((13, 0))),
            (3, 0x08, 0x10, 0, Err((13, 0x08))),
            (0, 0, 0x10, high, Err((13, 0))),
            (0, 0x10, 0x10, high, Err((13, 0x10))),
            (0, 0x08, 0x23, high, Err((13, 0x20))),
            (0, 0x08, 0x10, high, Err((13, 0))),
        ];
        for (cpl, cs, ss, rip, expected) in cases {
            let to = FarReturn { rip, cs, rflags: 2, rsp: 0, ss: Some(ss) };
            let found = check_return(&to, cpl, look_up).map(|found| found.cpl);
            let expected =
                expected.map_err(|(vector, code)| Refusal::Fault(Fault { vector, code, va: 0 }));
            assert_eq!(found, expected, "{to:x?} at {cpl}");
        }
        let to = FarReturn { rip: 0, cs: 0x18, rflags: 2, rsp: 0, ss: None };
        assert!(matches!(check_return(&to, 0, look_up), Err(Refusal::Unmodelled(_))));
        let to = FarReturn { cs: 0x08, ..to };
        assert_eq!(check_return(&to, 0, look_up).map(|found| found.stack), Ok(None));
    }
}
