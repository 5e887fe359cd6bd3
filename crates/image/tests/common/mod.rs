//! Fixtures, built by the compilers on demand.

#![allow(dead_code)] // each test file uses its own part

pub(crate) mod elf;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use image::Image;

/// The address that `guest.ld` links to.
pub(crate) const BASE: u64 = 0xffff_ffff_8100_0000;

/// Returns `tests/data/guest.rs`, with DWARF 4.
pub(crate) fn rust_guest() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| Image::parse("guest", rust_guest_bytes(4)).expect("a good image"))
}

/// Returns `tests/data/guest.rs`, with DWARF 5.
pub(crate) fn rust_guest_dwarf5() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| Image::parse("guest5", rust_guest_bytes(5)).expect("a good image"))
}

/// Returns `tests/data/kernel.c`, with DWARF 4 or 5.
pub(crate) fn c_guest(dwarf: u32) -> Image {
    Image::parse("kernel", c_guest_bytes(&[&format!("-gdwarf-{dwarf}")])).expect("a good image")
}

pub(crate) fn rust_guest_bytes(dwarf: u32) -> Vec<u8> {
    let script = format!("-Clink-arg=-Wl,-T,{}", data("guest.ld").display());
    let dwarf = format!("-Cdwarf-version={dwarf}");
    build(Command::new(rustc()).arg(data("guest.rs")).args([
        "--edition=2024",
        "--crate-type=bin",
        "--crate-name=guest",
        "-Copt-level=2",
        "-Cdebuginfo=2",
        "-Cpanic=abort",
        "-Ccodegen-units=1",
        "-Crelocation-model=static",
        "-Ccode-model=kernel",
        "-Cno-redzone=yes",
        "-Clink-args=-nostartfiles -nostdlib -static -no-pie",
        &dwarf,
        &script,
    ]))
}

pub(crate) fn c_guest_bytes(options: &[&str]) -> Vec<u8> {
    let script = format!("-Wl,-T,{}", data("guest.ld").display());
    let base = ["-O2", "-mcmodel=kernel", "-mno-red-zone", "-fno-pie", "-ffreestanding"];
    let link = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", &script];
    build(Command::new("cc").arg(data("kernel.c")).args(base).args(link).args(options))
}

/// Returns the compiler that cargo names, or the one in the path.
pub(crate) fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"))
}

/// Returns the line, from 1, that ends in a comment `line: <mark>`.
pub(crate) fn line_of(file: &str, mark: &str) -> Option<u32> {
    let text = std::fs::read_to_string(data(file)).expect("a fixture");
    let mark = format!("line: {mark}");
    let ends = |line: &str| line.trim_end_matches("*/").trim_end().ends_with(&mark);
    let position = text.lines().position(ends).expect("a marked line");
    u32::try_from(position + 1).ok()
}

pub(crate) fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// Returns a path for a file of this process alone.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{}-{name}", std::process::id()))
}

/// Runs a compiler and returns the file that it made.
fn build(command: &mut Command) -> Vec<u8> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let number = BUILDS.fetch_add(1, Ordering::Relaxed);
    let path = scratch(&format!("build-{number}"));
    let output = command
        .current_dir(data(""))
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    let bytes = std::fs::read(&path).expect("the compiler's output");
    std::fs::remove_file(&path).expect("the compiler's output");
    bytes
}
