//! Canonical addresses, with and without linear-address masking (SDM vol. 3 §4.1 and the
//! chapter on LAM; vol. 1 §3.3.7.1).

use crate::cpu::{self, CR3_LAM_U48, CR3_LAM_U57, CR4_LAM_SUP, Feature};
use crate::labels::{Label, op_call, op_invlpg, op_read, op_read_stack, op_read8, user_read};
use crate::page::{self, EXECUTE_KERNEL, HIGH, TARGET};
use crate::probe::{self, Outcome, outcome};
use crate::{print, println};

struct Mode {
    name: &'static str,
    cr3: u64,
    cr4: u64,
}

const MODES: [Mode; 6] = [
    Mode { name: "off", cr3: 0, cr4: 0 },
    Mode { name: "u48", cr3: CR3_LAM_U48, cr4: 0 },
    Mode { name: "u57", cr3: CR3_LAM_U57, cr4: 0 },
    Mode { name: "u48-u57", cr3: CR3_LAM_U48 | CR3_LAM_U57, cr4: 0 },
    Mode { name: "sup", cr3: 0, cr4: CR4_LAM_SUP },
    Mode { name: "u57-sup", cr3: CR3_LAM_U57, cr4: CR4_LAM_SUP },
];

/// Pointers, some with a tag.
const POINTERS: [(&str, u64); 14] = [
    ("low", TARGET),
    ("high", HIGH),
    ("low-last", 0x0000_7fff_ffff_f000),
    ("low-beyond", 0x0000_8000_0000_0000),
    ("high-before", 0xffff_7fff_ffff_f000),
    ("low-tag-57", TARGET | 0x2a << 57),
    ("low-tag-48", TARGET | 0x7fff << 48),
    ("low-tag-bit-47", TARGET | 1 << 47),
    ("low-tag-bit-56", TARGET | 1 << 56),
    ("low-tag-bit-63", TARGET | 1 << 63),
    ("high-tag-57", 0x81ff_8000_0000_0000),
    ("high-tag-48", 0x8000_8000_0000_0000),
    ("high-tag-no-47", 0x8000_0000_0000_0000 | TARGET),
    ("high-tag-no-63", 0x7fff_8000_0000_0000),
];

pub(crate) fn run() {
    page::reset();
    for mode in &MODES {
        if mode.cr3 | mode.cr4 != 0 && !cpu::has(Feature::Lam) {
            println!("canonical/{}: absent", mode.name);
            continue;
        }
        let (cr3, cr4) = (cpu::cr3(), cpu::cr4());
        cpu::write_cr4(cr4 | mode.cr4);
        cpu::write_cr3(cr3 | mode.cr3);
        for (name, pointer) in POINTERS {
            line(mode, name, pointer);
        }
        faulting(mode);
        cpu::write_cr3(cr3);
        cpu::write_cr4(cr4);
    }
    straddling();
}

/// Prints a load, the same relative to SS, a load at CPL 3, a call, INVLPG.
fn line(mode: &Mode, name: &str, pointer: u64) {
    print!("canonical/{}/{name}:", mode.name);
    for operation in [op_read as Label, op_read_stack] {
        print!(" {}", Outcome { trap: probe::run(operation, pointer, 0), expected: pointer });
    }
    print!(" {}", Outcome { trap: probe::run_user(user_read, pointer), expected: pointer });
    let code = pointer.wrapping_add(EXECUTE_KERNEL);
    print!(" {}", Outcome { trap: probe::run(op_call, code, 0), expected: code });
    println!(" {}", outcome(op_invlpg, pointer, 0));
}

/// Prints the content of CR2 after a fault by a tagged pointer to an unmapped address.
fn faulting(mode: &Mode) {
    let pointers = [("low", (TARGET + 0x1000) | (0x2a << 57)), ("high", 0x81ff_8000_0000_1000)];
    for (name, pointer) in pointers {
        let trap = probe::run(op_read, pointer, 0);
        println!("canonical/{}/cr2-{name}: {}", mode.name, Outcome { trap, expected: 0 });
    }
}

/// Accesses 8 bytes across the ends of the two halves.
fn straddling() {
    for (name, pointer) in
        [("end-of-low", 0x0000_7fff_ffff_fffc), ("start-of-high", HIGH - 4), ("wrap", u64::MAX - 3)]
    {
        println!("canonical/straddling/{name}: {}", {
            Outcome { trap: probe::run(op_read8, pointer, 0), expected: pointer }
        });
    }
}
