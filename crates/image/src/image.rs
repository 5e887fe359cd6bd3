//! The image: one file, and the queries that it answers.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::dwarf::{DebugInfo, SectionData};
use crate::elf::{Elf, Section};
use crate::error::ImageError;
use crate::index::Index;
use crate::input::{InputError, read_file};
use crate::lines::{Frame, Lines};
use crate::name::{demangle, short_name};
use crate::place::{Place, descend};
use crate::segment::Segment;
use crate::symbols::{Symbol, SymbolTable};
use crate::types::Types;

/// The largest file, in MiB. Linux with all its debug information has less than half of that.
const MEBIBYTES_MAX: u64 = 4096;

/// A linked x86-64 program with its debug information.
///
/// Source positions and types are looked up in the debug information when first needed; the
/// first query about types reads all of it once.
pub struct Image {
    name: String,
    id: String,
    data: Arc<[u8]>,
    entry: u64,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    symbols: SymbolTable,
    debug: Option<Debug>,
    warnings: Mutex<Vec<String>>,
}

/// Debug information and the tables derived from it so far.
struct Debug {
    info: DebugInfo,
    lines: OnceLock<Option<Lines>>,
    index: OnceLock<Index>,
}

impl Image {
    /// Reads the file at `path`; the image's [`Image::name`] is the path.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, and like [`Image::parse`].
    pub fn open(path: &Path) -> Result<Image, ImageError> {
        let bytes = read_file(path, MEBIBYTES_MAX).map_err(|error| match error {
            InputError::System(source) if source.kind() == ErrorKind::NotFound => {
                ImageError::NotFound { path: path.to_owned() }
            }
            InputError::System(source) => ImageError::Unreadable { path: path.to_owned(), source },
            why => ImageError::Refused { path: path.to_owned(), why },
        })?;
        Image::parse(&path.display().to_string(), bytes)
    }

    /// Parses the bytes of a file; messages refer to it as `name`.
    ///
    /// # Errors
    ///
    /// Fails if it is not a complete static ELF executable for x86-64, or a segment cannot be
    /// loaded. Damaged debug information is not an error, see [`Image::warnings`].
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Image, ImageError> {
        let Elf { entry, segments, sections, symbols, build_id, mut warnings } =
            Elf::parse(name, &bytes)?;
        let id = match build_id {
            Some(id) if !id.is_empty() => id.iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))[..16].to_owned(),
        };
        let data: Arc<[u8]> = bytes.into();
        let info = DebugInfo::read(&data, |name| {
            let section = sections.iter().find(|section| section.name == name)?;
            Some(match &section.inflated {
                Some(bytes) => SectionData::Inflated(bytes),
                None => SectionData::File(section.range.clone()),
            })
        });
        let info = info.unwrap_or_else(|why| {
            warnings.push(format!("debug information is damaged and not used: {why}"));
            None
        });
        let debug = info.map(|info| Debug { info, lines: OnceLock::new(), index: OnceLock::new() });
        let (name, warnings) = (name.to_owned(), Mutex::new(warnings));
        Ok(Image { name, id, data, entry, segments, sections, symbols, debug, warnings })
    }

    /// Returns the path or name that it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns an identity that differs between images: the build-id in hexadecimal, or, if it was
    /// linked without one, the first 16 digits of the XXH3-128 hash of the file.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// Returns the segments to load, by address; never empty, never overlapping.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the entry point.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Returns the address and the bytes of the first section of this name; no bytes for sections
    /// that have none in the file (`.bss`), decompressed if the file holds them compressed.
    pub fn section(&self, name: &str) -> Option<(u64, &[u8])> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        let bytes = match &section.inflated {
            Some(bytes) => bytes,
            None => self.data.get(section.range.clone())?,
        };
        Some((section.va, bytes))
    }

    /// Returns the symbol of exactly this name, as written in the file; a global one is preferred
    /// to local ones, and of several local ones the first is taken.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.by_name(name).cloned()
    }

    /// Returns all defined symbols in the order of the file, including local ones.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter()
    }

    /// Returns the function that holds the address, demangled and without its hash, and the offset
    /// in it: `symbol+0x1a`.
    pub fn function_at(&self, va: u64) -> Option<(String, u64)> {
        self.code_segment(va)?;
        let symbol = self.symbols.function_at(va)?;
        Some((demangle(&symbol.name), va - symbol.address))
    }

    /// Returns the functions at `va`, innermost first: inlined ones, then the one that contains
    /// them.
    ///
    /// Without debug information for the address, the symbol alone; empty if there is none.
    pub fn frames(&self, va: u64) -> Vec<Frame> {
        let mut frames = self.frames_of_debug_info(va);
        let symbol = || self.function_at(va).map(|(function, _)| function);
        match frames.last_mut() {
            Some(last) if last.function.is_empty() => last.function = symbol().unwrap_or_default(),
            Some(_) => {}
            None => frames.extend(symbol().map(|function| Frame {
                function,
                file: None,
                line: None,
                column: None,
                inlined: false,
            })),
        }
        frames
    }

    /// Returns the variable that holds the address, and the path to the field there.
    ///
    /// A variable that only the symbol table has is a place of unknown type.
    pub fn object_at(&self, va: u64) -> Option<Place> {
        self.object_of_debug_info(va).or_else(|| {
            let symbol = self.symbols.object_at(va)?;
            Some(Place {
                path: short_name(&demangle(&symbol.name)),
                offset_in_leaf: va - symbol.address,
                leaf_size: symbol.size,
                type_name: String::new(),
            })
        })
    }

    /// Returns the path to the field at `offset` in a type.
    ///
    /// `type_name` is a Rust type as [`core::any::type_name`] gives it (spaces do not matter), or
    /// a C struct, union or typedef, with or without the word `struct`. `None` if there is no
    /// such type in the debug information or it is not larger than `offset`.
    pub fn field_at(&self, type_name: &str, offset: u64) -> Option<Place> {
        let types = self.types()?;
        let id = types.index.type_named(type_name)?;
        let place = descend(types, "", id, offset);
        // Past the end of a struct there may still be C's flexible array.
        let inside = types.size(id).is_some_and(|size| offset < size);
        (inside || place.offset_in_leaf < place.leaf_size).then_some(place)
    }

    /// Returns the compiler of the main unit in short: `rustc 1.95.0`, `gcc 12.2.0`.
    pub fn producer(&self) -> Option<String> {
        self.debug.as_ref()?.info.producer.clone()
    }

    /// Returns the compilers of other languages than Rust that made part of it, as far as debug
    /// information names them.
    pub fn foreign_producers(&self) -> &[String] {
        self.debug.as_ref().map_or(&[], |debug| &debug.info.foreign)
    }

    /// Returns whether there is debug information that can be used.
    pub fn has_debug_info(&self) -> bool {
        self.debug.is_some()
    }

    /// Returns the parts that could not be read so far and are missing from the answers, one
    /// sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn code_segment(&self, va: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.contains(va) && segment.executable)
    }

    fn frames_of_debug_info(&self, va: u64) -> Vec<Frame> {
        // The last address is not looked up: `addr2line` adds 1 to it.
        let va = Some(va).filter(|&va| va < u64::MAX && self.code_segment(va).is_some());
        let Some((debug, va)) = self.debug.as_ref().zip(va) else { return Vec::new() };
        let lines = debug.lines.get_or_init(|| {
            let lines = Lines::new(&debug.info);
            lines.map_err(|error| self.warn(format!("line tables cannot be read: {error}"))).ok()
        });
        lines.as_ref().map_or_else(Vec::new, |lines| lines.frames(&debug.info, va))
    }

    fn object_of_debug_info(&self, va: u64) -> Option<Place> {
        let types = self.types()?;
        // Variables do not overlap, but those without a size share the address of the next.
        const TRIES_MAX: usize = 16;
        let symbol = self.symbols.object_at(va);
        for variable in types.index.variables_below(va).take(TRIES_MAX) {
            let offset = va - variable.va;
            // The symbol has the length of C's flexible array.
            let symbol = symbol.filter(|symbol| symbol.address == variable.va);
            let symbol_size = symbol.map_or(0, |symbol| symbol.size);
            let size = types.size(variable.type_id).unwrap_or(0).max(symbol_size);
            if offset < size {
                return Some(descend(types, &variable.name, variable.type_id, offset));
            }
            if size > 0 {
                return None;
            }
        }
        None
    }

    fn types(&self) -> Option<Types<'_>> {
        let debug = self.debug.as_ref()?;
        let index = debug.index.get_or_init(|| {
            let mapped = |va| self.segments.iter().any(|segment| segment.contains(va));
            let (index, warnings) = Index::build(&debug.info, mapped);
            warnings.into_iter().for_each(|warning| self.warn(warning));
            index
        });
        Some(Types { info: &debug.info, index })
    }

    fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(warning);
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
