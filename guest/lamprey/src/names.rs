//! Names for reports: `mm_a.lam_cr3_mask = LAM_U57` instead of addresses and numbers.

use core::any::type_name;

use crate::hypercall::{lamprey_name, lamprey_name_root, lamprey_name_value};

/// Names an object. With the image's debug information its fields are named, too.
///
/// ```ignore
/// lamprey::name(mm, "mm_a"); // a store reads `mm_a.tlb_gen  0 -> 1`
/// ```
pub fn name<T>(object: &T, name: &str) {
    let type_name = type_name::<T>();
    // SAFETY: the host only reads the texts and remembers the address.
    unsafe {
        lamprey_name(
            core::ptr::from_ref(object).cast(),
            size_of::<T>(),
            name.as_ptr(),
            name.len(),
            type_name.as_ptr(),
            type_name.len(),
        );
    }
}

/// Names a 64-bit value, shown wherever it occurs alone.
///
/// ```ignore
/// lamprey::name_value(1 << 61, "LAM_U57");
/// ```
pub fn name_value(value: u64, name: &str) {
    // SAFETY: the host only reads the text.
    unsafe { lamprey_name_value(value, name.as_ptr(), name.len()) }
}

/// Names the page tables whose root is at physical address `pa`, for values of CR3.
///
/// ```ignore
/// lamprey::name_root(mm.root, "A"); // CR3 reads `{pcid 1, mm A, lam off}`
/// ```
pub fn name_root(pa: u64, name: &str) {
    // SAFETY: the host only reads the text.
    unsafe { lamprey_name_root(pa, name.as_ptr(), name.len()) }
}
