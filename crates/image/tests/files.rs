//! Contents of the file: segments, sections, symbols, identity.

mod common;

use common::{
    BASE, c_guest, c_guest_bytes, rust_guest, rust_guest_bytes, rust_guest_dwarf5, scratch,
};
use image::{Image, SymbolKind};

#[test]
fn an_image_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Image>();
}

#[test]
fn segments_hold_the_bytes_to_load() {
    let image = rust_guest();
    let [text, notes, data] = image.segments() else { panic!("{:?}", image.segments()) };
    assert_eq!(text.va, BASE);
    assert_eq!((text.readable, text.writable, text.executable), (true, false, true));
    assert_eq!((notes.readable, notes.writable, notes.executable), (true, false, false));
    assert_eq!((data.readable, data.writable, data.executable), (true, true, false));
    assert_eq!(text.bytes.len() as u64, text.mem_size);
    assert!(data.contains(data.va) && !data.contains(data.va + data.mem_size));
    let counter = image.object_at(data.va).expect("the first variable");
    assert_eq!(counter.path, "SPACE.owner.generation");
    assert_eq!(data.bytes[..8], 1u64.to_le_bytes());
}

#[test]
fn bss_has_memory_and_no_bytes() {
    let image = c_guest(5);
    let data = image.segments().last().expect("segments");
    assert!(data.mem_size > data.bytes.len() as u64);
    let calls = image.symbols().find(|symbol| symbol.name.starts_with("calls")).expect("calls");
    let (va, bytes) = image.section(".bss").expect("a section");
    assert_eq!((va, bytes.len()), (calls.address, 0));
}

#[test]
fn sections_have_address_and_bytes() {
    let image = rust_guest();
    let (va, bytes) = image.section(".text").expect("a section");
    assert_eq!(va, BASE);
    assert_eq!(bytes[..16], image.segments()[0].bytes[..16]);
    assert!(image.section(".no_such").is_none());
}

#[test]
fn symbols_by_name_also_local_ones() {
    let image = c_guest(4);
    let entry = image.symbol("entry").expect("a symbol");
    assert_eq!((entry.kind, entry.global), (SymbolKind::Function, true));
    assert_eq!(entry.address, image.entry());
    let count = image.symbol("count").expect("a local symbol");
    assert_eq!((count.kind, count.global), (SymbolKind::Function, false));
    let init_mm = image.symbol("init_mm").expect("a symbol");
    assert_eq!((init_mm.kind, init_mm.size), (SymbolKind::Object, 112));
    assert_eq!(image.symbol("bare_label").expect("a label").kind, SymbolKind::Other);
    assert!(image.symbol("no_such").is_none());
    assert!(image.symbol("").is_none());
    assert!(image.symbols().any(|symbol| symbol.name == "pairs"));
}

#[test]
fn functions_by_address() {
    let image = rust_guest();
    let outer = |va: u64| image.function_at(va);
    let label = image.symbol("in_outer").expect("a label").address;
    let (name, offset) = outer(label).expect("a function");
    assert_eq!(name, "guest::lines::outer");
    assert_eq!(outer(label - offset), Some((name.clone(), 0)));
    let size = image.symbols().find(|symbol| symbol.address == label - offset).expect("it").size;
    assert_eq!(outer(label - offset + size - 1), Some((name, size - 1)));
    // between functions, in data, nowhere
    assert_eq!(outer(label - offset + size), None);
    assert_eq!(outer(image.segments()[2].va), None);
    assert_eq!(outer(0), None);
    assert_eq!(outer(u64::MAX), None);
}

#[test]
fn a_label_without_size_reaches_to_the_next_symbol() {
    let image = c_guest(4);
    let label = image.symbol("bare_label").expect("a label").address;
    assert_eq!(image.function_at(label + 1), Some(("bare_label".to_owned(), 1)));
    let count = image.symbol("count").expect("a symbol").address;
    assert_eq!(image.function_at(count), Some(("count".to_owned(), 0)));
}

#[test]
fn the_build_id_is_the_id() {
    let bytes = c_guest_bytes(&["-Wl,--build-id=0xa01be77d00112233"]);
    assert_eq!(Image::parse("k", bytes).expect("a good image").id(), "a01be77d00112233");
}

#[test]
fn without_build_id_the_hash_is_the_id() {
    let mut bytes = c_guest_bytes(&[]);
    let id = Image::parse("k", bytes.clone()).expect("a good image").id();
    assert_eq!(id, Image::parse("other", bytes.clone()).expect("a good image").id());
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    bytes.push(0);
    assert_ne!(id, Image::parse("k", bytes).expect("a good image").id());
}

#[test]
fn producers() {
    let version =
        std::process::Command::new(common::rustc()).arg("--version").output().expect("rustc");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let short = version.split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(rust_guest().producer(), Some(short.clone()));
    assert_eq!(rust_guest_dwarf5().producer(), Some(short));
    assert_eq!(rust_guest().foreign_producers(), [""; 0]);
    let producer = c_guest(4).producer().expect("a compiler");
    assert_eq!(c_guest(4).foreign_producers(), [producer.as_str()]);
    assert!(producer.starts_with("gcc ") || producer.starts_with("clang "), "{producer}");
}

#[test]
fn debug_information_may_be_missing() {
    let image = Image::parse("k", c_guest_bytes(&["-g0"])).expect("a good image");
    assert!(!image.has_debug_info() && image.warnings().is_empty());
    assert_eq!(image.producer(), None);
    let entry = image.symbol("entry").expect("a symbol").address;
    let frames = image.frames(entry);
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].function.as_str(), &frames[0].file), ("entry", &None));
    let init_mm = image.symbol("init_mm").expect("a symbol").address;
    let place = image.object_at(init_mm + 8).expect("a variable");
    assert_eq!((place.path.as_str(), place.offset_in_leaf, place.leaf_size), ("init_mm", 8, 112));
    assert_eq!(image.field_at("mm_struct", 0), None);
}

#[test]
fn compressed_debug_information_is_read() {
    let image = Image::parse("k", c_guest_bytes(&["-g", "-gz=zlib"])).expect("a good image");
    assert!(image.has_debug_info());
    assert_eq!(image.field_at("pair_t", 8).expect("a field").path, "second");
}

#[test]
fn open_reads_a_file() {
    let path = scratch("open");
    std::fs::write(&path, rust_guest_bytes(4)).expect("a scratch file");
    let image = Image::open(&path).expect("a good image");
    std::fs::remove_file(&path).expect("a scratch file");
    assert_eq!(image.name(), path.display().to_string());
    assert!(image.has_debug_info() && image.warnings().is_empty());
}
