//! The properties.

use core::fmt;

use aspace::{Cr3, Lam, Space};
use lamprey::user::{self, USER_BASE};
use lamprey::{require, require_eq};

use crate::CPU_COUNT;
use crate::machine::core_of;

/// A user pointer with a tag in bits 62:57.
pub(crate) const TAGGED: u64 = USER_BASE | 0x2a << 57;

/// The words of [`mirror_holds`], with their names in reports.
const MIRROR: [&str; CPU_COUNT] = ["core0.own.cr3", "core1.own.cr3", "core2.own.cr3"];

/// Checks `cr3-mirror`: with interrupts on, a core's copy of CR3 equals CR3.
pub(crate) fn mirror_holds(cpus: usize) {
    for (n, place) in MIRROR.into_iter().enumerate().take(cpus) {
        lamprey::always(move || {
            if lamprey::interrupts_on(n) {
                let mirror = core_of(n).cr3().bits();
                require_eq!(
                    Hex(lamprey::cr3(n)),
                    Hex(mirror),
                    "cr3-mirror",
                    "a core remembers another value of CR3",
                    "CR3",
                    place,
                );
            }
        });
    }
}

/// Checks `lam-at-user-point`: after the enabling call returned, code that uses the space's user
/// memory runs with its LAM mode, so that a tagged pointer works. Called at such code.
#[inline(never)]
pub(crate) fn user_point(space: &Space, pointer: u64) {
    let word = user::read::<u64>(pointer);
    lam_is_that_of(space, lamprey::this_cpu());
    require!(word.is_ok(), "lam-at-user-point", "a tagged pointer faults though LAM is on");
}

/// Checks the first half of [`user_point`], for any CPU.
pub(crate) fn lam_is_that_of(space: &Space, cpu: usize) {
    require_eq!(
        Mode(Cr3::from_bits(lamprey::cr3(cpu)).lam()),
        Mode(space.lam()),
        "lam-at-user-point",
        "user memory is used in the old LAM mode after the enabling call returned",
        "CR3.LAM",
        "space.lam",
    );
}

/// Checks `space-after-free`: no CPU has the tables of `space` in CR3.
pub(crate) fn nobody_is_on(space: &Space, cpus: usize) {
    for n in 0..cpus {
        let root = Cr3::from_bits(lamprey::cr3(n)).root();
        require!(
            root != space.root(),
            "space-after-free",
            "CPU {n} is on page tables that may be freed"
        );
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Hex(u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Mode(Option<Lam>);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "LAM off",
            Some(Lam::U48) => "LAM_U48",
            Some(Lam::U57) => "LAM_U57",
        })
    }
}
