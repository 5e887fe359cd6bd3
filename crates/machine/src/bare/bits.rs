//! Parts of numbers.

/// Bits 7:0.
pub(super) fn low8(value: u64) -> u8 {
    u8::try_from(value & 0xff).expect("8 bits")
}

/// Bits 15:0.
pub(super) fn low16(value: u64) -> u16 {
    u16::try_from(value & 0xffff).expect("16 bits")
}

/// Bits 31:0.
pub(super) fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).expect("32 bits")
}

/// Bits 63:0.
pub(super) fn low64(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).expect("64 bits")
}
