//! Names before numbers: objects, values and control registers as a reader would say them.

use image::Image;
use machine::{CR3_LAM_U48, CR3_LAM_U57, CR4_PCIDE, Layout, Machine, Registered};

/// Names what a run touches.
pub(crate) struct Names<'a> {
    image: &'a Image,
    registered: &'a Registered,
    layout: &'a Layout,
}

impl<'a> Names<'a> {
    pub(crate) fn new(image: &'a Image, machine: &'a Machine) -> Names<'a> {
        Names { image, registered: machine.registered(), layout: machine.layout() }
    }

    /// The object at `va`: a registered one with the path to its field, a global, or the address.
    pub(crate) fn object(&self, va: u64) -> String {
        let registered = self
            .registered
            .objects
            .iter()
            .filter(|object| va >= object.va && va - object.va < object.size)
            // The innermost: an object may be named inside another.
            .min_by_key(|object| object.size);
        if let Some(object) = registered {
            let offset = va - object.va;
            return match self.image.field_at(&object.type_name, offset) {
                Some(place) if place.path.is_empty() => {
                    object.name.clone() + &plus(place.offset_in_leaf)
                }
                Some(place) => {
                    format!("{}.{}{}", object.name, place.path, plus(place.offset_in_leaf))
                }
                None => object.name.clone() + &plus(offset),
            };
        }
        match self.image.object_at(va) {
            Some(place) => place.path + &plus(place.offset_in_leaf),
            None => self
                .layout
                .describe(va)
                .map_or_else(|| format!("{va:#x}"), |region| format!("{va:#x} in {region}")),
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
