//! Operands of MOV to CR3, MOV to CR4 and INVPCID that are refused (SDM vol. 3 §4.10.1, vol. 2 MOV
//! CR and INVPCID).

use crate::cpu::{self, CR3_NOFLUSH, CR4_PCIDE, Feature};
use crate::labels::{op_cr3, op_cr4, op_invpcid};
use crate::probe::outcome;
use crate::{page, println};

/// An undefined bit of CR3. Tested only with PCIDs: QEMU 7.2 without them hangs
/// on any such bit.
const RESERVED: u64 = 1 << 60;

pub(crate) fn run() {
    let (cr3, cr4) = (cpu::cr3(), cpu::cr4());
    if !cpu::has(Feature::Pcid) {
        println!("pcid: absent");
    } else {
        println!("pcid/noflush-without-pcide: {}", outcome(op_cr3, cr3 | CR3_NOFLUSH, 0));
        println!("pcid/pwt-without-pcide: {}", outcome(op_cr3, cr3 | 0x18, 0));
        println!("pcid/pcide-with-low-bits: {}", outcome(op_cr4, cr4 | CR4_PCIDE, 0));
        cpu::write_cr3(cr3);
        println!("pcid/pcide: {}", outcome(op_cr4, cr4 | CR4_PCIDE, 0));
        println!("pcid/all-ones: {}", outcome(op_cr3, cr3 | 0xfff, 0));
        println!("pcid/all-ones-read-back: {:x}", cpu::cr3() ^ cr3);
        println!("pcid/noflush: {}", outcome(op_cr3, cr3 | CR3_NOFLUSH | 5, 0));
        println!("pcid/noflush-read-back: {:x}", cpu::cr3() ^ cr3);
        println!("pcid/reserved-bit-60: {}", outcome(op_cr3, cr3 | RESERVED, 0));
        cpu::write_cr3(cr3);
        invpcid("pcide");
        println!("pcid/pcide-off-with-pcid-5: {}", {
            cpu::write_cr3(cr3 | 5);
            outcome(op_cr4, cr4, 0)
        });
        cpu::write_cr3(cr3);
        cpu::write_cr4(cr4);
    }
    invpcid("no-pcide");
    page::flush();
}

fn invpcid(mode: &str) {
    if !cpu::has(Feature::Invpcid) {
        println!("invpcid/{mode}: absent");
        return;
    }
    let high = page::HIGH - 1;
    let cases: [(&str, u64, [u64; 2]); 11] = [
        ("type-0", 0, [0, page::TARGET]),
        ("type-0-pcid-5", 0, [5, page::TARGET]),
        ("type-0-not-canonical", 0, [0, high]),
        ("type-1", 1, [0, high]),
        ("type-1-pcid-5", 1, [5, 0]),
        ("type-2-pcid-5", 2, [5, high]),
        ("type-3-pcid-5", 3, [5, high]),
        ("type-4", 4, [0, 0]),
        ("type-0-upper-bits", 1 << 32, [0, 0]),
        ("type-2-reserved-12", 2, [1 << 12, 0]),
        ("type-1-reserved-63", 1, [1 << 63, 0]),
    ];
    for (name, kind, descriptor) in cases {
        let at = (&raw const descriptor).addr() as u64;
        println!("invpcid/{mode}/{name}: {}", outcome(op_invpcid, kind, at));
    }
}
