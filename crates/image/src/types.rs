//! Types of the debug information: sizes, names, members.

use gimli::{DwTag, Operation};

use crate::dwarf::{DebugInfo, Entry, EntryId, Value};
use crate::index::Index;

/// References followed before a type counts as damaged.
const DEPTH_MAX: usize = 64;

/// The types of an image.
#[derive(Clone, Copy)]
pub(crate) struct Types<'a> {
    pub(crate) info: &'a DebugInfo,
    pub(crate) index: &'a Index,
}

/// A type without qualifiers and other names.
pub(crate) struct Bare {
    pub(crate) id: EntryId,
    pub(crate) tag: DwTag,
    /// The type's own name, without modules.
    pub(crate) name: Option<String>,
    /// The C names that led to it, outermost first.
    pub(crate) typedefs: Vec<String>,
    entry: Entry,
}

/// A member of a struct or union.
#[derive(Debug)]
pub(crate) struct Member {
    /// `None` for C's anonymous structs and unions.
    pub(crate) name: Option<String>,
    /// Offset from the start of the type, in bytes.
    pub(crate) offset: u64,
    /// Size in bytes; `None` if the end is open.
    pub(crate) size: Option<u64>,
    pub(crate) type_id: EntryId,
    pub(crate) bit_field: bool,
}

impl Member {
    pub(crate) fn contains(&self, offset: u64) -> bool {
        offset >= self.offset && self.size.is_none_or(|size| offset - self.offset < size)
    }
}

/// The members of a struct or union.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) list: Vec<Member>,
    /// True for a Rust enum, whose other members depend on the variant.
    pub(crate) has_variants: bool,
}

/// The element type and the lengths of an array, outermost first; `None` is open.
pub(crate) struct Array {
    pub(crate) element: EntryId,
    pub(crate) lengths: Vec<Option<u64>>,
}

impl<'a> Types<'a> {
    /// Follows qualifiers, typedefs and declarations to the type itself.
    pub(crate) fn bare(&self, id: EntryId) -> Option<Bare> {
        let mut id = id;
        let mut typedefs = Vec::new();
        for _ in 0..DEPTH_MAX {
            let entry = self.info.entry(id)?;
            let tag = entry.tag();
            let name = self.info.text(id, entry.attr_value(gimli::DW_AT_name));
            if is_alias(tag) {
                typedefs.extend(name.filter(|_| tag == gimli::DW_TAG_typedef));
                id = self.info.reference(id, entry.attr_value(gimli::DW_AT_type))?;
            } else if entry.has_attr(gimli::DW_AT_declaration) {
                let definition = self.index.type_named(&self.qualified(id, name.as_deref()?))?;
                if definition == id {
                    return None;
                }
                id = definition;
            } else {
                return Some(Bare { id, tag, name, typedefs, entry });
            }
        }
        None
    }

    /// Returns the size in bytes, if the type has one.
    pub(crate) fn size(&self, id: EntryId) -> Option<u64> {
        self.size_within(id, DEPTH_MAX)
    }

    fn size_within(&self, id: EntryId, depth: usize) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        let bare = self.bare(id)?;
        let bytes = bare.entry.attr_value(gimli::DW_AT_byte_size).and_then(|v| v.udata_value());
        if bytes.is_some() {
            return bytes;
        }
        match bare.tag {
            gimli::DW_TAG_array_type => {
                let array = self.array(&bare)?;
                let count = product(&array.lengths)?;
                self.size_within(array.element, depth)?.checked_mul(count)
            }
            gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type => Some(8),
            gimli::DW_TAG_enumeration_type => {
                let inner = bare.entry.attr_value(gimli::DW_AT_type);
                self.size_within(self.info.reference(bare.id, inner)?, depth)
            }
            _ => None,
        }
    }

    /// Returns the name used in reports: with modules in Rust, as written in C.
    pub(crate) fn name(&self, id: EntryId) -> String {
        self.name_within(id, DEPTH_MAX).unwrap_or_default()
    }

    fn name_within(&self, id: EntryId, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let entry = self.info.entry(id)?;
        if let Some(name) = self.info.text(id, entry.attr_value(gimli::DW_AT_name)) {
            return Some(self.qualified(id, &name));
        }
        let inner = self.info.reference(id, entry.attr_value(gimli::DW_AT_type));
        let inner_name = |depth| inner.and_then(|inner| self.name_within(inner, depth));
        match entry.tag() {
            gimli::DW_TAG_array_type => {
                let array = self.array(&self.bare(id)?)?;
                let element = self.name_within(array.element, depth)?;
                Some(array_name(&element, &array.lengths, self.is_rust(id)))
            }
            gimli::DW_TAG_pointer_type => {
                let target = inner_name(depth);
                if self.is_rust(id) {
                    return Some(format!("*const {}", target.as_deref().unwrap_or("()")));
                }
                Some(format!("{} *", target.as_deref().unwrap_or("void")))
            }
            tag if is_alias(tag) => inner_name(depth),
            _ => None,
        }
    }

    fn qualified(&self, id: EntryId, name: &str) -> String {
        match self.index.module(id) {
            Some(module) => format!("{module}::{name}"),
            None => name.to_owned(),
        }
    }

    /// Returns the name with modules and without generic arguments: `core::cell::Cell`.
    pub(crate) fn generic_name(&self, bare: &Bare) -> Option<String> {
        let name = bare.name.as_deref()?;
        let base = name.split('<').next().unwrap_or(name);
        self.index.module(bare.id).map(|module| format!("{module}::{base}"))
    }

    pub(crate) fn is_rust(&self, id: EntryId) -> bool {
        let Some(unit) = self.info.unit(id) else { return false };
        let root = unit.entry(unit.header.root_offset()).ok();
        let language = root.and_then(|root| root.attr_value(gimli::DW_AT_language));
        matches!(language, Some(Value::Language(gimli::DW_LANG_Rust)))
    }

    /// Returns the members in the order of the file.
    pub(crate) fn members(&self, bare: &Bare) -> Members {
        let mut members = Members::default();
        self.for_children(bare.id, |id, entry| match entry.tag() {
            gimli::DW_TAG_member => members.list.extend(self.member(id, entry)),
            gimli::DW_TAG_variant_part => members.has_variants = true,
            _ => {}
        });
        members
    }

    fn member(&self, id: EntryId, entry: &Entry) -> Option<Member> {
        let type_id = self.info.reference(id, entry.attr_value(gimli::DW_AT_type))?;
        let name = self.info.text(id, entry.attr_value(gimli::DW_AT_name));
        let number = |attr: gimli::DwAt| entry.attr_value(attr).and_then(|v| v.udata_value());
        let mut member = Member {
            name: name.filter(|name| !name.is_empty()),
            offset: self.member_offset(id, entry.attr_value(gimli::DW_AT_data_member_location)),
            size: self.size(type_id),
            type_id,
            bit_field: entry.has_attr(gimli::DW_AT_bit_size),
        };
        let Some(bits) = number(gimli::DW_AT_bit_size) else { return Some(member) };
        // DWARF 3 counts from the most significant bit of the storage unit.
        let storage = number(gimli::DW_AT_byte_size).or(member.size);
        let end = storage.and_then(|bytes| member.offset.checked_add(bytes)?.checked_mul(8));
        let from_top = || end?.checked_sub(number(gimli::DW_AT_bit_offset)?)?.checked_sub(bits);
        if let Some(first) = number(gimli::DW_AT_data_bit_offset).or_else(from_top) {
            member.offset = first / 8;
            member.size = Some((first % 8).saturating_add(bits).div_ceil(8));
        }
        Some(member)
    }

    fn member_offset(&self, id: EntryId, location: Option<Value>) -> u64 {
        let Some(location) = location else { return 0 };
        if let Some(offset) = location.udata_value() {
            return offset;
        }
        let Some((expression, unit)) = location.exprloc_value().zip(self.info.unit(id)) else {
            return 0;
        };
        match expression.operations(unit.encoding()).next() {
            Ok(Some(Operation::PlusConstant { value })) => value,
            _ => 0,
        }
    }

    pub(crate) fn array(&self, bare: &Bare) -> Option<Array> {
        if bare.tag != gimli::DW_TAG_array_type {
            return None;
        }
        let element = bare.entry.attr_value(gimli::DW_AT_type);
        let element = self.info.reference(bare.id, element)?;
        let mut lengths = Vec::new();
        self.for_children(bare.id, |_, entry| {
            if entry.tag() == gimli::DW_TAG_subrange_type {
                let number = |attr| entry.attr_value(attr).and_then(|v: Value| v.udata_value());
                let bound = || number(gimli::DW_AT_upper_bound)?.checked_add(1);
                lengths.push(number(gimli::DW_AT_count).or_else(bound));
            }
        });
        Some(Array { element, lengths })
    }

    /// Calls `visit` for each direct child; stops where the entries are damaged.
    fn for_children(&self, id: EntryId, mut visit: impl FnMut(EntryId, &Entry)) {
        let Some(unit) = self.info.unit(id) else { return };
        let Ok(mut tree) = unit.entries_tree(Some(gimli::UnitOffset(id.offset))) else { return };
        let Ok(root) = tree.root() else { return };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            visit(EntryId { unit: id.unit, offset: entry.offset().0 }, entry);
        }
    }
}

/// Returns whether an entry names another type.
fn is_alias(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
    )
}

pub(crate) fn product(lengths: &[Option<u64>]) -> Option<u64> {
    lengths.iter().try_fold(1u64, |product, length| product.checked_mul((*length)?))
}

fn array_name(element: &str, lengths: &[Option<u64>], rust: bool) -> String {
    let text = |length: &Option<u64>| length.map_or_else(String::new, |n| n.to_string());
    if rust {
        let wrap = |inner: String, length| format!("[{inner}; {}]", text(length));
        return lengths.iter().rev().fold(element.to_owned(), wrap);
    }
    let lengths: Vec<String> = lengths.iter().map(|length| format!("[{}]", text(length))).collect();
    format!("{element}{}", lengths.concat())
}
