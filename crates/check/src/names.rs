//! Names before numbers: objects, values and control registers as a reader would say them.

use image::{Image, Place};
use machine::{CR3_LAM_U48, CR3_LAM_U57, CR4_PCIDE, Layout, Machine, Registered};

/// Names what a run touches.
pub(crate) struct Names<'a> {
    image: &'a Image,
    registered: &'a Registered,
    layout: &'a Layout,
}

/// Where in the object that has a name an address is.
struct Part {
    offset: u64,
    /// Bytes of the object; 0 where that is not known.
    size: u64,
}

impl Part {
    fn of(place: &Place) -> Part {
        Part { offset: place.offset_in_leaf, size: place.leaf_size }
    }
}

impl<'a> Names<'a> {
    pub(crate) fn new(image: &'a Image, machine: &'a Machine) -> Names<'a> {
        Names { image, registered: machine.registered(), layout: machine.layout() }
    }

    /// What an access of `size` bytes at `va` touches, as [`Names::object`]. Where that is another part than
    /// the field of this name, more of them or less of it, the size is told: the value is not the field's.
    pub(crate) fn accessed(&self, va: u64, size: u8) -> String {
        let (name, part) = self.place(va);
        let end = part.offset + u64::from(size);
        let is_other =
            part.size != 0 && (end > part.size || part.offset == 0 && u64::from(size) < part.size);
        match (is_other, size) {
            (false, _) => name,
            (true, 1) => format!("1 byte at {name}"),
            (true, _) => format!("{size} bytes at {name}"),
        }
    }

    /// The object at `va`: a registered one with the path to its field, a global, or the address.
    pub(crate) fn object(&self, va: u64) -> String {
        self.place(va).0
    }

    /// The name of what is at `va`, and where in what it names that is.
    fn place(&self, va: u64) -> (String, Part) {
        let registered = self
            .registered
            .objects
            .iter()
            .filter(|object| va >= object.va && va - object.va < object.size)
            // The innermost: an object may be named inside another.
            .min_by_key(|object| object.size);
        if let Some(object) = registered {
            let offset = va - object.va;
            let field = self.image.field_at(&object.type_name, offset);
            let (name, part) = match field {
                Some(place) if place.path.is_empty() => (object.name.clone(), Part::of(&place)),
                Some(place) => (format!("{}.{}", object.name, place.path), Part::of(&place)),
                None => (object.name.clone(), Part { offset, size: object.size }),
            };
            return (name + &plus(part.offset), part);
        }
        match self.image.object_at(va) {
            Some(place) => (place.path.clone() + &plus(place.offset_in_leaf), Part::of(&place)),
            None => {
                let region = self.layout.describe(va);
                let name = region
                    .map_or_else(|| format!("{va:#x}"), |region| format!("{va:#x} in {region}"));
                (name, Part { offset: 0, size: 0 })
            }
        }
    }

    /// A value of `size` bytes.
    pub(crate) fn value(&self, value: u64, size: u8) -> String {
        if size == 8 {
            if let Some((_, name)) = self.registered.values.iter().find(|(v, _)| *v == value) {
                return name.clone();
            }
            if let Some(object) = self.registered.objects.iter().find(|object| object.va == value) {
                return format!("&{}", object.name);
            }
            if value >> 63 == 1
                && let Some(place) = self.image.object_at(value)
            {
                return format!("&{}{}", place.path, plus(place.offset_in_leaf));
            }
        }
        if value < 4096 { value.to_string() } else { format!("{value:#x}") }
    }

    /// CR3, decoded: `{pcid 1, mm A, lam off}`.
    pub(crate) fn cr3(&self, value: u64, pcide: bool) -> String {
        let root = value & 0x000f_ffff_ffff_f000;
        let known = self.registered.roots.iter().find(|(pa, _)| *pa == root);
        let root =
            known.map_or_else(|| format!("root {root:#x}"), |(_, name)| format!("mm {name}"));
        let lam = match (value & CR3_LAM_U57 != 0, value & CR3_LAM_U48 != 0) {
            (false, false) => "lam off",
            (true, _) => "lam u57",
            (false, true) => "lam u48",
        };
        let pcid = if pcide { format!("pcid {}, ", value & 0xfff) } else { String::new() };
        let kept = if value >> 63 == 1 { ", noflush" } else { "" };
        format!("{{{pcid}{root}, {lam}{kept}}}")
    }

    /// A control register's value.
    pub(crate) fn register(&self, register: &str, value: u64, cr4: u64) -> String {
        if register == "CR3" {
            self.cr3(value, cr4 & CR4_PCIDE != 0)
        } else {
            format!("{value:#x}")
        }
    }
}

fn plus(offset: u64) -> String {
    if offset == 0 { String::new() } else { format!("+{offset}") }
}
