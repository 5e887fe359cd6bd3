//! Linear Address Masking and canonicality: a pure function of the mode and the pointer.
//!
//! Intel's Instruction Set Extensions reference, chapter on LAM, §7.1 to 7.3: data accesses in 64-bit
//! mode only; bit 63 of the pointer, never CPL, decides whether it is a user pointer; `LAM_U57` makes
//! `LAM_U48` ignored. Written in the shorter of the two known wordings: sign-extend from bit 56 or 47,
//! put bit 63 back, then apply the plain check of canonicality.

use crate::bits::{CR3_LAM_U48, CR3_LAM_U57, CR4_LA57, CR4_LAM_SUP};

/// Returns the linear address that a data access through `pointer` uses; `None` where it is not
/// canonical (`#GP(0)`, or `#SS(0)` for a stack reference).
#[inline]
pub fn data_address(pointer: u64, cr3: u64, cr4: u64) -> Option<u64> {
    let la57 = cr4 & CR4_LA57 != 0;
    let user = pointer >> 63 == 0;
    let sign_bit = match (user, la57) {
        (true, _) if cr3 & CR3_LAM_U57 != 0 => Some(56),
        (true, _) if cr3 & CR3_LAM_U48 != 0 => Some(47),
        (false, la57) if cr4 & CR4_LAM_SUP != 0 => Some(if la57 { 56 } else { 47 }),
        _ => None,
    };
    let masked = match sign_bit {
        Some(bit) => (sign_extend(pointer, bit) & !(1 << 63)) | (pointer & (1 << 63)),
        None => pointer,
    };
    canonical(masked, la57).then_some(masked)
}

/// Returns whether `va` is canonical under 4-level or, with `la57`, 5-level paging.
#[inline]
pub fn canonical(va: u64, la57: bool) -> bool {
    sign_extend(va, if la57 { 56 } else { 47 }) == va
}

#[inline]
fn sign_extend(value: u64, bit: u32) -> u64 {
    let shift = 63 - bit;
    (value << shift).cast_signed().wrapping_shr(shift).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pointer, 5-level paging, LAM_U48, LAM_U57, LAM_SUP, address used.
    type Vector = (u64, bool, bool, bool, bool, Option<u64>);

    /// Checks the vectors from the rule's table in Intel's chapter.
    #[test]
    fn vectors_hold() {
        let vectors: &[Vector] = &[
            (0x2a00_7fff_dead_b000, false, false, false, false, None),
            (0x2a00_7fff_dead_b000, false, false, true, false, Some(0x7fff_dead_b000)),
            (0x2a00_7fff_dead_b000, false, true, true, false, Some(0x7fff_dead_b000)),
            (0x7fff_7fff_dead_b000, false, true, false, false, Some(0x7fff_dead_b000)),
            (0x7fff_7fff_dead_b000, false, false, true, false, None),
            (0x7fff_ffff_dead_b000, false, true, false, false, None),
            (0x00ff_8000_0000_0000, true, false, false, false, Some(0x00ff_8000_0000_0000)),
            (0x7eff_8000_0000_0000, true, false, true, false, Some(0x00ff_8000_0000_0000)),
            (0x7eff_8000_0000_0000, true, true, false, false, None),
            (0x7eff_0000_0000_0000, true, true, false, false, Some(0)),
            (0x01ff_0000_0000_0000, true, false, true, false, None),
            (0x8000_8880_0000_1000, false, false, false, true, Some(0xffff_8880_0000_1000)),
            (0x8000_7880_0000_1000, false, false, false, true, None),
            (0x81ff_1100_0000_0000, true, false, false, true, Some(0xffff_1100_0000_0000)),
            (0x80ff_1100_0000_0000, true, false, false, true, None),
        ];
        for &(pointer, la57, u48, u57, sup, expected) in vectors {
            let cr3 = if u48 { CR3_LAM_U48 } else { 0 } | if u57 { CR3_LAM_U57 } else { 0 };
            let cr4 = if la57 { CR4_LA57 } else { 0 } | if sup { CR4_LAM_SUP } else { 0 };
            assert_eq!(data_address(pointer, cr3, cr4), expected, "{pointer:#018x}");
        }
    }
}
