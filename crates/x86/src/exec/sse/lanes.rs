//! Vectors as lanes, lowest first.

use crate::num::{high64, join, low16, low32, low64};

pub(super) fn words(value: u128) -> [u16; 8] {
    std::array::from_fn(|i| low16(low64(value >> (16 * i))))
}

pub(super) fn doublewords(value: u128) -> [u32; 4] {
    std::array::from_fn(|i| low32(low64(value >> (32 * i))))
}

pub(super) fn from_words(lanes: [u16; 8]) -> u128 {
    lanes.iter().rev().fold(0, |value, &lane| value << 16 | u128::from(lane))
}

pub(super) fn from_doublewords(lanes: [u32; 4]) -> u128 {
    lanes.iter().rev().fold(0, |value, &lane| value << 32 | u128::from(lane))
}

pub(super) fn map8(a: u128, b: u128, f: impl Fn(u8, u8) -> u8) -> u128 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    u128::from_le_bytes(std::array::from_fn(|i| f(a[i], b[i])))
}

pub(super) fn map16(a: u128, b: u128, f: impl Fn(u16, u16) -> u16) -> u128 {
    let (a, b) = (words(a), words(b));
    from_words(std::array::from_fn(|i| f(a[i], b[i])))
}

pub(super) fn map32(a: u128, b: u128, f: impl Fn(u32, u32) -> u32) -> u128 {
    let (a, b) = (doublewords(a), doublewords(b));
    from_doublewords(std::array::from_fn(|i| f(a[i], b[i])))
}

pub(super) fn map64(a: u128, b: u128, f: impl Fn(u64, u64) -> u64) -> u128 {
    join(f(high64(a), high64(b)), f(low64(a), low64(b)))
}
