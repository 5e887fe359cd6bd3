//! Facts in words: objects, values, frames, ways to a frame, exceptions.

use outcome::{
    AccessKind, Agent, Cr3, EntryLevel, Kept, Lam, Level, Object, PhysicalFrame, Place, Region,
    Route, Value,
};

use crate::numbers::count;

/// `mm_a.lam_cr3_mask`; `4 bytes at lock.owner`; an address, with its region if that is known.
pub(crate) fn object(object: &Object) -> String {
    let Object { address, size, name, region, is_part } = object;
    let what = match (name, region) {
        (Some(name), _) => name.clone(),
        (None, Some(region)) => format!("{address} in {}", region_name(region)),
        (None, None) => address.to_string(),
    };
    if *is_part { format!("{} at {what}", count((*size).into(), "byte")) } else { what }
}

/// `the stack of CPU0`.
fn region_name(region: &Region) -> String {
    let (part, owner) = match region {
        Region::SetUpHeap => return "the set-up's heap".into(),
        Region::Arena { owner } => ("arena", owner),
        Region::Guard { owner } => ("guard page below the stack", owner),
        Region::Stack { owner } => ("stack", owner),
    };
    let owner = match owner {
        Some(Agent { cpu, level: Level::Thread }) => format!("CPU{cpu}"),
        Some(Agent { cpu, level: Level::Interrupt }) => format!("CPU{cpu}'s interrupts"),
        Some(Agent { cpu, level: Level::Nmi }) => format!("CPU{cpu}'s NMIs"),
        None => "the observer".into(),
    };
    format!("the {part} of {owner}")
}

/// A value's name, or its number: small ones in decimal.
pub(crate) fn value(value: &Value) -> String {
    match (&value.name, value.bits.0) {
        (Some(name), _) => name.clone(),
        (None, number) if number < 4096 => number.to_string(),
        (None, _) => value.bits.to_string(),
    }
}

/// `{pcid 1, mm A, lam off}`.
pub(crate) fn cr3(cr3: &Cr3) -> String {
    let pcid = cr3.pcid.map(|pcid| format!("pcid {pcid}, ")).unwrap_or_default();
    let root = match &cr3.mm {
        Some(mm) => format!("mm {mm}"),
        None => format!("root {}", cr3.root),
    };
    let lam = match cr3.lam {
        Lam::Off => "lam off",
        Lam::U48 => "lam u48",
        Lam::U57 => "lam u57",
    };
    let kept = if cr3.noflush { ", noflush" } else { "" };
    format!("{{{pcid}{root}, {lam}{kept}}}")
}

/// `frame of page`, `frame 0x1001000`; `noun` says what the frame is used as.
pub(crate) fn frame(frame: &PhysicalFrame, noun: &str) -> String {
    match (&frame.name, &frame.root_of) {
        (Some(name), _) => format!("{noun} of {name}"),
        (None, Some(mm)) => format!("root of mm {mm}"),
        (None, None) => format!("{noun} {}", frame.address),
    }
}

/// The same within a sentence: `the frame of page`, `the frame at 0x1001000`.
pub(crate) fn the_frame(it: &PhysicalFrame, noun: &str) -> String {
    match (&it.name, &it.root_of) {
        (None, None) => format!("the {noun} at {}", it.address),
        _ => format!("the {}", frame(it, noun)),
    }
}

/// `may keep 0x400000 -> frame of page (pcid 1)`.
pub(crate) fn may_keep(entry: &Kept) -> String {
    match entry {
        Kept::Page { va, frame: to, pcid } => {
            let under = pcid.map_or_else(|| "global".into(), |pcid| format!("pcid {pcid}"));
            format!("may keep {va} -> {} ({under})", frame(to, "frame"))
        }
        Kept::Table { level: of, va, frame: to, pcid } => {
            format!("may keep the {} of {va} -> {} (pcid {pcid})", level(*of), frame(to, "table"))
        }
    }
}

/// The way on which a CPU comes, or may come, to a frame.
pub(crate) fn leads(cpu: u8, route: &Route) -> String {
    match route {
        Route::Walk { va } => format!("CPU{cpu}'s CR3 leads there for {va}"),
        Route::Entries { level: of, va } => {
            format!("CPU{cpu}'s CR3 leads to it: {}s from {va} on", level(*of))
        }
        Route::Kept { entry } => format!("CPU{cpu} {}", may_keep(entry)),
        Route::Partly { level: of, va } => {
            format!("CPU{cpu} may keep a {} on the way to {va}", level(*of))
        }
    }
}

/// The use of an entry by an access that a walk from CR3 would not give it.
pub(crate) fn uses(route: &Route) -> String {
    match route {
        Route::Kept { entry: Kept::Page { va, frame: to, .. } } => {
            format!("uses {va} -> {} from the TLB", frame(to, "frame"))
        }
        Route::Kept { entry: Kept::Table { level: of, va, .. } }
        | Route::Partly { level: of, va } => {
            format!("walks from a {} that is cached, for {va}", level(*of))
        }
        Route::Walk { va } | Route::Entries { va, .. } => format!("walks from CR3 for {va}"),
    }
}

/// As the manual calls an entry of this level.
fn level(level: EntryLevel) -> &'static str {
    match level {
        EntryLevel::Pte => "PTE",
        EntryLevel::Pde => "PDE",
        EntryLevel::Pdpte => "PDPTE",
        EntryLevel::Pml4e => "PML4E",
        EntryLevel::Pml5e => "PML5E",
    }
}

/// `#GP`, as the manual writes it.
pub(crate) fn exception(vector: u8) -> String {
    let name = match vector {
        0 => "#DE",
        1 => "#DB",
        3 => "#BP",
        6 => "#UD",
        7 => "#NM",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        17 => "#AC",
        _ => return format!("exception {vector}"),
    };
    name.into()
}

/// `CPU1`, `CPU1's NMI handler`.
pub(crate) fn agent(agent: &Agent) -> String {
    let cpu = agent.cpu;
    match agent.level {
        Level::Thread => format!("CPU{cpu}"),
        Level::Interrupt => format!("CPU{cpu}'s interrupt handler"),
        Level::Nmi => format!("CPU{cpu}'s NMI handler"),
    }
}

/// The word for a kind of access.
pub(crate) fn access(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Write => "write",
        AccessKind::Execute => "execute",
    }
}

/// `symbol+0x1a (main.rs:33)`.
pub(crate) fn position(place: &Place) -> String {
    let file = place.file.as_deref().and_then(|file| file.rsplit('/').next());
    match (file, place.line) {
        (Some(file), Some(line)) => format!("{} ({file}:{line})", place.symbol),
        _ => place.symbol.clone(),
    }
}
