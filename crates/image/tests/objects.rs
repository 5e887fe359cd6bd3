//! Paths to fields.

mod common;

use common::{c_guest, rust_guest, rust_guest_dwarf5};
use image::{Image, Place};

/// Returns the address of the Rust static of this name.
fn rust_static(image: &Image, name: &str) -> u64 {
    let mut symbols = image.symbols();
    let suffix = format!("::{name}");
    let symbol = symbols.find(|symbol| image::demangle(&symbol.name).ends_with(&suffix));
    symbol.expect("a static").address
}

#[track_caller]
fn check(place: Option<Place>, path: &str, offset_in_leaf: u64, leaf_size: u64, type_name: &str) {
    let expected =
        Place { path: path.to_owned(), offset_in_leaf, leaf_size, type_name: type_name.to_owned() };
    assert_eq!(place, Some(expected));
}

/// Offset, path, offset in it, its size, its type.
type Row = (u64, &'static str, u64, u64, &'static str);

#[track_caller]
fn check_static(name: &str, rows: &[Row]) {
    for image in [rust_guest(), rust_guest_dwarf5()] {
        let start = rust_static(image, name);
        for &(offset, path, offset_in_leaf, leaf_size, type_name) in rows {
            check(image.object_at(start + offset), path, offset_in_leaf, leaf_size, type_name);
        }
    }
}

const ATOMIC_U64: &str = "core::sync::atomic::AtomicU64";

#[test]
fn statics_have_short_names() {
    check_static("COUNTER", &[(0, "COUNTER", 0, 8, ATOMIC_U64), (7, "COUNTER", 7, 8, ATOMIC_U64)]);
}

#[test]
fn statics_in_functions_too() {
    check_static("NEXT_ID", &[(0, "NEXT_ID", 0, 4, "core::sync::atomic::AtomicU32")]);
}

#[test]
fn structs_in_arrays_in_structs() {
    check_static(
        "TABLE",
        &[
            (0, "TABLE.length", 0, 4, "u32"),
            (8, "TABLE.entries[0].id", 0, 8, "u64"),
            (0x50, "TABLE.entries[3].id", 0, 8, "u64"),
            (0x58, "TABLE.entries[3].lock.held", 0, 1, "core::sync::atomic::AtomicBool"),
            (0x5c, "TABLE.entries[3].lock.owner", 0, 4, "core::sync::atomic::AtomicU32"),
            (0x60, "TABLE.entries[3].pair.0", 0, 2, "u16"),
            (0x65, "TABLE.entries[3].pair.1", 1, 4, "u32"),
            (0x6c, "TABLE.grid[1][1]", 0, 1, "u8"),
            (0x70, "TABLE.last", 0, 8, "u64"),
        ],
    );
}

#[test]
fn padding_belongs_to_the_struct() {
    check_static(
        "TABLE",
        &[
            (4, "TABLE", 4, 0x78, "guest::model::Table"),
            (0x59, "TABLE.entries[3].lock", 1, 8, "guest::model::Lock"),
            (0x63, "TABLE.entries[3].pair", 3, 8, "guest::model::Pair"),
        ],
    );
}

#[test]
fn wrappers_add_nothing() {
    check_static(
        "WRAPPED",
        &[
            (0, "WRAPPED.0.cell", 0, 8, "u64"),
            (0x10, "WRAPPED.0.inner[1].0", 0, 2, "u16"),
            (0x1c, "WRAPPED.0.maybe.1", 0, 4, "u32"),
            (0x24, "WRAPPED.0.manual[1]", 0, 4, "u32"),
            (0x28, "WRAPPED.0.counted.borrow", 0, 8, "isize"),
            (0x30, "WRAPPED.0.counted", 0, 8, "u64"),
        ],
    );
}

#[test]
fn paths_stop_at_enums() {
    let option = "core::option::Option<core::num::nonzero::NonZero<u64>>";
    check_static(
        "WRAPPED",
        &[
            (0x38, "WRAPPED.0.root", 0, 8, option),
            (0x48, "WRAPPED.0.choice", 8, 16, "guest::model::Choice"),
            (0x50, "WRAPPED.0.number", 0, 8, "core::num::nonzero::NonZero<u64>"),
        ],
    );
}

#[test]
fn generic_structs() {
    check_static(
        "SPACE",
        &[
            (0, "SPACE.owner.generation", 0, 8, ATOMIC_U64),
            (8, "SPACE.owner.lam.mask", 0, 8, ATOMIC_U64),
            (0x28, "SPACE.slots[3]", 0, 8, ATOMIC_U64),
        ],
    );
}

#[test]
fn tuples_have_positions() {
    // Rust orders the fields of tuples freely.
    for image in [rust_guest(), rust_guest_dwarf5()] {
        let start = rust_static(image, "TUPLE");
        let places = (0..32).filter_map(|offset| image.object_at(start + offset));
        let mut paths: Vec<String> = places.map(|place| place.path).collect();
        paths.sort();
        paths.dedup();
        let expected =
            ["TUPLE.0", "TUPLE.0.0", "TUPLE.0.1.data_ptr", "TUPLE.0.1.length", "TUPLE.0.2"];
        assert_eq!(paths, expected);
    }
}

#[test]
fn fields_of_named_types() {
    for image in [rust_guest(), rust_guest_dwarf5()] {
        let field = |type_name: &str, offset| image.field_at(type_name, offset);
        check(field("guest::model::Mm", 8), "lam.mask", 0, 8, ATOMIC_U64);
        check(field("guest::model::Mm", 9), "lam.mask", 1, 8, ATOMIC_U64);
        let spellings =
            ["guest::model::Space<guest::model::Mm, 4>", "guest::model::Space<guest::model::Mm,4>"];
        for spelling in spellings {
            check(field(spelling, 0x18), "slots[1]", 0, 8, ATOMIC_U64);
        }
        check(field("guest::model::Pair", 4), "1", 0, 4, "u32");
        check(field(ATOMIC_U64, 3), "", 3, 8, ATOMIC_U64);
        check(field("core::cell::UnsafeCell<[guest::model::Pair; 2]>", 12), "[1].1", 0, 4, "u32");
        assert_eq!(field("guest::model::Mm", 16), None);
        assert_eq!(field("guest::model::Mm", u64::MAX), None);
        assert_eq!(field("Mm", 0), None);
        assert_eq!(field("", 0), None);
    }
}

#[test]
fn c_structs() {
    for dwarf in [4, 5] {
        let image = c_guest(dwarf);
        for name in ["mm_struct", "struct mm_struct"] {
            let field = |offset| image.field_at(name, offset);
            check(field(0), "mm_count", 0, 4, "atomic_t");
            check(field(4), "", 4, 112, "mm_struct");
            check(field(8), "pgd", 0, 8, "u64 *");
            check(field(0x12), "flags", 2, 8, "u64");
            check(field(0x20), "context.lam_cr3_mask", 0, 8, "u64");
            check(field(0x28), "context.pinned", 0, 4, "atomic_t");
            check(field(0x30), "lazy|state", 0, 1, "unsigned int");
            check(field(0x32), "rest", 1, 2, "unsigned int");
            check(field(0x58), "grid[1][1]", 0, 8, "u64");
            check(field(0x68), "next", 0, 8, "list_head *");
            assert_eq!(field(112), None);
        }
        check(image.field_at("pair_t", 8), "second", 0, 8, "u64");
        check(image.field_at("struct trailer", 0x10), "tail[1]", 0, 8, "u64");
    }
}

#[test]
fn c_variables() {
    for dwarf in [4, 5] {
        let image = c_guest(dwarf);
        let at =
            |name: &str, offset| image.object_at(image.symbol(name).expect(name).address + offset);
        check(at("init_mm", 0x20), "init_mm.context.lam_cr3_mask", 0, 8, "u64");
        check(at("init_mm", 0x2c), "init_mm.context", 0x14, 0x18, "mm_context");
        check(at("pairs", 0x28), "pairs[2].second", 0, 8, "u64");
        check(at("list", 8), "list.prev", 0, 8, "list_head *");
        check(at("trailer", 0x10), "trailer.tail[1]", 0, 8, "u64");
        assert_eq!(at("trailer", 0x18), None);
        let calls = image.symbols().find(|symbol| symbol.name.starts_with("calls"));
        check(image.object_at(calls.expect("a static").address), "calls", 0, 8, "u64");
        assert_eq!(at("entry", 0), None);
        assert_eq!(image.object_at(0), None);
        assert_eq!(image.object_at(u64::MAX), None);
    }
}
