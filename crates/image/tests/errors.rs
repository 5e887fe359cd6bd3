//! Every reason for which a file is refused, and its exact message.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use common::elf::{DYNAMIC, INTERP, Program, elf, load, patched};
use image::{Image, InputError, read_file};

/// Parses `bytes` under the name `k` and expects this message.
#[track_caller]
fn check(bytes: Vec<u8>, message: &str) {
    let error = Image::parse("k", bytes).expect_err("it must be refused");
    assert_eq!(error.to_string(), message);
}

fn good() -> Vec<u8> {
    elf(&[load(0x1000, 16)], &[])
}

#[test]
fn the_smallest_image_is_taken() {
    let image = Image::parse("k", good()).expect("a good image");
    assert_eq!(image.entry(), 0x1000);
    assert_eq!(image.segments().len(), 1);
    assert!(!image.has_debug_info());
    let mend = "names of functions are missing; link without --strip-all";
    assert_eq!(image.warnings(), [format!("no symbol table: {mend}")]);
}

#[test]
fn no_such_file() {
    let error = Image::open(Path::new("/nonexistent/guest")).expect_err("there is no file");
    assert_eq!(
        error.to_string(),
        "/nonexistent/guest: no such file; check the path, or build the image first"
    );
}

#[test]
fn only_regular_files_are_read() {
    let refused = |path: &Path, kind: &str| {
        let error = Image::open(path).expect_err("no regular file").to_string();
        let mend = "copy what it gives to a file, and name that";
        let path = path.display();
        assert_eq!(error, format!("{path}: not read: it is {kind}, not a regular file; {mend}"));
    };
    let error = Image::open(Path::new("/")).expect_err("a folder").to_string();
    assert_eq!(error, "/: not read: it is a folder; name a file in it");
    refused(Path::new("/dev/zero"), "a character device");
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there");
    assert!(made.success());
    // The FIFO has no writer: an open would wait for ever.
    refused(&fifo, "a FIFO");
    let socket = folder.path().join("socket");
    let _bound = UnixListener::bind(&socket).expect("bound");
    refused(&socket, "a socket");
    // A link to a regular file is one.
    let (image, link) = (folder.path().join("image"), folder.path().join("link"));
    fs::write(&image, good()).expect("written");
    symlink(&image, &link).expect("linked");
    assert_eq!(Image::open(&link).expect("a good image").entry(), 0x1000);
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge");
    // The file is sparse and takes no room.
    File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("made");
    let error = Image::open(&path).expect_err("a TiB is no image").to_string();
    let why = "it has more than 4096 MiB, which nothing of its kind has; check the path";
    assert_eq!(error, format!("{}: not read: {why}", path.display()));
}

#[test]
fn a_file_of_unknown_size_is_read_up_to_the_limit() {
    // Such files have size 0 until they are read.
    let path = Path::new("/proc/self/maps");
    assert_eq!(fs::metadata(path).expect("there").len(), 0);
    assert!(!read_file(path, 1).expect("short").is_empty());
    assert!(matches!(read_file(path, 0), Err(InputError::TooLarge { limit: 0 })));
}

#[test]
fn not_elf() {
    let mend = "give the linked executable";
    check(vec![], &format!("k: not an ELF file: it is empty; {mend}"));
    let script = b"#!/bin/sh".to_vec();
    check(script, &format!("k: not an ELF file: it begins with 23 21 2f 62; {mend}"));
    let archive = b"!<arch>\nfoo.o/".to_vec();
    check(archive, &format!("k: not an ELF file: it is an archive; {mend}"));
}

#[test]
fn wrong_class() {
    let tail = "ELF file, 64-bit little-endian is needed; build it for x86-64";
    check(patched(good(), 4, &[1]), &format!("k: a 32-bit little-endian {tail}"));
    check(patched(good(), 5, &[2]), &format!("k: a 64-bit big-endian {tail}"));
    let unknown = "of unknown width of unknown byte order";
    check(patched(good(), 4, &[9, 9]), &format!("k: a {unknown} {tail}"));
}

#[test]
fn wrong_machine() {
    let mend = "build it for x86-64";
    check(patched(good(), 18, &[183]), &format!("k: built for AArch64, not for x86-64; {mend}"));
    let machine = "machine 4660";
    check(
        patched(good(), 18, &[0x34, 0x12]),
        &format!("k: built for {machine}, not for x86-64; {mend}"),
    );
}

#[test]
fn wrong_type() {
    check(
        patched(good(), 16, &[1]),
        "k: a relocatable object (ET_REL); objects are not supported yet, link it to a static \
         executable first",
    );
    let mend = "not an executable; give the linked executable";
    check(patched(good(), 16, &[4]), &format!("k: a core dump (ET_CORE), {mend}"));
    check(patched(good(), 16, &[0xfe, 0xfe]), &format!("k: of ELF type 65278, {mend}"));
}

#[test]
fn truncated() {
    let mend = "copy it or build it again";
    let cut = |len: usize| good()[..len].to_vec();
    check(
        cut(10),
        &format!(
            "k: cut short: the ELF identification takes bytes 0x0 to 0x10, the file ends at 0xa; {mend}"
        ),
    );
    check(
        cut(40),
        &format!(
            "k: cut short: the ELF header takes bytes 0x0 to 0x40, the file ends at 0x28; {mend}"
        ),
    );
    check(
        cut(100),
        &format!(
            "k: cut short: the program header table takes bytes 0x40 to 0x78, the file ends at 0x64; {mend}"
        ),
    );
    let far = Program { offset: 0x1000, ..load(0x1000, 16) };
    check(
        elf(&[far], &[]),
        &format!(
            "k: cut short: the segment at 0x1000 takes bytes 0x1000 to 0x1010, the file ends at 0x78; {mend}"
        ),
    );
    check(
        patched(good(), 40, &[0x70]),
        &format!(
            "k: cut short: the section header table takes bytes 0x70 to 0xb0, the file ends at 0x78; {mend}"
        ),
    );
    let dynamic = Program { kind: DYNAMIC, offset: 0x1000, ..load(0x1000, 16) };
    check(
        elf(&[load(0x1000, 16), dynamic], &[]),
        &format!(
            "k: cut short: the dynamic section takes bytes 0x1000 to 0x1010, the file ends at 0xb0; {mend}"
        ),
    );
}

#[test]
fn damaged_tables() {
    check(
        patched(good(), 54, &[57]),
        "k: the program header table is damaged: its entries have 57 bytes, not 56; build it again",
    );
    let sections = patched(patched(good(), 40, &[8]), 58, &[63]);
    check(
        sections,
        "k: the section header table is damaged: its entries have 63 bytes, not 64; build it again",
    );
}

#[test]
fn dynamically_linked() {
    let mend = "link it with -nostdlib -static -no-pie";
    let interp = Program { kind: INTERP, ..load(0x1000, 16) };
    check(
        elf(&[load(0x1000, 16), interp], &[]),
        &format!("k: needs a dynamic linker (it has a PT_INTERP header); {mend}"),
    );
    let needed = [1u64, 5].map(u64::to_le_bytes).concat();
    let bytes = dynamic_elf(&needed);
    check(bytes, &format!("k: needs a dynamic linker (it needs shared libraries); {mend}"));
}

#[test]
fn dynamic_relocations() {
    let table = [8u64, 48, 0, 0, 8, 1].map(u64::to_le_bytes).concat();
    check(
        patched(dynamic_elf(&table), 16, &[3]),
        "k: has 48 bytes of dynamic relocations; link it with -no-pie, compile it with \
         -C relocation-model=static (C: -fno-pie)",
    );
}

#[test]
fn a_static_pie_without_relocations_is_taken() {
    let table = [8u64, 0, 0, 0].map(u64::to_le_bytes).concat();
    Image::parse("k", patched(dynamic_elf(&table), 16, &[3])).expect("a good image");
}

/// Creates an image whose `PT_DYNAMIC` is `table`.
fn dynamic_elf(table: &[u8]) -> Vec<u8> {
    let offset = 64 + 2 * 56;
    let size = table.len() as u64;
    let dynamic = Program { kind: DYNAMIC, offset, file_size: size, ..load(0x1000, size) };
    elf(&[load(0x1000, 16), dynamic], table)
}

#[test]
fn no_segments() {
    let message = "k: no loadable segment (PT_LOAD); check the linker script and --gc-sections";
    check(elf(&[], &[]), message);
    let empty = Program { file_size: 0, ..load(0x1000, 0) };
    check(elf(&[empty], &[]), message);
}

#[test]
fn bad_segments() {
    let mend = "check the linker script, or build it again";
    check(
        elf(&[load(0x1000, 8)], &[]),
        &format!("k: segment 0 at 0x1000 has 16 bytes in the file for 8 in memory; {mend}"),
    );
    check(
        elf(&[load(0x1000, 16), load(0x2000, 0x8000_0001)], &[]),
        &format!("k: segment 1 at 0x2000 is 0x80000001 bytes long, more than 2 GiB; {mend}"),
    );
    check(
        elf(&[load(0xffff_ffff_ffff_f000, 0x1001)], &[]),
        &format!(
            "k: segment 0 at 0xfffffffffffff000 is 0x1001 bytes long and wraps around; {mend}"
        ),
    );
    Image::parse("k", elf(&[load(0xffff_ffff_ffff_f000, 0x1000)], &[])).expect("it just fits");
}

#[test]
fn overlapping_segments() {
    check(
        elf(&[load(0x2000, 16), load(0x1000, 0x1001)], &[]),
        "k: segments at 0x1000 and 0x2000 overlap; give them addresses of their own in the linker \
         script",
    );
    Image::parse("k", elf(&[load(0x2000, 16), load(0x1000, 0x1000)], &[])).expect("they just fit");
}
