//! The accesses that the entries of a mapping allow (SDM vol. 3 §4.6, §4.7).

use core::sync::atomic::Ordering::Relaxed;

use crate::cpu::{self, CR0_WP, CR4_SMAP, CR4_SMEP, Feature};
use crate::labels::{Label, op_call, op_read, op_write, user_jump, user_read, user_write};
use crate::page::{self, A, D, EXECUTE_KERNEL, EXECUTE_USER, Level, OPEN, P, PS, RW, US, XD};
use crate::probe::{self, Outcome};
use crate::{print, println};

/// A mapping with one entry that is not the usual one of its level: P, R/W, U/S and XD are those of
/// `flags`, other flags are added. The name has w or r, u or s, x or not, in this order.
struct Kind {
    name: &'static str,
    level: Level,
    flags: u64,
}

const KINDS: [Kind; 27] = [
    kind("leaf-wux", Level::Pte, OPEN),
    kind("leaf-wu-", Level::Pte, OPEN | XD),
    kind("leaf-wsx", Level::Pte, P | RW),
    kind("leaf-ws-", Level::Pte, P | RW | XD),
    kind("leaf-rux", Level::Pte, P | US),
    kind("leaf-ru-", Level::Pte, P | US | XD),
    kind("leaf-rsx", Level::Pte, P),
    kind("leaf-rs-", Level::Pte, P | XD),
    kind("leaf-absent", Level::Pte, RW | US),
    kind("pde-rux", Level::Pde, P | US),
    kind("pde-wsx", Level::Pde, P | RW),
    kind("pde-wu-", Level::Pde, OPEN | XD),
    kind("pde-absent", Level::Pde, RW | US),
    kind("pdpte-rux", Level::Pdpte, P | US),
    kind("pdpte-wsx", Level::Pdpte, P | RW),
    kind("pdpte-wu-", Level::Pdpte, OPEN | XD),
    kind("pml4e-rux", Level::Pml4e, P | US),
    kind("pml4e-wsx", Level::Pml4e, P | RW),
    kind("pml4e-wu-", Level::Pml4e, OPEN | XD),
    kind("pml4e-absent", Level::Pml4e, RW | US),
    kind("large-wux", Level::LargePde, OPEN),
    kind("large-rux", Level::LargePde, P | US),
    kind("large-wsx", Level::LargePde, P | RW),
    kind("large-wu-", Level::LargePde, OPEN | XD),
    kind("leaf-reserved-51", Level::Pte, OPEN | 1 << 51),
    kind("large-reserved-13", Level::LargePde, OPEN | 1 << 13),
    kind("pml4e-reserved-7", Level::Pml4e, OPEN | PS),
];

const fn kind(name: &'static str, level: Level, flags: u64) -> Kind {
    Kind { name, level, flags }
}

struct Mode {
    name: &'static str,
    wp: bool,
    cr4: u64,
    ac: bool,
}

const MODES: [Mode; 5] = [
    Mode { name: "wp", wp: true, cr4: 0, ac: false },
    Mode { name: "no-wp", wp: false, cr4: 0, ac: false },
    Mode { name: "smep", wp: true, cr4: CR4_SMEP, ac: false },
    Mode { name: "smap", wp: true, cr4: CR4_SMAP, ac: false },
    Mode { name: "smap-ac", wp: true, cr4: CR4_SMAP, ac: true },
];

pub(crate) fn run() {
    println!("perm/columns: CPL 0 read, write, execute, CPL 3 read, write, execute");
    for mode in &MODES {
        let lacking = mode.cr4 & CR4_SMEP != 0 && !cpu::has(Feature::Smep)
            || mode.cr4 & CR4_SMAP != 0 && !cpu::has(Feature::Smap);
        if lacking {
            println!("perm/{}: absent", mode.name);
            continue;
        }
        let (cr0, cr4) = (cpu::cr0(), cpu::cr4());
        cpu::write_cr0(if mode.wp { cr0 | CR0_WP } else { cr0 & !CR0_WP });
        cpu::write_cr4(cr4 | mode.cr4);
        for kind in &KINDS {
            line(mode, kind);
        }
        cpu::write_cr4(cr4);
        cpu::write_cr0(cr0);
    }
    upper_accessed();
}

fn line(mode: &Mode, kind: &Kind) {
    print!("perm/{}/{}:", mode.name, kind.name);
    if kind.flags & 1 << 51 != 0 && cpu::physical_bits() > 51 {
        println!(" absent");
        return;
    }
    let va = match kind.level {
        Level::Pml4e => page::BY_PML4E,
        Level::Pdpte => page::BY_PDPTE,
        Level::Pde | Level::Pte => page::TARGET,
        Level::LargePde => page::in_large(0),
    };
    access(mode, kind, va, |va| probe::run(op_read as Label, va, 0));
    access(mode, kind, va, |va| probe::run(op_write as Label, va, 0));
    access(mode, kind, va + EXECUTE_KERNEL, |va| probe::run(op_call as Label, va, 0));
    access(mode, kind, va, |va| probe::run_user(user_read, va));
    access(mode, kind, va, |va| probe::run_user(user_write, va));
    access(mode, kind, va + EXECUTE_USER, |va| probe::run_user(user_jump, va));
    println!();
    page::reset();
}

/// Prints one access, and the accessed and dirty flags of the leaf if it succeeded.
fn access(mode: &Mode, kind: &Kind, va: u64, run: impl Fn(u64) -> Option<crate::trap::Trap>) {
    page::reset();
    let usual = page::usual(kind.level) & !(OPEN | XD);
    page::set(kind.level, usual | kind.flags);
    page::flush();
    if mode.ac {
        cpu::stac();
    }
    let trap = run(va);
    if mode.ac {
        cpu::clac();
    }
    let leaf = if matches!(kind.level, Level::LargePde) { Level::LargePde } else { Level::Pte };
    let flags = page::entry(leaf).load(Relaxed);
    print!(" {}", Outcome { trap, expected: va });
    if trap.is_none() {
        print!(".{}{}", letter(flags & A, 'a'), letter(flags & D, 'd'));
    }
}

fn letter(flag: u64, letter: char) -> char {
    if flag == 0 { '-' } else { letter }
}

/// Prints the flags that a write sets above the leaf.
fn upper_accessed() {
    page::reset();
    let _ = probe::run(op_write as Label, page::BY_PML4E, 0);
    print!("perm/flags-above-the-leaf:");
    for level in [Level::Pml4e, Level::Pde] {
        let flags = page::entry(level).load(Relaxed);
        print!(" {}{}", letter(flags & A, 'a'), letter(flags & D, 'd'));
    }
    println!();
    page::reset();
}
