//! Truncations and masks, each named for what it keeps. The only `as` conversions of this crate.
//! Those that take the low bits of a register serve other crates, too.
#![expect(clippy::as_conversions, reason = "truncation is what these are named for")]

/// Returns Bits 7:0.
#[inline]
pub const fn low8(value: u64) -> u8 {
    value as u8
}

/// Returns Bits 15:0.
#[inline]
pub const fn low16(value: u64) -> u16 {
    value as u16
}

/// Returns Bits 31:0.
#[inline]
pub const fn low32(value: u64) -> u32 {
    value as u32
}

/// Returns Bits 63:0.
#[inline]
pub const fn low64(value: u128) -> u64 {
    value as u64
}

/// Returns Bits 127:64.
#[inline]
pub(crate) const fn high64(value: u128) -> u64 {
    (value >> 64) as u64
}

/// Joins two quadwords to one value.
#[inline]
pub(crate) const fn join(high: u64, low: u64) -> u128 {
    ((high as u128) << 64) | low as u128
}

/// Converts a length or lane number known to be below 256.
#[inline]
pub(crate) fn small(value: usize) -> u8 {
    debug_assert!(value < 256);
    value as u8
}

/// Returns ones in the low `size` bytes; `size` is 1, 2, 4 or 8.
#[inline]
pub(crate) const fn mask(size: u8) -> u64 {
    u64::MAX >> (64u32.wrapping_sub(8 * size as u32) & 63)
}

/// Sign-extends the low `size` bytes to 64 bits.
#[inline]
pub(crate) const fn sign_extend(value: u64, size: u8) -> u64 {
    let shift = 64u32.wrapping_sub(8 * size as u32) & 63;
    (((value << shift) as i64) >> shift) as u64
}

/// Returns the most significant bit of a `size`-byte value, as 0 or 1.
#[inline]
pub(crate) const fn msb(value: u64, size: u8) -> u64 {
    (value >> (8 * size as u32 - 1)) & 1
}

/// Multiplies two 64-bit operands as signed values.
#[inline]
pub(crate) const fn signed_product(a: u64, b: u64) -> i128 {
    (a as i64 as i128) * (b as i64 as i128)
}

/// Reinterprets a value in two's complement.
#[inline]
pub(crate) const fn signed128(value: u128) -> i128 {
    value as i128
}

/// Reinterprets a value in two's complement.
#[inline]
pub(crate) const fn unsigned128(value: i128) -> u128 {
    value as u128
}
