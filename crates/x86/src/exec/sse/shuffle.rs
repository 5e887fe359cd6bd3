//! Shuffles, interleaves, packs and shifts.

use super::lanes::{doublewords, from_doublewords, from_words, map16, map32, map64, words};
use crate::num::{high64, join, low32, low64};
use crate::op::Kind;

/// Returns two bits of a shuffle control.
fn pick(control: u8, i: usize) -> usize {
    usize::from(control >> (2 * (i & 3)) & 3)
}

/// Computes PSLL, PSRL, PSRA by the low quadword of `b`; PSLLDQ, PSRLDQ by bytes.
pub(super) fn shifted(kind: Kind, a: u128, b: u128) -> Option<u128> {
    use Kind as K;
    let count = low64(b);
    // 255 is beyond every width, in bits and in bytes.
    let n = low32(count.min(255));
    let bytes = 8 * n;
    Some(match kind {
        K::Pslldq => a.checked_shl(bytes).unwrap_or(0),
        K::Psrldq => a.checked_shr(bytes).unwrap_or(0),
        K::Psllw => map16(a, 0, |lane, _| lane.checked_shl(n).unwrap_or(0)),
        K::Pslld => map32(a, 0, |lane, _| lane.checked_shl(n).unwrap_or(0)),
        K::Psllq => map64(a, 0, |lane, _| lane.checked_shl(n).unwrap_or(0)),
        K::Psrlw => map16(a, 0, |lane, _| lane.checked_shr(n).unwrap_or(0)),
        K::Psrld => map32(a, 0, |lane, _| lane.checked_shr(n).unwrap_or(0)),
        K::Psrlq => map64(a, 0, |lane, _| lane.checked_shr(n).unwrap_or(0)),
        K::Psraw => map16(a, 0, |lane, _| (lane.cast_signed() >> n.min(15)).cast_unsigned()),
        K::Psrad => map32(a, 0, |lane, _| (lane.cast_signed() >> n.min(31)).cast_unsigned()),
        _ => return None,
    })
}

/// Computes every operation that moves lanes.
pub(super) fn shuffled(kind: Kind, a: u128, b: u128, control: u8) -> u128 {
    use Kind as K;
    let quad = |value: u128, i: usize| if i & 1 == 0 { low64(value) } else { high64(value) };
    match kind {
        K::Pshufd => {
            let lanes = doublewords(b);
            from_doublewords(std::array::from_fn(|i| lanes[pick(control, i)]))
        }
        K::Pshuflw | K::Pshufhw => {
            let lanes = words(b);
            let half = if kind == K::Pshufhw { 4 } else { 0 };
            from_words(std::array::from_fn(|i| {
                if i & 4 == half { lanes[half + pick(control, i)] } else { lanes[i] }
            }))
        }
        K::Shufps => {
            let (x, y) = (doublewords(a), doublewords(b));
            from_doublewords(std::array::from_fn(|i| {
                if i < 2 { x[pick(control, i)] } else { y[pick(control, i)] }
            }))
        }
        K::Shufpd => join(quad(b, usize::from(control >> 1)), quad(a, usize::from(control))),
        K::Packuswb => packed_bytes(a, b, |word| word.clamp(0, 255).to_le_bytes()[0]),
        K::Packsswb => packed_bytes(a, b, |word| word.clamp(-128, 127).to_le_bytes()[0]),
        K::Packssdw => packed_words(a, b),
        _ => interleaved(kind, a, b),
    }
}

/// Computes PUNPCKL and PUNPCKH: lanes of the low or high halves in turn.
fn interleaved(kind: Kind, a: u128, b: u128) -> u128 {
    use Kind as K;
    let high = matches!(kind, K::Punpckhbw | K::Punpckhwd | K::Punpckhdq | K::Punpckhqdq);
    let lane = match kind {
        K::Punpcklbw | K::Punpckhbw => 1,
        K::Punpcklwd | K::Punpckhwd => 2,
        K::Punpckldq | K::Punpckhdq => 4,
        _ => 8,
    };
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    let start = if high { 8 } else { 0 };
    u128::from_le_bytes(std::array::from_fn(|i| {
        let (pair, within) = (i / (2 * lane), i % (2 * lane));
        let source = if within < lane { &a } else { &b };
        source[start + pair * lane + within % lane]
    }))
}

fn packed_bytes(a: u128, b: u128, narrow: impl Fn(i16) -> u8) -> u128 {
    let (a, b) = (words(a), words(b));
    u128::from_le_bytes(std::array::from_fn(|i| {
        let word = if i < 8 { a[i] } else { b[i - 8] };
        narrow(word.cast_signed())
    }))
}

fn packed_words(a: u128, b: u128) -> u128 {
    let (a, b) = (doublewords(a), doublewords(b));
    from_words(std::array::from_fn(|i| {
        let lane = if i < 4 { a[i] } else { b[i - 4] };
        let [low, high, ..] = lane.cast_signed().clamp(-0x8000, 0x7fff).to_le_bytes();
        u16::from_le_bytes([low, high])
    }))
}
