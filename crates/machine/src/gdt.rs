//! The segments of the kernel: selectors, and the descriptors that they stand for. There is no table in memory.

use interrupts::descriptor::Descriptor;

/// Selector of the kernel's 64-bit code segment.
pub(crate) const KERNEL_CS: u16 = 0x10;
/// Selector of the kernel's data segment.
pub(crate) const KERNEL_SS: u16 = 0x18;

/// Returns the descriptor of one of these selectors.
pub(crate) fn descriptor(selector: u16) -> Descriptor {
    Descriptor(if selector == KERNEL_CS { 0x00af_9b00_0000_ffff } else { 0x00cf_9300_0000_ffff })
}
