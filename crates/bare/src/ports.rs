//! I/O ports: a serial line at COM1, and a way to end.

use x86::Refusal;

/// COM1, a 16550: eight ports.
const COM1: u16 = 0x3f8;
/// A byte or more to this port ends the run, as with QEMU's isa-debug-exit.
const DEBUG_EXIT: u16 = 0xf4;
/// The port where firmware writes its progress; nobody listens.
const POST: u16 = 0x80;

/// LCR: the first two ports are the divisor.
const DLAB: u8 = 1 << 7;
/// LSR: the transmitter is empty, and so is its holding register.
const EMPTY: u8 = 3 << 5;

/// The devices behind ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Bytes sent and not yet taken.
    pub(crate) sent: Vec<u8>,
    /// The value written to the port that ends the run.
    pub(crate) exit: Option<u32>,
    /// Divisor, low and high; then LCR, MCR and scratch.
    divisor: [u8; 2],
    line_control: u8,
    modem_control: u8,
    scratch: u8,
}

impl Ports {
    /// IN of `size` bytes.
    pub(crate) fn read(&self, port: u16, size: u8) -> Result<u32, Refusal> {
        let com1 = port.wrapping_sub(COM1);
        if size != 1 || com1 > 7 {
            return Err(unmodelled("IN", port, size));
        }
        let divisor = self.line_control & DLAB != 0;
        Ok(u32::from(match com1 {
            0 | 1 if divisor => self.divisor[usize::from(com1)],
            // Nothing is received and nothing interrupts.
            0 | 1 => 0,
            2 => 1,
            3 => self.line_control,
            4 => self.modem_control,
            5 => EMPTY,
            6 => 0,
            _ => self.scratch,
        }))
    }

    /// OUT of `size` bytes.
    pub(crate) fn write(&mut self, port: u16, size: u8, value: u32) -> Result<(), Refusal> {
        let com1 = port.wrapping_sub(COM1);
        let byte = value.to_le_bytes()[0];
        let divisor = self.line_control & DLAB != 0;
        match (port, com1) {
            (DEBUG_EXIT, _) => self.exit = Some(value),
            (POST, _) => {}
            _ if size != 1 => return Err(unmodelled("OUT", port, size)),
            (_, 0 | 1) if divisor => self.divisor[usize::from(com1)] = byte,
            (_, 0) => self.sent.push(byte),
            (_, 1) if byte == 0 => {}
            (_, 1) => return Err(Refusal::Unmodelled("interrupts of the serial line".into())),
            // FIFO control: they are never full.
            (_, 2) => {}
            (_, 3) => self.line_control = byte,
            (_, 4) => self.modem_control = byte,
            (_, 5 | 6) => {}
            (_, 7) => self.scratch = byte,
            _ => return Err(unmodelled("OUT", port, size)),
        }
        Ok(())
    }
}

fn unmodelled(what: &str, port: u16, size: u8) -> Refusal {
    Refusal::Unmodelled(format!("{what} of {size} bytes at port {port:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_kept_and_the_divisor_is_not_sent() {
        let mut ports = Ports::default();
        assert_eq!(ports.read(0x3fd, 1), Ok(0x60));
        for (port, value) in [(0x3fb, 0x83), (0x3f8, 1), (0x3f9, 0), (0x3fb, 3), (0x3f8, 0x41)] {
            assert_eq!(ports.write(port, 1, value), Ok(()));
        }
        assert_eq!((ports.sent.as_slice(), ports.exit), (&b"A"[..], None));
        assert_eq!(ports.write(0xf4, 4, 0x10), Ok(()));
        assert_eq!(ports.exit, Some(0x10));
    }

    #[test]
    fn a_port_without_a_device_is_not_guessed() {
        assert!(Ports::default().read(0x60, 1).is_err());
        assert!(Ports::default().write(0xcf8, 4, 0).is_err());
        assert!(Ports::default().write(0x3f9, 1, 1).is_err());
    }
}
