//! Why a file cannot be an image: what is wrong, where, and how to mend it.

use std::path::PathBuf;

use crate::input::InputError;

/// Why a file cannot be used as an image.
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
    /// The file is there and cannot be read.
    #[error("{}: cannot be read: {source}; check that it is a file you may read", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It can be no image, and is not read.
    #[error("{}: not read: {why}", path.display())]
    Refused {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        why: InputError,
    },
    /// The file does not begin with the ELF magic number.
    #[error("{name}: not an ELF file: {found}; give the linked executable")]
    NotElf {
        /// The image's name.
        name: String,
        /// How the file begins instead.
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
        /// Where the part begins, in bytes from the start of the file.
        start: u64,
        /// Where it ends.
        end: u64,
        /// The size of the file.
        len: u64,
    },
    /// 32-bit or big-endian.
    #[error("{name}: a {found} ELF file, 64-bit little-endian is needed; build it for x86-64")]
    WrongClass {
        /// The image's name.
        name: String,
        /// Width and byte order of the file.
        found: String,
    },
    /// Built for another processor.
    #[error("{name}: built for {machine}, not for x86-64; build it for x86-64")]
    WrongMachine {
        /// The image's name.
        name: String,
        /// The processor it is for.
        machine: String,
    },
    /// A relocatable object, not linked yet.
    #[error(
        "{name}: a relocatable object (ET_REL); objects are not supported yet, link it to a \
         static executable first"
    )]
    Relocatable {
        /// The image's name.
        name: String,
    },
    /// Neither an executable nor a static position-independent executable.
    #[error("{name}: {found}, not an executable; give the linked executable")]
    WrongType {
        /// The image's name.
        name: String,
        /// The type it has.
        found: String,
    },
    /// A loader or shared libraries would have to be there.
    #[error("{name}: needs a dynamic linker ({why}); link it with -nostdlib -static -no-pie")]
    Dynamic {
        /// The image's name.
        name: String,
        /// Which header says so.
        why: String,
    },
    /// A loader would have to relocate it at start.
    #[error(
        "{name}: has {bytes} bytes of dynamic relocations; link it with -no-pie, compile it with \
         -C relocation-model=static (C: -fno-pie)"
    )]
    DynamicRelocations {
        /// The image's name.
        name: String,
        /// The size of the relocation tables.
        bytes: u64,
    },
    /// Nothing would be loaded.
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
        /// The position among the program headers, from 0.
        index: usize,
        /// Its address.
        va: u64,
        /// What is wrong with it.
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
        /// Where the lower one begins.
        first: u64,
        /// Where the upper one begins, inside the lower one.
        second: u64,
    },
    /// A table that is complete and contradicts itself.
    #[error("{name}: the {what} is damaged: {why}; build it again")]
    Damaged {
        /// The image's name.
        name: String,
        /// Which table.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}
