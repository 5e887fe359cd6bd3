//! The data window, as the interpreter sees it.

use x86::{At, Env, Fault, Fence, IfChange, Regs};

/// Address of the window: below 2 GiB, so that 32-bit addresses and displacements reach it.
pub const WINDOW: u64 = 0x36c9_8000;
/// Size of the window in bytes.
pub const SIZE: usize = 0x2000;
/// Number of bytes without access on either side.
pub(crate) const GUARD: usize = 0x10_0000;

/// Memory that consists of the window alone.
#[derive(Debug)]
pub struct Window {
    /// Content of the window.
    pub memory: Vec<u8>,
    /// CR4.FSGSBASE.
    pub fsgsbase: bool,
}

impl Window {
    fn place(&self, at: At) -> Result<std::ops::Range<usize>, Fault> {
        // An access across the end of the lower half is not canonical either.
        let canonical = |va: u64| matches!(va.cast_signed() >> 47, 0 | -1);
        if !canonical(at.va) || !canonical(at.va.wrapping_add(u64::from(at.size) - 1)) {
            return Err(Fault { vector: if at.stack { 12 } else { 13 }, code: 0, va: 0 });
        }
        let start = at.va.wrapping_sub(WINDOW);
        let end = start.wrapping_add(u64::from(at.size));
        if start >= SIZE as u64 || end > SIZE as u64 {
            return Err(Fault { vector: 14, code: 0, va: at.va });
        }
        Ok(start as usize..end as usize)
    }
}

/// Memory and the operations of a user program; the others are not reached.
impl Env for Window {
    type Stop = Fault;

    fn unmodelled(&mut self, what: String) -> Fault {
        unreachable!("excluded: {what}")
    }

    fn load(&mut self, at: At) -> Result<u64, Fault> {
        assert!(matches!(at.size, 1 | 2 | 4 | 8), "{at:?}");
        let place = self.place(at)?;
        let mut bytes = [0; 8];
        bytes[..place.len()].copy_from_slice(&self.memory[place]);
        Ok(u64::from_le_bytes(bytes))
    }

    fn store(&mut self, at: At, value: u64) -> Result<(), Fault> {
        assert!(matches!(at.size, 1 | 2 | 4 | 8), "{at:?}");
        let place = self.place(at)?;
        let len = place.len();
        self.memory[place].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }

    fn load128(&mut self, at: At) -> Result<u128, Fault> {
        assert_eq!(at.size, 16, "{at:?}");
        let place = self.place(at)?;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.memory[place]);
        Ok(u128::from_le_bytes(bytes))
    }

    fn store128(&mut self, at: At, value: u128) -> Result<(), Fault> {
        assert_eq!(at.size, 16, "{at:?}");
        let place = self.place(at)?;
        self.memory[place].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn fence(&mut self, _: Fence) -> Result<(), Fault> {
        Ok(())
    }

    fn cpl(&self) -> u8 {
        3
    }

    fn interrupt_flag(&mut self, _: &Regs, _: IfChange) -> Result<(), Fault> {
        Ok(())
    }

    fn fsgsbase(&mut self) -> Result<bool, Self::Stop> {
        Ok(self.fsgsbase)
    }

    /// Signals INT3; the other instructions that enter the operating system are excluded.
    fn software_interrupt(&mut self, vector: u8, _: u64) -> Fault {
        assert_eq!(vector, Fault::BP.vector);
        Fault::BP
    }
}
