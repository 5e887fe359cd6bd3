//! The guest's image: built, as a disk, and whether its code is known to the interpreter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};
use x86::Lowered;

use crate::project;

/// Where the image is linked, and where a machine that Lamprey models starts.
const BASE: u64 = 0x10_0000;
const ENTRY: &str = "lamprey_boot64";

const SECTOR: usize = 512;
/// The boot sector reads this many sectors at a time.
const CHUNK: usize = 32;
/// Offset in the boot sector of the number of sectors that follow.
const COUNT: usize = 8;
/// A disk of [`CYLINDERS`] * 16 heads * 63 sectors.
const DISK: usize = CYLINDERS * 16 * 63 * SECTOR;
pub(super) const CYLINDERS: usize = 20;

/// Builds `guest/bare` with its own flags; the path of the image.
pub(super) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(project::cargo());
    // They would replace the flags that the guest needs.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(variable);
    }
    let status = command
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(folder)
        .current_dir(project::root().join("guest/bare"))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "guest/bare does not build");
    Ok(folder.join("x86_64-unknown-linux-gnu/release/bare"))
}

/// A disk that starts with the image's boot sector and holds its memory from [`BASE`] on.
pub(super) fn disk(image: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(image)?;
    let file = object::File::parse(&*bytes)?;
    let section = file.section_by_name(".bootsector").context("the image has no boot sector")?;
    let mut disk = section.data()?.to_vec();
    ensure!(disk.len() == SECTOR, "a boot sector of {} bytes", disk.len());
    let mut memory = Vec::new();
    for segment in file.segments() {
        let data = segment.data()?;
        let start = usize::try_from(segment.address() - BASE)?;
        memory.resize(memory.len().max(start + data.len()), 0);
        memory[start..start + data.len()].copy_from_slice(data);
    }
    let sectors = memory.len().div_ceil(SECTOR * CHUNK) * CHUNK;
    disk[COUNT..COUNT + 4].copy_from_slice(&u32::try_from(sectors)?.to_le_bytes());
    disk.append(&mut memory);
    ensure!(disk.len() <= DISK, "the image does not fit on the disk");
    disk.resize(DISK, 0);
    Ok(disk)
}

/// Instructions at and above [`ENTRY`] that the interpreter refuses: address and text.
pub(super) fn refused(image: &Path) -> anyhow::Result<Vec<String>> {
    let bytes = fs::read(image)?;
    let file = object::File::parse(&*bytes)?;
    let entry = file.symbols().find(|symbol| symbol.name() == Ok(ENTRY));
    let entry = entry.with_context(|| format!("no symbol {ENTRY}"))?.address();
    let text = file.section_by_name(".text").context("no .text")?;
    let code = text.data()?;
    let mut refused = Vec::new();
    let mut at = usize::try_from(entry - text.address())?;
    while at < code.len() {
        let ip = text.address() + u64::try_from(at)?;
        let length = match x86::lower(&code[at..code.len().min(at + x86::MAX_LEN)], ip) {
            Lowered::Op(op) => op.len(),
            Lowered::Unsupported { len, text, .. } => {
                refused.push(format!("{ip:x} {text}"));
                len
            }
            Lowered::Incomplete => {
                refused.push(format!("{ip:x} cut off"));
                1
            }
        };
        at += usize::from(length);
    }
    Ok(refused)
}
