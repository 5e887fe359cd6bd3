//! Debug information: the sections, the units, and their attributes.

use std::ops::Range;
use std::sync::Arc;

use gimli::{AttributeValue, DebugInfoOffset, DwAt, LittleEndian, UnitOffset};

use crate::files::SourceRoots;

/// A reader of the shared bytes of the file; nothing is copied.
pub(crate) type Reader = gimli::EndianArcSlice<LittleEndian>;
pub(crate) type Unit = gimli::Unit<Reader>;
pub(crate) type Dwarf = gimli::Dwarf<Reader>;
pub(crate) type Entry = gimli::DebuggingInformationEntry<Reader>;
pub(crate) type Value = AttributeValue<Reader>;

/// The position of a debugging information entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryId {
    /// Index of the unit in [`DebugInfo::units`].
    pub(crate) unit: u32,
    /// Offset from the start of the unit.
    pub(crate) offset: usize,
}

/// The bytes of a section.
pub(crate) enum SectionData<'a> {
    /// A range of the file.
    File(Range<usize>),
    /// Decompressed bytes.
    Inflated(&'a [u8]),
}

/// The debug information of an image whose units could all be read.
pub(crate) struct DebugInfo {
    pub(crate) dwarf: Arc<Dwarf>,
    /// The units in the order of the file, that is by offset.
    pub(crate) units: Vec<Unit>,
    pub(crate) roots: SourceRoots,
    pub(crate) producer: Option<String>,
    /// Compilers of other languages than Rust, without duplicates.
    pub(crate) foreign: Vec<String>,
}

impl DebugInfo {
    /// Reads the debug information. `Ok(None)` if there is none; an error names the damage.
    pub(crate) fn read<'a>(
        data: &Arc<[u8]>,
        section: impl Fn(&str) -> Option<SectionData<'a>>,
    ) -> Result<Option<DebugInfo>, String> {
        let file = Reader::new(data.clone(), LittleEndian);
        let load = |id: gimli::SectionId| -> Result<Reader, gimli::Error> {
            Ok(match section(id.name()) {
                Some(SectionData::File(range)) => file.range(range),
                Some(SectionData::Inflated(bytes)) => Reader::new(bytes.into(), LittleEndian),
                None => file.range(0..0),
            })
        };
        let dwarf = Dwarf::load(load).map_err(|error| error.to_string())?;
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        let failed = |at: usize, error: gimli::Error| format!("unit {at}: {error}");
        while let Some(header) = headers.next().map_err(|error| failed(units.len(), error))? {
            units.push(dwarf.unit(header).map_err(|error| failed(units.len(), error))?);
        }
        if units.is_empty() {
            return Ok(None);
        }
        let text = |reader: &Option<Reader>| {
            let reader = reader.as_ref()?;
            gimli::Reader::to_string_lossy(reader).ok().map(std::borrow::Cow::into_owned)
        };
        let roots = SourceRoots::new(units.iter().filter_map(|unit| text(&unit.comp_dir)));
        let dwarf = Arc::new(dwarf);
        let mut info = DebugInfo { dwarf, units, roots, producer: None, foreign: Vec::new() };
        info.find_producers();
        Ok(Some(info))
    }

    pub(crate) fn unit(&self, id: EntryId) -> Option<&Unit> {
        self.units.get(id.unit as usize)
    }

    /// Returns the entry with its attributes; `None` if there is no such entry.
    pub(crate) fn entry(&self, id: EntryId) -> Option<Entry> {
        self.unit(id)?.entry(UnitOffset(id.offset)).ok()
    }

    /// Returns the entry that a reference attribute of `from` points to.
    pub(crate) fn reference(&self, from: EntryId, value: Option<Value>) -> Option<EntryId> {
        match value? {
            AttributeValue::UnitRef(offset) => Some(EntryId { unit: from.unit, offset: offset.0 }),
            AttributeValue::DebugInfoRef(offset) => self.locate(offset),
            _ => None,
        }
    }

    pub(crate) fn text(&self, id: EntryId, value: Option<Value>) -> Option<String> {
        let string = self.dwarf.attr_string(self.unit(id)?, value?).ok()?;
        let text = gimli::Reader::to_string_lossy(&string).ok()?;
        Some(text.into_owned())
    }

    fn locate(&self, offset: DebugInfoOffset<usize>) -> Option<EntryId> {
        let start = |unit: &Unit| unit.header.debug_info_offset().map_or(0, |offset| offset.0);
        let after = self.units.partition_point(|unit| start(unit) <= offset.0);
        let position = after.checked_sub(1)?;
        let in_unit = offset.to_unit_offset(&self.units[position].header)?;
        Some(EntryId { unit: u32::try_from(position).ok()?, offset: in_unit.0 })
    }

    /// Finds the compiler of the first unit that is neither assembly nor Rust's own library, and those of
    /// other languages than Rust.
    fn find_producers(&mut self) {
        let (mut first, mut own, mut foreign) = (None, None, Vec::new());
        for (position, unit) in self.units.iter().enumerate() {
            let Ok(unit_id) = u32::try_from(position) else { break };
            let id = EntryId { unit: unit_id, offset: unit.header.root_offset().0 };
            let Some(root) = self.entry(id) else { continue };
            let attr = |name: DwAt| self.text(id, root.attr_value(name));
            let Some(producer) = attr(gimli::DW_AT_producer) else { continue };
            let producer = short_producer(&producer);
            let library = attr(gimli::DW_AT_comp_dir).is_some_and(|dir| dir.starts_with("/rustc/"));
            let is_assembler = producer.starts_with("as ") || producer.starts_with("GNU AS");
            if !library && !is_assembler {
                own.get_or_insert_with(|| producer.clone());
                if !producer.starts_with("rustc ") && !foreign.contains(&producer) {
                    foreign.push(producer.clone());
                }
            }
            first.get_or_insert(producer);
        }
        self.foreign = foreign;
        self.producer = own.or(first);
    }
}

/// Shortens a producer: `rustc 1.95.0` of `clang LLVM (rustc version 1.95.0 (59807616e
/// 2026-04-14))`.
fn short_producer(producer: &str) -> String {
    let version_after = |marker: &str| {
        let rest = producer.split_once(marker)?.1;
        let version = rest.split([' ', ')', '(']).find(|word| !word.is_empty())?;
        version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
    };
    if let Some(version) = version_after("rustc version ") {
        return format!("rustc {version}");
    }
    if let Some(version) = version_after("clang version ") {
        return format!("clang {version}");
    }
    let mut words = producer.split(' ');
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    match (words.next(), words.next(), words.find(is_version)) {
        (Some("GNU"), Some("AS"), Some(version)) => format!("as {version}"),
        (Some("GNU"), Some(language), Some(version)) if language.starts_with('C') => {
            format!("gcc {version}")
        }
        _ => producer.split(" -").next().unwrap_or(producer).to_owned(),
    }
}
