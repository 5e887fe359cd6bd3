//! Registers of the x2APIC as MSRs: which exist, and which of their bits are reserved (SDM vol. 3 §10.12,
//! table 10-6).

use std::ops::RangeInclusive;

use x86::Fault;

use crate::icr;

/// The numbers of all registers of which one exists.
pub const REGISTERS: RangeInclusive<u32> = 0x800..=0x83f;

/// Number of the local APIC.
pub const ID: u32 = 0x802;
/// Version.
pub const VERSION: u32 = 0x803;
/// Task priority.
pub const TPR: u32 = 0x808;
/// Processor priority.
pub const PPR: u32 = 0x80a;
/// End of interrupt.
pub const EOI: u32 = 0x80b;
/// Logical destination.
pub const LDR: u32 = 0x80d;
/// Spurious-interrupt vector.
pub const SVR: u32 = 0x80f;
/// In-service vectors, the first of eight.
pub const ISR: u32 = 0x810;
/// Trigger modes, the first of eight.
pub const TMR: u32 = 0x818;
/// Requested vectors, the first of eight.
pub const IRR: u32 = 0x820;
/// Error status.
pub const ESR: u32 = 0x828;
/// Local vector table, corrected machine checks.
pub const LVT_CMCI: u32 = 0x82f;
/// Interrupt command.
pub const ICR: u32 = 0x830;
/// Local vector table: timer, the first of six.
pub const LVT_FIRST: u32 = 0x832;
/// Local vector table: error, the last of six.
pub const LVT_LAST: u32 = 0x837;
/// Initial count of the timer.
pub const INITIAL_COUNT: u32 = 0x838;
/// Current count of the timer.
pub const CURRENT_COUNT: u32 = 0x839;
/// Divide configuration of the timer.
pub const DIVIDE: u32 = 0x83e;
/// SELF IPI.
pub const SELF_IPI: u32 = 0x83f;

/// Focus checking, software enable, and the vector.
const SVR_DEFINED: u64 = 0x3ff;
const LVT_DEFINED: u64 = 0x7_f7ff;

/// First and last number; the register can be read; the bits that can be written, if it can.
type Row = (u32, u32, bool, Option<u64>);

const TABLE: &[Row] = &[
    (ID, VERSION, true, None),
    (TPR, TPR, true, Some(0xff)),
    (PPR, PPR, true, None),
    (EOI, EOI, false, Some(0)),
    (LDR, LDR, true, None),
    (SVR, SVR, true, Some(SVR_DEFINED)),
    (ISR, ISR + 7, true, None),
    (TMR, TMR + 7, true, None),
    (IRR, IRR + 7, true, None),
    (ESR, ESR, true, Some(0)),
    (LVT_CMCI, LVT_CMCI, true, Some(LVT_DEFINED)),
    (ICR, ICR, true, Some(icr::DEFINED)),
    (LVT_FIRST, LVT_LAST, true, Some(LVT_DEFINED)),
    (INITIAL_COUNT, INITIAL_COUNT, true, Some(0xffff_ffff)),
    (CURRENT_COUNT, CURRENT_COUNT, true, None),
    (DIVIDE, DIVIDE, true, Some(0xb)),
    (SELF_IPI, SELF_IPI, false, Some(0xff)),
];

fn row(number: u32) -> Option<&'static Row> {
    TABLE.iter().find(|(first, last, ..)| (*first..=*last).contains(&number))
}

/// Checks RDMSR of a register.
///
/// # Errors
///
/// #GP(0) if there is none with this number, or it cannot be read.
pub fn check_read(number: u32) -> Result<(), Fault> {
    let readable = row(number).is_some_and(|(_, _, read, _)| *read);
    if readable { Ok(()) } else { Err(Fault::GP) }
}

/// Checks WRMSR to a register, whatever is written.
///
/// # Errors
///
/// #GP(0) if there is none with this number, or it cannot be written.
pub fn check_write(number: u32) -> Result<(), Fault> {
    writable(number).map(|_| ())
}

/// Checks WRMSR of `value` to a register.
///
/// # Errors
///
/// The same, and #GP(0) if a reserved bit is set.
pub fn check_value(number: u32, value: u64) -> Result<(), Fault> {
    if value & !writable(number)? != 0 { Err(Fault::GP) } else { Ok(()) }
}

fn writable(number: u32) -> Result<u64, Fault> {
    row(number).and_then(|(.., write)| *write).ok_or(Fault::GP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_apart() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{:#x}", pair[1].0);
        }
    }

    #[test]
    fn registers_that_can_be_read_and_written() {
        let count = |allowed: fn(u32) -> bool| (0x7f0..0x900).filter(|n| allowed(*n)).count();
        assert_eq!(count(|number| check_read(number).is_ok()), 42);
        assert_eq!(count(|number| check_write(number).is_ok()), 15);
        for number in [EOI, SELF_IPI, 0x7ff, 0x800, 0x840] {
            assert_eq!(check_read(number), Err(Fault::GP), "{number:#x}");
        }
    }

    #[test]
    fn reserved_bits_fault() {
        // Register, a value that can be written, and one that cannot.
        let table = [
            (TPR, 0xff, 0x100),
            (EOI, 0, 1),
            (SVR, 0x1ff, 0x400),
            (ESR, 0, 1),
            (ICR, 1 << 32 | 0x41, 1 << 12),
            (SELF_IPI, 0xff, 0x100),
            (DIVIDE, 0xb, 4),
        ];
        for (number, good, bad) in table {
            assert_eq!(check_value(number, good), Ok(()), "{number:#x}");
            assert_eq!(check_value(number, bad), Err(Fault::GP), "{number:#x}");
        }
        assert_eq!(check_value(ID, 0), Err(Fault::GP));
    }
}
