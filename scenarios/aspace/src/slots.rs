//! PCIDs that get another owner. One CPU is enough.

use aspace::x86_64::write_cr3;
use aspace::{Core, Cr3, SLOTS};
use lamprey::paging::{self, PageTables};
use lamprey::{cpu, mark, scenario};

use crate::machine::core_of;
use crate::paged::{ALL, Kernel, Paged};
use crate::process::{Process, VA, sees};

/// More processes than the slots of a CPU.
const MANY: usize = 8;
const _: () = assert!(MANY > SLOTS);

/// Eight processes run, there and back: each sees its own page, whether it has the PCID that it had
/// before or one that was another's.
#[scenario]
fn eight_spaces_on_six() {
    let kernel = Kernel::new(ALL);
    let names = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let processes: [Process; MANY] =
        core::array::from_fn(|n| Process::new(names[n]).holding(n as u64 + 1));
    cpu(0, move || {
        kernel.start();
        let mut pcids = [None; MANY];
        for n in (0..MANY).chain((0..MANY).rev()) {
            processes[n].switch_to();
            sees(n as u64 + 1);
            let pcid = core_of(0).cr3().pcid();
            match pcids[n].replace(pcid) {
                None => {}
                Some(before) if before == pcid => mark!("back under the same PCID"),
                Some(_) => mark!("back under another one's PCID"),
            }
        }
    });
}

/// A CPU goes off and comes back. Other code used the PCIDs meanwhile, so the old slots are
/// invalid: A sees its own page.
#[scenario]
fn started_again() {
    let kernel = Kernel::new(ALL);
    let process = Process::new("A").holding(1);
    let firmware = PageTables::new();
    firmware.map(VA, paging::frame().pa(), paging::USER);
    lamprey::name_root(firmware.root(), "firmware");
    cpu(0, move || {
        kernel.start();
        process.switch_to();
        sees(1);
        Core::leave(&Paged);
        for pcid in 0..=SLOTS as u64 {
            // SAFETY: the CPU has no space, the crate starts anew, and the kernel half is the same.
            unsafe { write_cr3(Cr3::from_bits(firmware.root() | pcid)) };
        }
        kernel.start();
        process.switch_to();
        sees(1);
        mark!("back on A");
    });
}
