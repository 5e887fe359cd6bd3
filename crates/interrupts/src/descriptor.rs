//! Segment and gate descriptors, and the checks a CPU makes of them (SDM vol. 3 §3.4.5, §5.2, §6.14.1,
//! §7.2; vol. 2 MOV, LTR, IRET, RET, INT n).

use x86::Fault;
use x86::num::{low8, low16, low32, low64};

const NP: u8 = 11;
const SS: u8 = 12;
const GP: u8 = 13;

/// Returns a fault whose error code names `selector`, or 0.
fn fault(vector: u8, selector: u16) -> Fault {
    Fault { vector, code: u32::from(selector & !3), va: 0 }
}

/// Returns the requested privilege level (SDM vol. 3 §3.4.2).
#[must_use]
pub fn rpl(selector: u16) -> u8 {
    low8(u64::from(selector & 3))
}

/// Tells whether `selector` names index 0 of the GDT (SDM vol. 3 §3.4.2).
#[must_use]
pub fn is_null(selector: u16) -> bool {
    selector & !3 == 0
}

/// Tells whether `selector` names the LDT (SDM vol. 3 §3.4.2).
#[must_use]
pub fn is_local(selector: u16) -> bool {
    selector & 4 != 0
}

/// 8 bytes of a descriptor table (SDM vol. 3 figure 3-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Bit 0 of the type of code and data: the segment has been loaded.
    pub const ACCESSED: u64 = 1 << 40;
    /// Bit 1 of the type of a TSS: it is in use.
    pub const BUSY: u64 = 1 << 41;

    fn bit(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }

    /// Returns the descriptor privilege level.
    #[must_use]
    pub fn dpl(self) -> u8 {
        low8(self.0 >> 45 & 3)
    }

    fn present(self) -> bool {
        self.bit(47)
    }

    /// S and type: bit 4 is set for code and data.
    fn kind(self) -> u8 {
        low8(self.0 >> 40 & 0x1f)
    }

    fn is_code(self) -> bool {
        self.kind() & 0x18 == 0x18
    }

    fn is_data(self) -> bool {
        self.kind() & 0x18 == 0x10
    }

    /// Tells whether it is conforming code.
    #[must_use]
    pub fn is_conforming(self) -> bool {
        self.is_code() && self.kind() & 4 != 0
    }

    /// Tells whether it is code for 64-bit mode.
    #[must_use]
    pub fn is_long(self) -> bool {
        self.bit(53) && !self.bit(54)
    }

    /// Returns the base: 32 bits, the lower half of that of a system segment.
    #[must_use]
    pub fn base(self) -> u64 {
        self.0 >> 16 & 0xff_ffff | self.0 >> 56 << 24
    }

    /// Returns the limit in bytes, less one.
    #[must_use]
    pub fn limit(self) -> u32 {
        let limit = low32(self.0 & 0xffff | self.0 >> 32 & 0xf_0000);
        if self.bit(55) { limit << 12 | 0xfff } else { limit }
    }
}

/// Checks that `selector`, not null, can be loaded into DS, ES, FS or GS (SDM vol. 2 MOV).
///
/// # Errors
///
/// #GP or #NP of the selector.
pub fn data(selector: u16, found: Descriptor, cpl: u8) -> Result<(), Fault> {
    let readable = found.is_data() || found.is_code() && found.kind() & 2 != 0;
    let level = cpl.max(rpl(selector));
    if !readable || !found.is_conforming() && level > found.dpl() {
        return Err(fault(GP, selector));
    }
    if found.present() { Ok(()) } else { Err(fault(NP, selector)) }
}

/// Checks that `selector`, not null, can be loaded into SS for privilege level `cpl` (SDM vol. 2 MOV, IRET).
///
/// # Errors
///
/// #GP or #SS of the selector.
pub fn stack(selector: u16, found: Descriptor, cpl: u8) -> Result<(), Fault> {
    let writable = found.is_data() && found.kind() & 2 != 0;
    if !writable || rpl(selector) != cpl || found.dpl() != cpl {
        return Err(fault(GP, selector));
    }
    if found.present() { Ok(()) } else { Err(fault(SS, selector)) }
}

/// Checks that a null `selector` can be loaded into SS for privilege level `cpl`, in 64-bit mode (SDM vol. 3
/// §5.4.1.1).
///
/// # Errors
///
/// #GP(0).
pub fn null_stack(selector: u16, cpl: u8) -> Result<(), Fault> {
    if cpl != 3 && rpl(selector) == cpl { Ok(()) } else { Err(Fault::GP) }
}

/// Checks that a far return at `cpl` can load `selector`, not null, into CS (SDM vol. 2 IRET, RET).
///
/// # Errors
///
/// #GP or #NP of the selector.
pub fn returned_to(selector: u16, found: Descriptor, cpl: u8) -> Result<(), Fault> {
    let level = rpl(selector);
    let fits = if found.is_conforming() { found.dpl() <= level } else { found.dpl() == level };
    if level < cpl || !found.is_code() || !fits {
        return Err(fault(GP, selector));
    }
    if !found.present() {
        return Err(fault(NP, selector));
    }
    // L and D together are reserved.
    if found.bit(53) && found.bit(54) { Err(fault(GP, selector)) } else { Ok(()) }
}

/// Checks that a gate at `cpl` can lead to `selector`, not null (SDM vol. 3 §6.14.1; vol. 2 INT n).
///
/// # Errors
///
/// #GP or #NP of the selector.
pub fn gate_target(selector: u16, found: Descriptor, cpl: u8) -> Result<(), Fault> {
    if !found.is_code() || found.dpl() > cpl || !found.is_long() {
        return Err(fault(GP, selector));
    }
    if found.present() { Ok(()) } else { Err(fault(NP, selector)) }
}

/// Checks that LTR can load `selector`, not null, with these two halves (SDM vol. 2 LTR, vol. 3 §7.2.3).
///
/// # Errors
///
/// #GP or #NP of the selector.
pub fn task(selector: u16, found: Descriptor, upper: u64) -> Result<(), Fault> {
    const AVAILABLE: u8 = 9;
    if found.kind() != AVAILABLE || upper >> 40 & 0x1f != 0 {
        return Err(fault(GP, selector));
    }
    if found.present() { Ok(()) } else { Err(fault(NP, selector)) }
}

/// Returns the fault of a selector outside its table.
#[must_use]
pub fn beyond(selector: u16) -> Fault {
    fault(GP, selector)
}

/// 16 bytes of the IDT (SDM vol. 3 figure 6-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateDescriptor(pub u128);

impl GateDescriptor {
    fn field(self, shift: u32) -> u64 {
        low64(self.0 >> shift)
    }

    /// Returns the selector of the handler's code.
    #[must_use]
    pub fn selector(self) -> u16 {
        low16(self.field(16))
    }

    /// Returns the address of the handler.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.field(0) & 0xffff | (self.field(48) & 0xffff_ffff_ffff) << 16
    }

    /// Returns the number of the interrupt stack; 0 for none (SDM vol. 3 §6.14.5).
    #[must_use]
    pub fn ist(self) -> u8 {
        low8(self.field(32) & 7)
    }

    /// Tells whether it is an interrupt or trap gate of 64-bit mode.
    #[must_use]
    pub fn is_gate(self) -> bool {
        matches!(self.field(40) & 0x1f, 0xe | 0xf)
    }

    /// Tells a trap gate, which leaves IF as it is, from an interrupt gate.
    #[must_use]
    pub fn is_trap(self) -> bool {
        self.field(40) & 1 == 1
    }

    /// Returns the descriptor privilege level.
    #[must_use]
    pub fn dpl(self) -> u8 {
        low8(self.field(45) & 3)
    }

    /// Returns the present bit.
    #[must_use]
    pub fn present(self) -> bool {
        self.field(47) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Descriptor = Descriptor(0x00af_9b00_0000_ffff);
    const DATA: Descriptor = Descriptor(0x00cf_9300_0000_ffff);
    const USER_DATA: Descriptor = Descriptor(0x00cf_f300_0000_ffff);
    const USER_CODE: Descriptor = Descriptor(0x00af_fb00_0000_ffff);

    fn gp(selector: u16) -> Result<(), Fault> {
        Err(Fault { vector: GP, code: selector.into(), va: 0 })
    }

    #[test]
    fn stacks_are_writable_and_of_the_very_level() {
        assert_eq!(stack(0x10, DATA, 0), Ok(()));
        assert_eq!(stack(0x13, DATA, 0), gp(0x10));
        assert_eq!(stack(0x23, USER_DATA, 3), Ok(()));
        assert_eq!(stack(0x23, USER_DATA, 0), gp(0x20));
        assert_eq!(stack(0x08, CODE, 0), gp(0x08));
        let absent = Descriptor(DATA.0 & !(1 << 47));
        assert_eq!(stack(0x10, absent, 0), Err(Fault { vector: SS, code: 0x10, va: 0 }));
        assert_eq!((null_stack(0, 0), null_stack(3, 3)), (Ok(()), Err(Fault::GP)));
        assert_eq!(null_stack(3, 0), Err(Fault::GP));
    }

    #[test]
    fn data_segments_are_readable_and_of_no_inner_level() {
        assert_eq!(data(0x23, USER_DATA, 0), Ok(()));
        assert_eq!(data(0x13, DATA, 0), gp(0x10));
        assert_eq!(data(0x10, DATA, 3), gp(0x10));
        assert_eq!(data(0x08, CODE, 0), Ok(()));
        assert_eq!(data(0x08, Descriptor(CODE.0 & !(1 << 41)), 0), gp(0x08));
        let absent = Descriptor(DATA.0 & !(1 << 47));
        assert_eq!(data(0x10, absent, 0), Err(Fault { vector: NP, code: 0x10, va: 0 }));
    }

    #[test]
    fn returns_lead_to_code_of_the_requested_level() {
        assert_eq!(returned_to(0x08, CODE, 0), Ok(()));
        assert_eq!(returned_to(0x2b, USER_CODE, 0), Ok(()));
        assert_eq!(returned_to(0x08, CODE, 3), gp(0x08));
        assert_eq!(returned_to(0x0b, CODE, 0), gp(0x08));
        assert_eq!(returned_to(0x10, DATA, 0), gp(0x10));
    }

    #[test]
    fn fields_are_where_the_manual_has_them() {
        let segment = Descriptor(0x12cf_9334_5678_abcd);
        assert_eq!((segment.base(), segment.limit()), (0x1234_5678, 0xfabc_dfff));
        let gate = GateDescriptor(0x1111_2222_0000_0000 << 64 | 0x3333_ee05_0008_4444_u128);
        assert_eq!(gate.ist(), 5);
        assert_eq!((gate.selector(), gate.dpl()), (8, 3));
        assert!(gate.present() && gate.is_gate() && !gate.is_trap());
        let gate = GateDescriptor(0x1111_2222_u128 << 64 | 0x3333_8f05_0008_4444_u128);
        assert_eq!(gate.offset(), 0x1111_2222_3333_4444);
        assert!(gate.is_trap());
    }
}
