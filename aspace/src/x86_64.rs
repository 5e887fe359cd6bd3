//! The privileged instructions, for implementations of [`Hardware`](crate::Hardware).
//!
//! All of them fault at CPL 3. None is tied to a kernel.

use core::arch::asm;
use core::marker::PhantomData;

use crate::Cr3;

/// RFLAGS.IF.
const IF: u64 = 1 << 9;

/// A section with interrupts off on this CPU; dropping it restores IF.
///
/// Guards are dropped in the reverse order of their creation.
#[derive(Debug)]
#[must_use = "dropping the guard restores interrupts at once"]
pub struct IrqGuard {
    was_on: bool,
    /// Bound to the CPU: not `Send`.
    _cpu: PhantomData<*const ()>,
}

impl IrqGuard {
    /// Saves IF and clears it.
    #[inline]
    pub fn new() -> Self {
        let was_on = irqs_on();
        // SAFETY: CLI changes only IF. No `nomem`: accesses of the section must not move
        // out of it.
        unsafe { asm!("cli", options(nostack, preserves_flags)) };
        Self { was_on, _cpu: PhantomData }
    }
}

impl Default for IrqGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for IrqGuard {
    #[inline]
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: interrupts were on when the guard was created. No `nomem`, as above.
            unsafe { asm!("sti", options(nostack, preserves_flags)) };
        }
    }
}

/// Returns whether IF is set.
#[inline]
fn irqs_on() -> bool {
    let flags: u64;
    // SAFETY: pushes the flags and pops them into a register; the stack is left as it was. Without
    // `nostack`, so the compiler keeps nothing in a red zone there.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & IF != 0
}

/// Executes MOV to CR3. It serialises; the compiler moves no memory access across it.
///
/// # Safety
///
/// - The root is a valid top-level table under which everything this CPU executes and accesses in
///   the kernel half stays mapped.
/// - PCID bits and bit 63 only with CR4.PCIDE = 1, LAM bits only where CPUID has LAM.
#[inline]
pub unsafe fn write_cr3(cr3: Cr3) {
    // SAFETY: the caller's contract. No `nomem`: this is where translations change.
    unsafe { asm!("mov cr3, {}", in(reg) cr3.bits(), options(nostack, preserves_flags)) };
}

/// Executes MOV from CR3.
#[inline]
#[must_use]
pub fn read_cr3() -> Cr3 {
    let bits: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) bits, options(nostack, preserves_flags)) };
    Cr3::from_bits(bits)
}
