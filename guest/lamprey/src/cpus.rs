//! The CPUs: the executing one, the registers of each, and interrupts between them.

use crate::hypercall::{
    lamprey_cr3, lamprey_cr4, lamprey_interrupts_on, lamprey_send_ipi, lamprey_send_nmi,
    lamprey_this_cpu,
};

/// Returns the executing CPU, like a kernel's per-CPU segment; another CPU cannot
/// observe the call.
///
/// ```ignore
/// let cpu = &CPUS[lamprey::this_cpu()];
/// ```
#[inline]
#[must_use]
pub fn this_cpu() -> usize {
    lamprey_this_cpu() as usize
}

/// Returns CR3 of CPU `cpu` at this moment, bit 63 clear. For checks: a kernel cannot read another CPU's.
///
/// ```ignore
/// let lam = lamprey::cr3(0) & (3 << 61);
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no such CPU.
#[inline]
#[must_use]
pub fn cr3(cpu: usize) -> u64 {
    lamprey_cr3(cpu as u64)
}

/// Returns CR4 of CPU `cpu` at this moment. For checks.
///
/// ```ignore
/// let pcide = lamprey::cr4(0) & (1 << 17) != 0;
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no such CPU.
#[inline]
#[must_use]
pub fn cr4(cpu: usize) -> u64 {
    lamprey_cr4(cpu as u64)
}

/// Returns RFLAGS.IF of CPU `cpu` at this moment: whether it takes interrupts. For checks.
///
/// ```ignore
/// if lamprey::interrupts_on(0) { /* outside the switch */ }
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no such CPU.
#[inline]
#[must_use]
pub fn interrupts_on(cpu: usize) -> bool {
    lamprey_interrupts_on(cpu as u64) != 0
}

/// Sends an interrupt to CPU `cpu`, which may be this one. It stays pending until that CPU has
/// interrupts on; a second of the same vector merges with a pending one. Does not wait for delivery.
///
/// Waits until the CPU's earlier stores are visible, so the handler sees them. A bare WRMSR to the x2APIC
/// does not (SDM vol. 3 §10.12.3): a kernel puts a fence before it. To check that fence, write the
/// x2APIC's registers instead.
///
/// ```ignore
/// lamprey::send_ipi(1, CALL_FUNCTION_VECTOR);
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no such CPU, or no handler for the vector.
#[inline]
pub fn send_ipi(cpu: usize, vector: u8) {
    lamprey_send_ipi(cpu as u64, u64::from(vector));
}

/// Sends an NMI to CPU `cpu`, which may be this one. While one is pending or its handler runs, one more
/// waits; others merge with that.
///
/// ```ignore
/// lamprey::send_nmi(1);
/// ```
///
/// # Panics
///
/// The run ends undecided if there is no such CPU, or no [`nmi`](crate::nmi) handler.
#[inline]
pub fn send_nmi(cpu: usize) {
    lamprey_send_nmi(cpu as u64);
}
