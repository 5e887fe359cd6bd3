//! Positions in the source.

mod common;

use common::{c_guest, line_of, rust_guest, rust_guest_dwarf5};
use image::{Frame, Image, short_name};

fn frames(image: &Image, label: &str) -> Vec<Frame> {
    image.frames(image.symbol(label).expect("a label").address)
}

/// Returns function, line and the inlined flag of each frame.
fn summary(frames: &[Frame]) -> Vec<(&str, Option<u32>, bool)> {
    frames.iter().map(|frame| (frame.function.as_str(), frame.line, frame.inlined)).collect()
}

#[test]
fn inlined_functions_innermost_first() {
    for image in [rust_guest(), rust_guest_dwarf5()] {
        let frames = frames(image, "in_inner");
        let line = |mark| line_of("guest.rs", mark);
        let expected = [
            ("guest::lines::Counter::inner", line("in inner"), true),
            ("guest::lines::middle", line("middle calls inner"), true),
            ("guest::lines::outer", line("outer calls middle"), false),
        ];
        assert_eq!(summary(&frames), expected);
        assert!(frames.iter().all(|frame| frame.file.as_deref() == Some("guest.rs")));
        assert_eq!(frames[1].column, Some(27));
        assert_eq!(short_name(&frames[0].function), "Counter::inner");
    }
}

#[test]
fn a_function_alone() {
    for image in [rust_guest(), rust_guest_dwarf5()] {
        let frames = frames(image, "in_outer");
        let line = line_of("guest.rs", "in outer");
        assert_eq!(summary(&frames), [("guest::lines::outer", line, false)]);
    }
}

#[test]
fn a_closure_is_called_after_its_function() {
    let frames = frames(rust_guest(), "in_closure");
    let line = line_of("guest.rs", "in closure");
    assert_eq!(summary(&frames)[0], ("guest::entry::{{closure}}", line, true));
    assert_eq!(short_name(&frames[0].function), "entry");
    assert_eq!(frames.last().expect("frames").function, "guest::run");
}

#[test]
fn a_trait_method_keeps_its_type() {
    let frames = frames(rust_guest(), "in_method");
    assert_eq!(frames[0].function, "<guest::model::Core as guest::model::Switch>::switch_to");
    assert_eq!(short_name(&frames[0].function), "Core::switch_to");
}

#[test]
fn functions_in_c() {
    for dwarf in [4, 5] {
        let image = c_guest(dwarf);
        let line = |mark| line_of("kernel.c", mark);
        let expected =
            [("inlined", line("in inlined"), true), ("entry", line("entry calls inlined"), false)];
        assert_eq!(summary(&frames(&image, "in_inlined")), expected);
        let count = frames(&image, "in_count");
        assert_eq!(summary(&count), [("count", line("in count"), false)]);
        assert_eq!(count[0].file.as_deref(), Some("kernel.c"));
    }
}

#[test]
fn code_without_lines_is_its_symbol() {
    let image = c_guest(5);
    let label = frames(&image, "bare_label");
    assert_eq!(summary(&label), [("bare_label", None, false)]);
    assert_eq!(label[0].file, None);
    assert_eq!(image.frames(0), []);
    assert_eq!(image.frames(u64::MAX), []);
}
