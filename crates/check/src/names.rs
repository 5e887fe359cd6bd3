//! Names of what a run touches, attached to the numbers: objects, values, frames, control registers.

use image::{Image, Place};
use machine::{CR3_LAM_U48, CR3_LAM_U57, Layout, Machine, Named, Registered, Role, Tag};
use outcome::{
    Agent, Cr3, EntryLevel, Hex, Kept, Lam, Level, Object, PhysicalFrame, Region, Route, Value,
};

/// Bytes of a frame.
const FRAME: u64 = 4096;

/// Names what a run touches.
pub(crate) struct Names<'a> {
    image: &'a Image,
    registered: &'a Registered,
    layout: &'a Layout,
}

/// The place of an address in the object that has a name.
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

    /// Names the `size` bytes at `va`. Where they are not just those of what has the name, more of them or
    /// fewer, the object is a part: the value is not the field's.
    pub(crate) fn accessed(&self, va: u64, size: u8) -> Object {
        let (name, part) = self.place(va);
        let end = part.offset + u64::from(size);
        let is_part =
            part.size != 0 && (end > part.size || part.offset == 0 && u64::from(size) < part.size);
        let region = if name.is_none() { self.layout.region(va).map(region) } else { None };
        Object { address: Hex(va), size, name, region, is_part }
    }

    /// Names what is at `va`: a registered object with the path to its field, or a global.
    pub(crate) fn object(&self, va: u64) -> Object {
        Object { is_part: false, ..self.accessed(va, 0) }
    }

    /// Names the frame at physical address `pa` by the smallest registered object that has all of it.
    pub(crate) fn frame(&self, pa: u64) -> PhysicalFrame {
        let has =
            |object: &&Named, va: u64| va >= object.va && va - object.va + FRAME <= object.size;
        let name = self.layout.direct_map(pa).and_then(|va| {
            let objects = self.registered.objects.iter().filter(|object| has(object, va));
            let object = objects.min_by_key(|object| object.size)?;
            Some(object.name.clone() + &plus(va - object.va))
        });
        PhysicalFrame { address: Hex(pa), name, root_of: self.mm(pa) }
    }

    /// Names what the caches of a CPU may keep.
    pub(crate) fn kept(&self, kept: &machine::Kept) -> Kept {
        match *kept {
            machine::Kept::Page { va, frame, tag } => {
                let pcid = match tag {
                    Tag::Pcid(pcid) => Some(pcid),
                    Tag::Global => None,
                };
                Kept::Page { va: Hex(va), frame: self.frame(frame), pcid }
            }
            machine::Kept::Table { level, va, frame, pcid } => Kept::Table {
                level: entry_level(level),
                va: Hex(va),
                frame: self.frame(frame),
                pcid,
            },
        }
    }

    /// Names a way to a frame.
    pub(crate) fn route(&self, route: &machine::Route) -> Route {
        match *route {
            machine::Route::Walk { va } => Route::Walk { va: Hex(va) },
            machine::Route::Entries { level, va } => {
                Route::Entries { level: entry_level(level), va: Hex(va) }
            }
            machine::Route::Kept(kept) => Route::Kept { entry: self.kept(&kept) },
            machine::Route::Partly { level, va } => {
                Route::Partly { level: entry_level(level), va: Hex(va) }
            }
        }
    }

    /// The name of what is at `va`, and where in what it names that is.
    fn place(&self, va: u64) -> (Option<String>, Part) {
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
            return (Some(name + &plus(part.offset)), part);
        }
        match self.image.object_at(va) {
            Some(place) => {
                (Some(place.path.clone() + &plus(place.offset_in_leaf)), Part::of(&place))
            }
            None => (None, Part { offset: 0, size: 0 }),
        }
    }

    /// Names a value of `size` bytes.
    pub(crate) fn value(&self, value: u64, size: u8) -> Value {
        let name = if size == 8 { self.name_of_value(value) } else { None };
        Value { bits: Hex(value), name }
    }

    fn name_of_value(&self, value: u64) -> Option<String> {
        if let Some((_, name)) = self.registered.values.iter().find(|(v, _)| *v == value) {
            return Some(name.clone());
        }
        if let Some(object) = self.registered.objects.iter().find(|object| object.va == value) {
            return Some(format!("&{}", object.name));
        }
        let place = if value >> 63 == 1 { self.image.object_at(value) } else { None };
        place.map(|place| format!("&{}{}", place.path, plus(place.offset_in_leaf)))
    }

    /// The address space whose topmost page table is at `root`.
    fn mm(&self, root: u64) -> Option<String> {
        let known = self.registered.roots.iter().find(|(pa, _)| *pa == root);
        known.map(|(_, name)| name.clone())
    }

    /// Decodes an operand of MOV to CR3.
    pub(crate) fn cr3(&self, value: u64, pcide: bool) -> Cr3 {
        let root = value & 0x000f_ffff_ffff_f000;
        let lam = match (value & CR3_LAM_U57 != 0, value & CR3_LAM_U48 != 0) {
            (false, false) => Lam::Off,
            (true, _) => Lam::U57,
            (false, true) => Lam::U48,
        };
        let pcid = pcide.then(|| u16::try_from(value & 0xfff).expect("12 bits"));
        let (bits, mm, noflush) = (Hex(value), self.mm(root), value >> 63 == 1);
        Cr3 { bits, pcid, root: Hex(root), mm, lam, noflush }
    }
}

fn region(region: machine::Region) -> Region {
    match region {
        machine::Region::SetUpHeap => Region::SetUpHeap,
        machine::Region::Arena(owner) => Region::Arena { owner: agent(owner) },
        machine::Region::Guard(owner) => Region::Guard { owner: agent(owner) },
        machine::Region::Stack(owner) => Region::Stack { owner: agent(owner) },
    }
}

/// The CPU and level of an agent that has a level: set-up and checks have none.
fn agent(agent: machine::Agent) -> Option<Agent> {
    match agent.role() {
        Role::Observer | Role::Hardware(_) => None,
        _ => Some(Agent { cpu: agent.cpu(), level: level(agent) }),
    }
}

/// The level at which an agent runs; the hardware of a CPU counts as its thread.
pub(crate) fn level(agent: machine::Agent) -> Level {
    match agent.role() {
        Role::Interrupt(_) => Level::Interrupt,
        Role::Nmi(_) | Role::NestedNmi(_) => Level::Nmi,
        Role::Thread(_) | Role::Observer | Role::Hardware(_) => Level::Thread,
    }
}

fn entry_level(level: u8) -> EntryLevel {
    match level {
        5 => EntryLevel::Pml5e,
        4 => EntryLevel::Pml4e,
        3 => EntryLevel::Pdpte,
        2 => EntryLevel::Pde,
        _ => EntryLevel::Pte,
    }
}

fn plus(offset: u64) -> String {
    if offset == 0 { String::new() } else { format!("+{offset}") }
}
