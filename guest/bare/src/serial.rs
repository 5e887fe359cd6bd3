//! Output of lines, and the end of the run.

use core::fmt::{self, Write};

use crate::cpu;

const DATA: u16 = 0x3f8;
const LINE_CONTROL: u16 = 0x3fb;
const LINE_STATUS: u16 = 0x3fd;
/// Line status: the transmitter takes another byte.
const EMPTY: u8 = 1 << 5;
/// Line status: the transmitter has sent all bytes.
const SENT: u8 = 1 << 6;
/// QEMU's isa-debug-exit: its status is the byte, shifted left by one, plus one.
const EXIT: u16 = 0xf4;
/// Bochs ends when it reads this word at this port.
const BOCHS_EXIT: (u16, &[u8]) = (0x8900, b"Shutdown");

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while cpu::port_in(LINE_STATUS) & EMPTY == 0 {}
            cpu::port_out(DATA, byte);
        }
        Ok(())
    }
}

/// Sets 8 bits, no parity: after reset a byte may have 5.
pub(crate) fn prepare() {
    cpu::port_out(LINE_CONTROL, 3);
}

/// Writes text; called by `print!`.
pub(crate) fn write(arguments: fmt::Arguments<'_>) {
    // The writer never fails.
    let _ = Serial.write_fmt(arguments);
}

/// Ends the run with `status`.
pub(crate) fn exit(status: u8) -> ! {
    cpu::port_out(EXIT, status);
    while cpu::port_in(LINE_STATUS) & SENT == 0 {}
    for byte in BOCHS_EXIT.1 {
        cpu::port_out(BOCHS_EXIT.0, *byte);
    }
    loop {
        cpu::halt_with_interrupts_off();
    }
}

/// Prints text to the serial line.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::serial::write(format_args!($($argument)*)) };
}

/// Prints a line to the serial line.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => {{
        $crate::print!($($argument)*);
        $crate::print!("\n");
    }};
}
