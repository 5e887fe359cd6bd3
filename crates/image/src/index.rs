//! An index of types and variables in the debug information; made in one pass over it.

use std::collections::HashMap;

use gimli::{DwTag, Operation};

use crate::dwarf::{DebugInfo, Entry, EntryId, Unit, Value};

/// Types by qualified name and variables by address.
#[derive(Default)]
pub(crate) struct Index {
    /// Definitions of structs, unions, enums and base types, by the result of [`type_key`].
    types: HashMap<String, EntryId>,
    /// C names of types that have no other name; a struct of the same name is preferred.
    typedefs: HashMap<String, EntryId>,
    /// Paths of the modules of types inside modules.
    modules: HashMap<EntryId, String>,
    /// Variables by address.
    variables: Vec<Variable>,
}

/// A variable with a fixed address.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) va: u64,
    pub(crate) name: String,
    pub(crate) type_id: EntryId,
}

impl Index {
    /// Indexes `info`; also returns a warning for each unit that could not be read to its end.
    pub(crate) fn build(info: &DebugInfo, mapped: impl Fn(u64) -> bool) -> (Index, Vec<String>) {
        let mut index = Index::default();
        let mut warnings = Vec::new();
        for (position, unit) in info.units.iter().enumerate() {
            let Ok(unit_id) = u32::try_from(position) else { break };
            let mut scan = Scan { info, unit, unit_id, scopes: Vec::new(), mapped: &mapped };
            if let Err(error) = scan.run(&mut index) {
                warnings.push(format!("types of unit {position} are incomplete: {error}"));
            }
        }
        index.variables.sort_by_key(|variable| variable.va);
        (index, warnings)
    }

    /// Returns the definition of a type; spaces do not matter, nor does a leading `struct`.
    pub(crate) fn type_named(&self, name: &str) -> Option<EntryId> {
        let tags = ["struct ", "union ", "enum "];
        let name = name.trim();
        let name = tags.iter().find_map(|tag| name.strip_prefix(tag)).unwrap_or(name);
        let key = type_key(name);
        self.types.get(&key).or_else(|| self.typedefs.get(&key)).copied()
    }

    /// Returns the modules around a type: `core::sync::atomic`.
    pub(crate) fn module(&self, id: EntryId) -> Option<&str> {
        self.modules.get(&id).map(String::as_str)
    }

    /// Returns the variables that begin at or before the address, nearest first.
    pub(crate) fn variables_below(&self, va: u64) -> impl Iterator<Item = &Variable> {
        let end = self.variables.partition_point(|variable| variable.va <= va);
        self.variables[..end].iter().rev()
    }
}

/// Removes the spaces of a name, so that spelling does not matter.
fn type_key(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).collect()
}

/// One pass over one unit.
struct Scan<'a, F> {
    info: &'a DebugInfo,
    unit: &'a Unit,
    unit_id: u32,
    /// The enclosing modules and types, with their depth and full name.
    scopes: Vec<(isize, String)>,
    mapped: &'a F,
}

impl<F: Fn(u64) -> bool> Scan<'_, F> {
    fn run(&mut self, index: &mut Index) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(None)?;
        let mut attrs = Vec::new();
        while !entries.is_empty() {
            let (depth, offset) = (entries.next_depth(), entries.next_offset());
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            let tag = abbreviation.tag();
            while self.scopes.last().is_some_and(|(outer, _)| *outer >= depth) {
                self.scopes.pop();
            }
            if !is_indexed(tag) {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            entries.read_attributes(abbreviation.attributes(), &mut attrs)?;
            let find = |name: gimli::DwAt| {
                attrs.iter().find(|attr| attr.name() == name).map(|attr| attr.value())
            };
            let id = EntryId { unit: self.unit_id, offset: offset.0 };
            if tag == gimli::DW_TAG_variable {
                self.variable(index, id, find);
            } else {
                self.scope(index, id, tag, depth, find);
            }
        }
        Ok(())
    }

    fn scope(
        &mut self,
        index: &mut Index,
        id: EntryId,
        tag: DwTag,
        depth: isize,
        find: impl Fn(gimli::DwAt) -> Option<Value>,
    ) {
        let Some(name) = self.info.text(id, find(gimli::DW_AT_name)) else { return };
        let outer = self.scopes.last().map(|(_, outer)| outer.clone());
        let full = match &outer {
            Some(outer) => format!("{outer}::{name}"),
            None => name,
        };
        let declared_only = find(gimli::DW_AT_declaration).is_some();
        match tag {
            gimli::DW_TAG_namespace => {}
            gimli::DW_TAG_typedef => {
                index.typedefs.entry(type_key(&full)).or_insert(id);
                return;
            }
            _ => {
                if let Some(outer) = outer {
                    index.modules.insert(id, outer);
                }
                if !declared_only {
                    index.types.entry(type_key(&full)).or_insert(id);
                }
            }
        }
        self.scopes.push((depth, full));
    }

    fn variable(
        &self,
        index: &mut Index,
        id: EntryId,
        find: impl Fn(gimli::DwAt) -> Option<Value>,
    ) {
        let Some(va) = self.static_address(find(gimli::DW_AT_location)) else { return };
        if !(self.mapped)(va) {
            return;
        }
        let name = self.inherited(id, gimli::DW_AT_name, &find);
        let Some(name) = name.and_then(|(id, value)| self.info.text(id, Some(value))) else {
            return;
        };
        let type_ref = self.inherited(id, gimli::DW_AT_type, &find);
        let type_id = type_ref.and_then(|(id, value)| self.info.reference(id, Some(value)));
        let Some(type_id) = type_id else { return };
        index.variables.push(Variable { va, name, type_id });
    }

    /// Returns the attribute of this entry, or of the one it completes.
    fn inherited(
        &self,
        id: EntryId,
        name: gimli::DwAt,
        find: &impl Fn(gimli::DwAt) -> Option<Value>,
    ) -> Option<(EntryId, Value)> {
        if let Some(value) = find(name) {
            return Some((id, value));
        }
        let origins = [gimli::DW_AT_specification, gimli::DW_AT_abstract_origin];
        let mut origin_id =
            origins.iter().find_map(|&origin| self.info.reference(id, find(origin)))?;
        // An instance of an inlined function's declaration is the longest chain there is.
        for _ in 0..4 {
            let entry: Entry = self.info.entry(origin_id)?;
            if let Some(value) = entry.attr_value(name) {
                return Some((origin_id, value));
            }
            origin_id = origins
                .iter()
                .find_map(|&origin| self.info.reference(origin_id, entry.attr_value(origin)))?;
        }
        None
    }

    /// Returns the address, if the location is one address for the whole run.
    fn static_address(&self, location: Option<Value>) -> Option<u64> {
        let expression = location?.exprloc_value()?;
        let mut operations = expression.operations(self.unit.encoding());
        let mut address = match operations.next().ok()?? {
            Operation::Address { address } => address,
            Operation::AddressIndex { index } => self.info.dwarf.address(self.unit, index).ok()?,
            _ => return None,
        };
        while let Some(operation) = operations.next().ok()? {
            match operation {
                Operation::PlusConstant { value } => address = address.wrapping_add(value),
                _ => return None,
            }
        }
        Some(address)
    }
}

fn is_indexed(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_base_type
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_variable
    )
}
