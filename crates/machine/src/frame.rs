//! The frame that the delivery of an interrupt pushes and IRETQ pops (SDM vol. 3 §6.14).
//!
//! In 64-bit mode the stack pointer is first aligned to 16 bytes, and SS and RSP are pushed whatever the
//! privilege level. Pure: layout and selectors, no access.

/// Selector of the kernel's 64-bit code segment.
pub(crate) const KERNEL_CS: u16 = 0x10;
/// Selector of the kernel's data segment.
pub(crate) const KERNEL_SS: u16 = 0x18;

/// What is on the stack of a handler when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) rip: u64,
    pub(crate) cs: u16,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u16,
}

impl Frame {
    /// Its five quadwords, the lowest address first.
    pub(crate) fn quadwords(self) -> [u64; 5] {
        [self.rip, u64::from(self.cs), self.rflags, self.rsp, u64::from(self.ss)]
    }

    /// RSP after the frame has been pushed onto a stack with this RSP.
    pub(crate) fn pushed_at(rsp: u64) -> u64 {
        (rsp & !15) - 5 * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rip_is_on_top_and_the_stack_is_aligned_before() {
        let frame = Frame { rip: 1, cs: KERNEL_CS, rflags: 2, rsp: 0x1009, ss: KERNEL_SS };
        assert_eq!(frame.quadwords(), [1, 0x10, 2, 0x1009, 0x18]);
        assert_eq!(Frame::pushed_at(frame.rsp), 0x1000 - 40);
        assert_eq!(Frame::pushed_at(0x1000), 0x1000 - 40);
    }
}
