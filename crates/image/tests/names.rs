//! Short names of functions.

use image::{demangle, short_name};

#[test]
fn short_names() {
    let table = [
        // functions
        ("switch_mm", "switch_mm"),
        ("seed::before::switch_mm", "switch_mm"),
        ("seed::before::switch_mm::<seed::Cpu, 4>", "switch_mm"),
        ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "drop_in_place"),
        ("core::ptr::write_volatile::<fn(u8) -> core::option::Option<u8>>", "write_volatile"),
        // methods
        ("seed::model::Mm::new", "Mm::new"),
        ("aspace::Space<seed::Hw, 4>::activate", "Space::activate"),
        ("<aspace::Space<seed::Hw, 4>>::activate", "Space::activate"),
        ("<aspace::Space<seed::Hw, 4>>::activate::<u8>", "Space::activate"),
        ("<seed::Core as seed::Switch>::switch_to", "Core::switch_to"),
        ("<seed::Core<fn(u8) -> u8> as seed::Switch<u8>>::switch_to", "Core::switch_to"),
        ("<&mut g::p::W as core::fmt::Write>::write_str", "W::write_str"),
        ("<&T as core::fmt::Display>::fmt", "T::fmt"),
        ("<dyn core::fmt::Write>::write_fmt", "Write::write_fmt"),
        ("<[core::sync::atomic::AtomicU64]>::len", "[AtomicU64]::len"),
        ("<[seed::Entry; 4] as core::ops::Index<usize>>::index", "[Entry]::index"),
        ("<u64>::wrapping_add", "u64::wrapping_add"),
        ("core::num::<impl u64>::wrapping_add", "u64::wrapping_add"),
        ("seed::x::<impl core::ops::Add<u8> for seed::Va>::add", "Va::add"),
        ("core::fmt::Write::write_fmt", "Write::write_fmt"),
        ("seed::cpu::{impl#2}::load", "load"),
        // closures belong to the function that holds them
        ("seed::a::b::{closure#0}", "b"),
        ("seed::a::b::{{closure}}", "b"),
        ("seed::a::b::{{closure}}::{{closure}}", "b"),
        ("seed::a::b::<seed::T>::{closure#1}", "b"),
        ("<seed::Core>::switch_to::{closure#0}", "Core::switch_to"),
        ("<seed::a::b::{closure#0} as core::ops::FnOnce<()>>::call_once", "b"),
        ("core::ops::function::FnOnce::call_once{{vtable.shim}}", "FnOnce::call_once"),
        ("<seed::a::b::{closure#0} as core::ops::FnOnce<()>>::call_once::{shim:vtable#0}", "b"),
        // suffixes of C compilers
        ("flush_tlb_func.constprop.0", "flush_tlb_func"),
        ("switch_mm_irqs_off.cold", "switch_mm_irqs_off"),
        (".Lout", ".Lout"),
        // not names
        ("", ""),
        ("::", "::"),
        ("<", ""),
        ("<<<>::", "<<>::"),
        ("{closure#0}", "{closure#0}"),
        ("\u{3b1}::\u{3b2}<\u{3b3}>", "\u{3b2}"),
    ];
    for (name, short) in table {
        assert_eq!(short_name(name), short, "of {name}");
    }
}

#[test]
fn demangling_drops_hashes() {
    let table = [
        ("_ZN4seed6before9switch_mm17h0123456789abcdefE", "seed::before::switch_mm"),
        (
            "_ZN44_$LT$g..p..W$u20$as$u20$core..fmt..Write$GT$9write_str17h6f23cf6ae49a00f3E",
            "<g::p::W as core::fmt::Write>::write_str",
        ),
        ("_RNvCsfLfy6EI15iL_7___rustc17rust_begin_unwind", "__rustc::rust_begin_unwind"),
        (
            "_RNvMsa_NtCsgEmfK2I1SDS_4core3fmtNtB5_9Formatter12pad_integral",
            "<core::fmt::Formatter>::pad_integral",
        ),
        ("switch_mm_irqs_off", "switch_mm_irqs_off"),
        ("_ZN4seed", "_ZN4seed"),
    ];
    for (raw, name) in table {
        assert_eq!(demangle(raw), name, "of {raw}");
    }
}
