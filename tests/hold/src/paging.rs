//! Page tables that the guest library builds: their contents in memory.

use core::sync::atomic::Ordering::Relaxed;

use lamprey::paging::{self, A, P, PS, PageTables, RW, US, USER};

/// An address that has another index at each level.
const VA: u64 = 5 << 48 | 4 << 39 | 3 << 30 | 2 << 21 | 1 << 12;
const UPPER: u64 = P | RW | US | A;

/// The entry of each level is at the address at which a walk reads it.
#[lamprey::scenario]
fn tables_are_where_walks_find_them() {
    for levels in [4, 5] {
        let tables = PageTables::with_levels(levels);
        let data = paging::frame();
        let pte = tables.map(VA, data.pa(), USER);
        lamprey::require_eq!(pte.load(Relaxed), data.pa() | USER, "tables", "the PTE");
        let mut table = tables.root();
        for level in (1..=levels).rev() {
            let entry = tables.entry(VA, level);
            let expected = table + u64::from(level) * 8;
            let place = lamprey::physical_address(entry.as_ptr().cast());
            lamprey::require_eq!(place, expected, "tables", "an entry's place");
            let value = entry.load(Relaxed);
            table = value & !0xfff;
            let flags = if level == 1 { USER } else { UPPER };
            lamprey::require_eq!(value, table | flags, "tables", "an entry");
        }
        lamprey::require_eq!(table, data.pa(), "tables", "where the walk ends");
    }
    lamprey::cpu(0, || lamprey::mark!("built"));
}

/// Tables are shared by neighbours; unmapping one page leaves the other.
#[lamprey::scenario]
fn neighbours_share_a_table() {
    let tables = PageTables::new();
    let (one, other) = (paging::frame(), paging::frame());
    let pte = tables.map(VA, one.pa(), USER);
    let next = tables.map(VA + 0x1000, other.pa(), USER);
    lamprey::require_eq!(next.as_ptr().addr() - pte.as_ptr().addr(), 8, "tables", "neighbours");
    tables.unmap(VA);
    lamprey::require_eq!(pte.load(Relaxed), 0, "tables", "the page that was unmapped");
    lamprey::require_eq!(next.load(Relaxed), other.pa() | USER, "tables", "its neighbour");
    one.words()[511].store(7, Relaxed);
    lamprey::require_eq!(other.words()[511].load(Relaxed), 0, "tables", "frames are apart");
    tables.make(VA ^ 1 << 30, 2).store(USER | PS, Relaxed);
    lamprey::require_eq!(tables.entry(VA ^ 1 << 30, 2).load(Relaxed), USER | PS, "tables", "a PDE");
    lamprey::cpu(0, || lamprey::mark!("built"));
}
