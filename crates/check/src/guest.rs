//! A guest: an image, where it wants its hypercalls, and its scenarios.

use std::path::Path;

use abi::hypercall::Hypercall;
use abi::layout::{IMAGE_BASE, VERSION};
use abi::table::{BUILT_SECTION, SCENARIO_WORDS, SECTION};
use image::{Image, ImageError};
use machine::Segment;
use outcome::{Cause, ImageId};

/// For a byte of the image: an eighth of a word's entries.
const BYTES_PER_BYTE: u64 = 7;
/// For a byte of code, besides: a copy, and the number of its instruction.
const BYTES_PER_BYTE_OF_CODE: u64 = 5;
/// Less than any search is given; what it takes of that it counts itself.
const NOT_COUNTED: u64 = 16 << 20;

/// A loaded guest image.
#[derive(Debug)]
pub struct Guest {
    pub(crate) image: Image,
    pub(crate) segments: Vec<Segment>,
    pub(crate) calls: Vec<(u64, Hypercall)>,
    scenarios: Vec<Scenario>,
    id: ImageId,
    /// By the words of who built it.
    built_for: Option<String>,
}

/// A scenario of a guest.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `crate::module::function`.
    pub name: String,
    /// First paragraph of its documentation.
    pub about: String,
    /// The property it declares to violate.
    pub finds: Option<String>,
    /// Marks it declares: each must be reached in some run.
    pub marks: Vec<String>,
    /// Source file.
    pub file: String,
    /// Line in `file`.
    pub line: u32,
    pub(crate) entry: u64,
}

/// Cause a file is no guest.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of a variant is its documentation")]
pub enum LoadError {
    /// The file is no usable image.
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(
        "{image}: no scenarios (no section {SECTION}); mark a function with #[lamprey::scenario], and link with the script that `lamprey check` uses"
    )]
    NoScenarios {
        /// The image.
        image: String,
    },
    #[error("{image}: the scenario table is damaged: {what}; build the guest again")]
    Table {
        /// The image.
        image: String,
        /// In what way.
        what: String,
    },
    #[error(
        "{image}: built with version {found} of the guest library, this is version {VERSION}; build the guest again with the library of this release"
    )]
    Version {
        /// The image.
        image: String,
        /// Its version.
        found: u64,
    },
    #[error("{image}: {what}")]
    Layout {
        /// The image.
        image: String,
        /// In what way.
        what: String,
    },
}

impl Guest {
    /// Reads an image.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no image, or has no scenarios.
    pub fn open(path: &Path) -> Result<Guest, LoadError> {
        let image = Image::open(path)?;
        let segments: Vec<Segment> = image
            .segments()
            .iter()
            .map(|s| Segment {
                va: s.va,
                bytes: s.bytes.clone(),
                size: s.mem_size,
                writable: s.writable,
                executable: s.executable,
            })
            .collect();
        let calls: Vec<(u64, Hypercall)> = Hypercall::ALL
            .iter()
            .filter_map(|call| Some((image.symbol(call.symbol())?.address, *call)))
            .collect();
        let scenarios = Table { image: &image }.read()?;
        machine::Machine::takes(&segments, &calls)
            .map_err(|what| LoadError::Layout { image: image.name().into(), what })?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let id = ImageId { name, id: image.id(), compiler: image.producer() };
        Ok(Guest { image, segments, calls, scenarios, id, built_for: None })
    }

    /// Its scenarios, in the order of their sources.
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// Says how the guest was built, where the caller has built it: the image knows its library only.
    pub fn set_built_for(&mut self, words: String) {
        self.built_for = Some(words);
    }

    /// What it was built for, by who built it, or else by its library's own words. The library knows
    /// neither how other packages were compiled nor what else was linked.
    pub(crate) fn built_for(&self) -> String {
        let words = self.built_for.clone().unwrap_or_else(|| self.built_by_its_words());
        match self.image.foreign_producers() {
            [] => words,
            compilers => format!("{words}, in part by {}", compilers.join(" and ")),
        }
    }

    fn built_by_its_words(&self) -> String {
        let section = self.image.section(BUILT_SECTION);
        let text = section.and_then(|(_, bytes)| str::from_utf8(bytes).ok());
        let is_fit =
            |text: &&str| (1..=80).contains(&text.len()) && !text.contains(char::is_control);
        match text.filter(is_fit).map(|text| text.split_once(" at ").unwrap_or((text, ""))) {
            Some((target, "")) => target.into(),
            Some((target, level)) => format!("{target}, its library at {level}"),
            None => "an unknown target".into(),
        }
    }

    /// Cause a check with this budget of memory should not begin, if the image alone would use it up.
    ///
    /// A search keeps entries by the number of a word, in vectors that double, for all words up to the
    /// last one touched; the image comes before the heap and the stacks. Of decoded code it keeps a number
    /// and a copy for each byte. What the file does not hold is zero, and shared until it is written.
    pub(crate) fn too_large_for(&self, budget: u64) -> Option<Cause> {
        let end = |segment: &Segment| segment.va.saturating_add(segment.size);
        let first = self.segments.iter().map(|segment| segment.va).min()?.min(IMAGE_BASE);
        let image = self.segments.iter().map(end).max()? - first;
        let code = self.segments.iter().filter(|segment| segment.executable);
        let code: u64 = code.map(|segment| segment.size).sum();
        let needed = image * BYTES_PER_BYTE + code * BYTES_PER_BYTE_OF_CODE;
        (needed > budget.max(NOT_COUNTED)).then(|| {
            let [image, needed, budget] =
                [image, needed, budget].map(|bytes| bytes.div_ceil(1 << 20));
            Cause::TooLarge { image, needed, budget }
        })
    }

    /// What the image is.
    pub fn image_id(&self) -> &ImageId {
        &self.id
    }
}

/// Reads the scenario table out of an image.
struct Table<'a> {
    image: &'a Image,
}

impl Table<'_> {
    fn read(&self) -> Result<Vec<Scenario>, LoadError> {
        let name = || self.image.name().to_owned();
        let (va, bytes) =
            self.image.section(SECTION).ok_or_else(|| LoadError::NoScenarios { image: name() })?;
        let size = SCENARIO_WORDS * 8;
        if bytes.is_empty() {
            return Err(LoadError::NoScenarios { image: name() });
        }
        let version = self.word(va)?;
        if version != VERSION {
            return Err(LoadError::Version { image: name(), found: version });
        }
        if bytes.len() % size != 0 {
            return Err(self.damaged(format!("{} bytes are no whole records", bytes.len())));
        }
        let count = bytes.len() / size;
        let mut scenarios = (0..count)
            .map(|record| self.record(va + (record * size) as u64))
            .collect::<Result<Vec<_>, _>>()?;
        scenarios.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
        if let Some(pair) = scenarios.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(self.damaged(format!("two scenarios are named {}", pair[0].name)));
        }
        Ok(scenarios)
    }

    fn record(&self, va: u64) -> Result<Scenario, LoadError> {
        let word = |number: u64| self.word(va + number * 8);
        let text = |number: u64| self.text(word(number)?, word(number + 1)?);
        let (marks_va, mark_count) = (word(11)?, word(12)?);
        if mark_count > 4096 {
            return Err(self.damaged(format!("{mark_count} marks")));
        }
        let marks = (0..mark_count)
            .map(|mark| {
                let at = marks_va + mark * 16;
                self.text(self.word(at)?, self.word(at + 8)?)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let finds = text(4)?;
        Ok(Scenario {
            name: text(1)?,
            entry: word(3)?,
            finds: (!finds.is_empty()).then_some(finds),
            about: text(6)?,
            file: text(8)?,
            line: u32::try_from(word(10)?).unwrap_or(0),
            marks,
        })
    }

    fn word(&self, va: u64) -> Result<u64, LoadError> {
        let bytes: [u8; 8] = self.bytes(va, 8)?.try_into().expect("8 bytes were asked for");
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&self, va: u64, length: u64) -> Result<String, LoadError> {
        if length == 0 {
            return Ok(String::new());
        }
        String::from_utf8(self.bytes(va, length)?.to_vec())
            .map_err(|_| self.damaged(format!("the text at {va:#x} is not UTF-8")))
    }

    fn bytes(&self, va: u64, length: u64) -> Result<&[u8], LoadError> {
        self.image
            .segments()
            .iter()
            .find_map(|segment| {
                let start = usize::try_from(va.checked_sub(segment.va)?).ok()?;
                segment.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
            })
            .ok_or_else(|| self.damaged(format!("it points to {va:#x}, outside the image")))
    }

    fn damaged(&self, what: String) -> LoadError {
        LoadError::Table { image: self.image.name().into(), what }
    }
}
