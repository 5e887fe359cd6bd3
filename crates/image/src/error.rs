//! Reasons why a file cannot be an image, each with the place and the mend.

use std::path::PathBuf;

use crate::input::InputError;

/// The reason why a file cannot be used as an image.
///
/// Each message names the file, says what is wrong and where, and ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is no file at the path.
    #[error("{}: no such file; check the path, or build the image first", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The file exists and cannot be read.
    #[error("{}: cannot be read: {source}; check that it is a file you may read", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file cannot be an image, and is not read.
    #[error("{}: not read: {why}", path.display())]
    Refused {
        /// The path as given.
        path: PathBuf,
        /// The reason.
        why: InputError,
    },
    /// The file does not begin with the ELF magic number.
    #[error("{name}: not an ELF file: {found}; give the linked executable")]
    NotElf {
        /// The image's name.
        name: String,
        /// The first bytes of the file, or what they belong to.
        found: String,
    },
    /// A header points past the end of the file.
    #[error(
        "{name}: cut short: the {what} takes bytes {start:#x} to {end:#x}, the file ends at \
         {len:#x}; copy it or build it again"
    )]
    Truncated {
        /// The image's name.
        name: String,
        /// The header or part that does not fit.
        what: String,
        /// First byte of the part, from the start of the file.
        start: u64,
        /// End of the part, from the start of the file.
        end: u64,
        /// Size of the file in bytes.
        len: u64,
    },
    /// The file is 32-bit or big-endian.
    #[error("{name}: a {found} ELF file, 64-bit little-endian is needed; build it for x86-64")]
    WrongClass {
        /// The image's name.
        name: String,
        /// Width and byte order of the file.
        found: String,
    },
    /// The file is built for another processor.
    #[error("{name}: built for {machine}, not for x86-64; build it for x86-64")]
    WrongMachine {
        /// The image's name.
        name: String,
        /// The processor that it is built for.
        machine: String,
    },
    /// The file is a relocatable object, not linked yet.
    #[error(
        "{name}: a relocatable object (ET_REL); objects are not supported yet, link it to a \
         static executable first"
    )]
    Relocatable {
        /// The image's name.
        name: String,
    },
    /// The file is neither an executable nor a static position-independent executable.
    #[error("{name}: {found}, not an executable; give the linked executable")]
    WrongType {
        /// The image's name.
        name: String,
        /// Type of the file.
        found: String,
    },
    /// The file needs a loader or shared libraries.
    #[error("{name}: needs a dynamic linker ({why}); link it with -nostdlib -static -no-pie")]
    Dynamic {
        /// The image's name.
        name: String,
        /// The header that shows it.
        why: String,
    },
    /// The file needs a loader that relocates it at start.
    #[error(
        "{name}: has {bytes} bytes of dynamic relocations; link it with -no-pie, compile it with \
         -C relocation-model=static (C: -fno-pie)"
    )]
    DynamicRelocations {
        /// The image's name.
        name: String,
        /// Size of the relocation tables in bytes.
        bytes: u64,
    },
    /// The file has nothing to load.
    #[error("{name}: no loadable segment (PT_LOAD); check the linker script and --gc-sections")]
    NoSegments {
        /// The image's name.
        name: String,
    },
    /// A segment that cannot be loaded as described.
    #[error("{name}: segment {index} at {va:#x} {why}; check the linker script, or build it again")]
    BadSegment {
        /// The image's name.
        name: String,
        /// Index among the program headers, from 0.
        index: usize,
        /// Address of the segment.
        va: u64,
        /// The fault.
        why: String,
    },
    /// Two segments claim the same address.
    #[error(
        "{name}: segments at {first:#x} and {second:#x} overlap; give them addresses of their own \
         in the linker script"
    )]
    Overlap {
        /// The image's name.
        name: String,
        /// Address of the lower segment.
        first: u64,
        /// Address of the upper segment, inside the lower one.
        second: u64,
    },
    /// A table that is complete and contradicts itself.
    #[error("{name}: the {what} is damaged: {why}; build it again")]
    Damaged {
        /// The image's name.
        name: String,
        /// The table.
        what: String,
        /// The fault.
        why: String,
    },
}
