//! The ELF file: checked headers, segments, sections.

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

use crate::error::ImageError;
use crate::segment::Segment;
use crate::symbols::SymbolTable;

/// A section's name, address and range in the file.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) va: u64,
    /// Empty for a section that has no bytes in the file (`.bss`).
    pub(crate) range: Range<usize>,
    /// Decompressed bytes, if the file holds the section compressed.
    pub(crate) inflated: Option<Vec<u8>>,
}

/// The parts read from the file at once; debug information is left for later.
pub(crate) struct Elf {
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section>,
    pub(crate) symbols: SymbolTable,
    pub(crate) build_id: Option<Vec<u8>>,
    pub(crate) warnings: Vec<String>,
}

impl Elf {
    pub(crate) fn parse(name: &str, data: &[u8]) -> Result<Elf, ImageError> {
        let headers = Headers::read(name, data)?;
        let segments = load_segments(name, data, &headers)?;
        check_static(name, data, &headers)?;
        let file = ElfFile64::<LE>::parse(data).map_err(|error| ImageError::Damaged {
            name: name.to_owned(),
            what: "section header table".to_owned(),
            why: reason(&error),
        })?;
        let mut warnings = Vec::new();
        let sections = read_sections(&file, &mut warnings);
        let symbols = SymbolTable::read(&file, &segments, &mut warnings);
        let build_id = file.build_id().ok().flatten().map(<[u8]>::to_vec);
        Ok(Elf { entry: headers.entry, segments, sections, symbols, build_id, warnings })
    }
}

/// The largest size of a section after decompression, 4 GiB; larger ones are left out.
const INFLATED_SIZE_MAX: u64 = 1 << 32;
/// The largest size of a segment: the kernel half that code and data are linked into spans 2 GiB.
const SEGMENT_SIZE_MAX: u64 = 1 << 31;
const FILE_HEADER_SIZE: u64 = 64;
const PROGRAM_HEADER_SIZE: u64 = 56;
const SECTION_HEADER_SIZE: u64 = 64;
const DYNAMIC_ENTRY_SIZE: usize = 16;

/// The file header and the program headers.
struct Headers {
    entry: u64,
    programs: Vec<ProgramHeader>,
}

struct ProgramHeader {
    kind: elf::ProgramType,
    flags: elf::ProgramFlags,
    offset: u64,
    va: u64,
    pa: u64,
    file_size: u64,
    mem_size: u64,
}

impl Headers {
    fn read(name: &str, data: &[u8]) -> Result<Headers, ImageError> {
        check_ident(name, data)?;
        bytes_at(name, data, "ELF header", 0, FILE_HEADER_SIZE)?;
        check_machine(name, u16_at(data, 18))?;
        check_type(name, u16_at(data, 16))?;
        let table = u64_at(data, 32);
        let count = u64::from(u16_at(data, 56));
        let entry_size = u64::from(u16_at(data, 54));
        if count > 0 && entry_size != PROGRAM_HEADER_SIZE {
            return Err(damaged_size(
                name,
                "program header table",
                entry_size,
                PROGRAM_HEADER_SIZE,
            ));
        }
        let size = count * PROGRAM_HEADER_SIZE;
        let bytes = bytes_at(name, data, "program header table", table, size)?;
        check_section_table(name, data)?;
        let programs = bytes.chunks_exact(PROGRAM_HEADER_SIZE as usize).map(program_header);
        Ok(Headers { entry: u64_at(data, 24), programs: programs.collect() })
    }
}

fn program_header(bytes: &[u8]) -> ProgramHeader {
    ProgramHeader {
        kind: elf::ProgramType(u32_at(bytes, 0)),
        flags: elf::ProgramFlags(u32_at(bytes, 4)),
        offset: u64_at(bytes, 8),
        va: u64_at(bytes, 16),
        pa: u64_at(bytes, 24),
        file_size: u64_at(bytes, 32),
        mem_size: u64_at(bytes, 40),
    }
}

fn check_ident(name: &str, data: &[u8]) -> Result<(), ImageError> {
    if !data.starts_with(&elf::ELFMAG) {
        return Err(ImageError::NotElf { name: name.to_owned(), found: describe_start(data) });
    }
    let ident = bytes_at(name, data, "ELF identification", 0, 16)?;
    let bits = match elf::FileClass(ident[4]) {
        elf::ELFCLASS64 => "64-bit",
        elf::ELFCLASS32 => "32-bit",
        _ => "of unknown width",
    };
    let order = match elf::DataEncoding(ident[5]) {
        elf::ELFDATA2LSB => "little-endian",
        elf::ELFDATA2MSB => "big-endian",
        _ => "of unknown byte order",
    };
    if (bits, order) == ("64-bit", "little-endian") {
        return Ok(());
    }
    Err(ImageError::WrongClass { name: name.to_owned(), found: format!("{bits} {order}") })
}

fn describe_start(data: &[u8]) -> String {
    if data.is_empty() {
        return "it is empty".to_owned();
    }
    if data.starts_with(b"!<arch>\n") || data.starts_with(b"!<thin>\n") {
        return "it is an archive".to_owned();
    }
    let start: Vec<String> = data.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("it begins with {}", start.join(" "))
}

fn check_machine(name: &str, machine: u16) -> Result<(), ImageError> {
    let machine = match elf::Machine(machine) {
        elf::EM_X86_64 => return Ok(()),
        elf::EM_386 => "32-bit x86".to_owned(),
        elf::EM_AARCH64 => "AArch64".to_owned(),
        elf::EM_ARM => "Arm".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        elf::EM_PPC64 => "PowerPC".to_owned(),
        elf::EM_S390 => "s390".to_owned(),
        elf::EM_LOONGARCH => "LoongArch".to_owned(),
        other => format!("machine {}", other.0),
    };
    Err(ImageError::WrongMachine { name: name.to_owned(), machine })
}

fn check_type(name: &str, kind: u16) -> Result<(), ImageError> {
    let found = match elf::FileType(kind) {
        elf::ET_EXEC | elf::ET_DYN => return Ok(()),
        elf::ET_REL => return Err(ImageError::Relocatable { name: name.to_owned() }),
        elf::ET_CORE => "a core dump (ET_CORE)".to_owned(),
        other => format!("of ELF type {}", other.0),
    };
    Err(ImageError::WrongType { name: name.to_owned(), found })
}

fn check_section_table(name: &str, data: &[u8]) -> Result<(), ImageError> {
    let table = u64_at(data, 40);
    let entry_size = u64::from(u16_at(data, 58));
    let count = u64::from(u16_at(data, 60));
    if table == 0 {
        return Ok(());
    }
    if entry_size != SECTION_HEADER_SIZE {
        return Err(damaged_size(name, "section header table", entry_size, SECTION_HEADER_SIZE));
    }
    // A count of 0 means that the first header holds the count: there is at least one.
    bytes_at(name, data, "section header table", table, count.max(1) * SECTION_HEADER_SIZE)?;
    Ok(())
}

fn damaged_size(name: &str, what: &str, found: u64, expected: u64) -> ImageError {
    ImageError::Damaged {
        name: name.to_owned(),
        what: what.to_owned(),
        why: format!("its entries have {found} bytes, not {expected}"),
    }
}

fn load_segments(name: &str, data: &[u8], headers: &Headers) -> Result<Vec<Segment>, ImageError> {
    let mut segments = Vec::new();
    for (index, header) in headers.programs.iter().enumerate() {
        if header.kind != elf::PT_LOAD || header.mem_size == 0 {
            continue;
        }
        segments.push(load_segment(name, data, index, header)?);
    }
    if segments.is_empty() {
        return Err(ImageError::NoSegments { name: name.to_owned() });
    }
    segments.sort_by_key(|segment| segment.va);
    for pair in segments.windows(2) {
        if pair[0].contains(pair[1].va) {
            let (first, second) = (pair[0].va, pair[1].va);
            return Err(ImageError::Overlap { name: name.to_owned(), first, second });
        }
    }
    Ok(segments)
}

fn load_segment(
    name: &str,
    data: &[u8],
    index: usize,
    header: &ProgramHeader,
) -> Result<Segment, ImageError> {
    let bad =
        |why: String| ImageError::BadSegment { name: name.to_owned(), index, va: header.va, why };
    let ProgramHeader { va, pa, file_size, mem_size, .. } = *header;
    if file_size > mem_size {
        return Err(bad(format!("has {file_size} bytes in the file for {mem_size} in memory")));
    }
    if mem_size > SEGMENT_SIZE_MAX {
        return Err(bad(format!("is {mem_size:#x} bytes long, more than 2 GiB")));
    }
    if va.checked_add(mem_size - 1).is_none() {
        return Err(bad(format!("is {mem_size:#x} bytes long and wraps around")));
    }
    let what = format!("segment at {va:#x}");
    let bytes = bytes_at(name, data, &what, header.offset, file_size)?.to_vec();
    Ok(Segment {
        va,
        pa,
        mem_size,
        bytes,
        readable: header.flags.contains(elf::PF_R),
        writable: header.flags.contains(elf::PF_W),
        executable: header.flags.contains(elf::PF_X),
    })
}

/// Refuses an image that only a dynamic linker can start.
fn check_static(name: &str, data: &[u8], headers: &Headers) -> Result<(), ImageError> {
    let dynamic = |why: &str| ImageError::Dynamic { name: name.to_owned(), why: why.to_owned() };
    if headers.programs.iter().any(|header| header.kind == elf::PT_INTERP) {
        return Err(dynamic("it has a PT_INTERP header"));
    }
    let mut relocation_bytes = 0u64;
    for header in headers.programs.iter().filter(|header| header.kind == elf::PT_DYNAMIC) {
        let bytes = bytes_at(name, data, "dynamic section", header.offset, header.file_size)?;
        for entry in bytes.chunks_exact(DYNAMIC_ENTRY_SIZE) {
            let (tag, value) = (u64_at(entry, 0), u64_at(entry, 8));
            match elf::DynamicTag(tag.cast_signed()) {
                elf::DT_NULL => break,
                elf::DT_NEEDED => return Err(dynamic("it needs shared libraries")),
                elf::DT_RELASZ | elf::DT_RELSZ | elf::DT_RELRSZ | elf::DT_PLTRELSZ => {
                    relocation_bytes = relocation_bytes.saturating_add(value);
                }
                _ => {}
            }
        }
    }
    if relocation_bytes > 0 {
        let name = name.to_owned();
        return Err(ImageError::DynamicRelocations { name, bytes: relocation_bytes });
    }
    Ok(())
}

fn read_sections(file: &ElfFile64<'_, LE>, warnings: &mut Vec<String>) -> Vec<Section> {
    let mut sections = Vec::new();
    for section in file.sections() {
        let Ok(name) = section.name() else {
            warnings.push(format!("section {} has no readable name, left out", section.index()));
            continue;
        };
        let name = name.to_owned();
        match section_bytes(&section) {
            Ok((range, inflated)) => {
                sections.push(Section { name, va: section.address(), range, inflated });
            }
            Err(why) => warnings.push(format!("section {name} left out: {why}")),
        }
    }
    sections
}

type SectionBytes = (Range<usize>, Option<Vec<u8>>);

fn section_bytes<'data>(section: &impl ObjectSection<'data>) -> Result<SectionBytes, String> {
    let data = section.compressed_data().map_err(|error| reason(&error))?;
    if data.format != object::CompressionFormat::None {
        if data.uncompressed_size > INFLATED_SIZE_MAX {
            return Err("it is larger than 4 GiB when decompressed".to_owned());
        }
        let bytes = data.decompress().map_err(|error| reason(&error))?;
        return Ok((0..0, Some(bytes.into_owned())));
    }
    // The bytes were read above, so the range is within the file.
    match section.file_range() {
        Some((start, size)) if !data.data.is_empty() => {
            let start = usize::try_from(start).map_err(|_| "it starts past 2^64".to_owned())?;
            let size = usize::try_from(size).map_err(|_| "it ends past 2^64".to_owned())?;
            Ok((start..start.saturating_add(size), None))
        }
        _ => Ok((0..0, None)),
    }
}

/// Returns the `size` bytes at `start`, or an error that names the part.
fn bytes_at<'data>(
    name: &str,
    data: &'data [u8],
    what: &str,
    start: u64,
    size: u64,
) -> Result<&'data [u8], ImageError> {
    let end = start.saturating_add(size);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| data.get(start..end)).ok_or_else(|| ImageError::Truncated {
        name: name.to_owned(),
        what: what.to_owned(),
        start,
        end,
        len: data.len() as u64,
    })
}

/// Words an error of `object` for the middle of a sentence.
fn reason(error: &object::read::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}

/// Reads two bytes; zero if `data` ends before: the callers have checked the length.
fn u16_at(data: &[u8], at: usize) -> u16 {
    array_at(data, at).map_or(0, u16::from_le_bytes)
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    array_at(data, at).map_or(0, u32::from_le_bytes)
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    array_at(data, at).map_or(0, u64::from_le_bytes)
}

fn array_at<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.get(..N)?.try_into().ok()
}
