//! LAM and canonicality, compared with the other known wording: check the bits, then mask.

use mmu::bits::{CR3_LAM_U48, CR3_LAM_U57, CR4_LA57, CR4_LAM_SUP};
use mmu::lam::{canonical, data_address};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn masking_and_then_checking_is_checking_and_then_masking(pointer in pointer(), mode in mode()) {
        let (cr3, cr4) = mode;
        prop_assert_eq!(data_address(pointer, cr3, cr4), check_then_mask(pointer, cr3, cr4));
    }

    #[test]
    fn used_addresses_are_canonical_and_in_the_pointers_half(pointer in pointer(), mode in mode()) {
        let (cr3, cr4) = mode;
        if let Some(va) = data_address(pointer, cr3, cr4) {
            prop_assert!(canonical(va, cr4 & CR4_LA57 != 0));
            prop_assert_eq!(va >> 63, pointer >> 63);
            prop_assert_eq!(data_address(va, cr3, cr4), Some(va), "masking again changes nothing");
        }
    }

    #[test]
    fn canonical_means_equal_upper_bits(pointer in pointer(), la57: bool) {
        let upper = pointer >> if la57 { 56 } else { 47 };
        let ones = if la57 { 0xff } else { 0x1_ffff };
        prop_assert_eq!(canonical(pointer, la57), upper == 0 || upper == ones);
    }
}

/// Generates pointers. Bits 63:44, where the rules decide, are mostly equal, but for up to two of
/// them.
fn pointer() -> impl Strategy<Value = u64> {
    let differing = prop::collection::vec(44..64u32, 0..3);
    let tagged = (any::<bool>(), any::<u64>(), differing).prop_map(|(upper, low, differing)| {
        let low = low & ((1 << 44) - 1);
        let start = if upper { low | !((1 << 44) - 1) } else { low };
        differing.into_iter().fold(start, |pointer, bit| pointer ^ 1 << bit)
    });
    // Any tag in bits 62:48 or 62:57, as programs make them.
    let tag = (tagged.clone(), any::<u64>(), prop::sample::select(vec![48, 57]));
    let tag = tag.prop_map(|(pointer, tag, low)| {
        let field = ((1 << 63) - 1) & !((1 << low) - 1);
        pointer & !field | tag & field
    });
    prop_oneof![tagged, tag, any::<u64>()]
}

/// Generates CR3 and CR4.
fn mode() -> impl Strategy<Value = (u64, u64)> {
    let flag = |bit: u64| any::<bool>().prop_map(move |set| if set { bit } else { 0 });
    (flag(CR3_LAM_U48), flag(CR3_LAM_U57), flag(CR4_LAM_SUP), flag(CR4_LA57))
        .prop_map(|(u48, u57, sup, la57)| (u48 | u57, sup | la57))
}

fn check_then_mask(pointer: u64, cr3: u64, cr4: u64) -> Option<u64> {
    let bits = |low: u32, high: u32| (pointer >> low) & ((1 << (high - low + 1)) - 1);
    let all_equal = |low: u32, high: u32, bit: u64| {
        bits(low, high) == if bit == 0 { 0 } else { (1 << (high - low + 1)) - 1 }
    };
    let top = pointer >> 63;
    let la57 = cr4 & CR4_LA57 != 0;
    let (legal, low, ignored) = if top == 0 && cr3 & CR3_LAM_U57 != 0 {
        (all_equal(if la57 { 56 } else { 47 }, 56, 0), 57, true)
    } else if top == 0 && cr3 & CR3_LAM_U48 != 0 {
        (bits(47, 47) == 0, 48, true)
    } else if top == 1 && cr4 & CR4_LAM_SUP != 0 {
        let low = if la57 { 57 } else { 48 };
        (bits(low - 1, low - 1) == 1, low, true)
    } else {
        (all_equal(if la57 { 56 } else { 47 }, 62, top), 0, false)
    };
    if !legal {
        return None;
    }
    if !ignored {
        return Some(pointer);
    }
    let field = ((1u64 << 63) - 1) & !((1u64 << low) - 1);
    Some(if top == 0 { pointer & !field } else { pointer | field })
}
