//! Paths to fields: `table.entries[3].lock`.

use std::fmt::Write as _;

use crate::dwarf::EntryId;
use crate::types::{Bare, Member, Types, product};

/// The object at an address or an offset, named as in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path: `counter`, `table.entries[3].lock`, `pair.0`.
    ///
    /// A variable has its own name, without modules. Relative to a type
    /// ([`crate::Image::field_at`]) the path begins with the field's name, or with `[` if the
    /// type is a wrapper of an array, and is empty for the object itself.
    ///
    /// - Wrappers of Rust's library add nothing: cells, `MaybeUninit`, `ManuallyDrop`,
    ///   `Wrapping`, `Pin`. Their own bookkeeping shows (`RefCell`'s `.borrow`).
    /// - Atomics, `NonNull` and `NonZero`, and C's `atomic_t` and similar types are leaves.
    /// - Tuples and tuple structs have `.0`, `.1`.
    /// - A path stops at a Rust enum: which variant is there is not in the type.
    /// - Of a C union the first member that is large enough is named; anonymous structs and
    ///   unions add nothing. C bit fields that share the byte are all named: `lazy|state`.
    /// - A path stops in front of padding.
    pub path: String,
    /// Offset from the start of the object that the path names, in bytes.
    pub offset_in_leaf: u64,
    /// Size of the object that the path names, in bytes; 0 if unknown.
    pub leaf_size: u64,
    /// Type of that object: in Rust as [`core::any::type_name`] has it, in C as written, without
    /// qualifiers. Empty if unknown.
    pub type_name: String,
}

/// The deepest nesting of fields before a type counts as damaged.
const DEPTH_MAX: usize = 64;

/// C types that hold a single number and are known by the name of the whole.
const C_LEAVES: [&str; 4] = ["atomic_t", "atomic64_t", "atomic_long_t", "refcount_t"];

/// Returns the place at `offset` in an object of type `type_id` that is called `name`.
pub(crate) fn descend(types: Types<'_>, name: &str, type_id: EntryId, offset: u64) -> Place {
    let mut path = name.to_owned();
    let (mut type_id, mut offset, mut leaf_size) = (type_id, offset, None);
    // The object that the path names; inside anonymous structs the walk is ahead of it.
    let mut named = (type_id, offset);
    for _ in 0..DEPTH_MAX {
        let Some(bare) = types.bare(type_id) else { break };
        let Some(step) = step(types, &bare, offset) else { break };
        if let Some(component) = &step.component {
            let start = if path.is_empty() { component.trim_start_matches('.') } else { component };
            path.push_str(start);
            named = (step.type_id, step.offset);
        }
        (type_id, offset) = (step.type_id, step.offset);
        if step.bit_field_size.is_some() {
            leaf_size = step.bit_field_size;
            break;
        }
    }
    let (type_id, offset_in_leaf) = named;
    let leaf_size = leaf_size.or_else(|| types.size(type_id)).unwrap_or(0);
    Place { path, offset_in_leaf, leaf_size, type_name: types.name(type_id) }
}

/// One step from an object into a part of it.
struct Step {
    /// The component that it adds to the path, with its dot; `None` into an anonymous part, empty
    /// into the content of a wrapper.
    component: Option<String>,
    type_id: EntryId,
    /// Offset from the start of the part.
    offset: u64,
    /// The size of a bit field, which is a leaf with a size of its own; else `None`.
    bit_field_size: Option<u64>,
}

/// Descends by one step; `None` at a leaf.
fn step(types: Types<'_>, bare: &Bare, offset: u64) -> Option<Step> {
    match bare.tag {
        gimli::DW_TAG_array_type => element(types, bare, offset),
        gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type | gimli::DW_TAG_class_type => {
            field(types, bare, offset)
        }
        _ => None,
    }
}

fn element(types: Types<'_>, bare: &Bare, offset: u64) -> Option<Step> {
    let array = types.array(bare)?;
    let size = types.size(array.element).filter(|&size| size > 0)?;
    let mut rest = offset / size;
    let mut component = String::new();
    // The first length may be open; the others say how many elements a row has.
    for (position, length) in array.lengths.iter().enumerate() {
        let row = product(&array.lengths[position + 1..]).filter(|&row| row > 0)?;
        let index = rest / row;
        if length.is_some_and(|length| index >= length) {
            return None;
        }
        rest %= row;
        write!(component, "[{index}]").ok()?;
    }
    let offset = offset % size;
    let component = Some(component);
    Some(Step { component, type_id: array.element, offset, bit_field_size: None })
}

fn field(types: Types<'_>, bare: &Bare, offset: u64) -> Option<Step> {
    let role = role(types, bare);
    if role == Role::Leaf {
        return None;
    }
    let members = types.members(bare);
    if members.has_variants {
        return None;
    }
    let mut found = members.list.iter().filter(|member| member.contains(offset));
    let member = found.next()?;
    let mut component = component(types, bare, role, member);
    let bit_field_size = if member.bit_field { member.size } else { None };
    if let Some(component) = &mut component
        && member.bit_field
    {
        let neighbours = found.filter(|other| other.bit_field);
        neighbours.filter_map(|other| other.name.as_deref()).for_each(|name| {
            component.push('|');
            component.push_str(name);
        });
    }
    Some(Step {
        component,
        type_id: member.type_id,
        offset: offset - member.offset,
        bit_field_size,
    })
}

fn component(types: Types<'_>, bare: &Bare, role: Role, member: &Member) -> Option<String> {
    let name = member.name.as_deref()?;
    if role == Role::Wrapper && name != "borrow" {
        return Some(String::new());
    }
    // Rust's debug information calls the fields of tuples `__0`, `__1`.
    let position = name.strip_prefix("__").filter(|rest| rest.parse::<u32>().is_ok());
    Some(match position {
        Some(position) if types.is_rust(bare.id) => format!(".{position}"),
        _ => format!(".{name}"),
    })
}

/// The way a struct shows in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Its fields show.
    Plain,
    /// Its content shows under its name.
    Wrapper,
    /// Nothing inside it shows.
    Leaf,
}

fn role(types: Types<'_>, bare: &Bare) -> Role {
    if bare.typedefs.iter().any(|name| C_LEAVES.contains(&name.as_str())) {
        return Role::Leaf;
    }
    let Some(name) = types.generic_name(bare) else { return Role::Plain };
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&["core::sync::atomic::", "core::ptr::", "core::num::nonzero::"]) {
        return Role::Leaf;
    }
    if starts(&["core::cell::", "core::mem::", "core::pin::", "core::num::wrapping::"]) {
        return Role::Wrapper;
    }
    Role::Plain
}
