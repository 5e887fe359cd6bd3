//! The enabling of Linear Address Masking by a process.

use core::fmt;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::fence;

use crate::arch::{LAM_U57, irqs_off, irqs_on, read_cr3, write_cr3};
use crate::mm::{CPU_COUNT, Mm, cpu, this_cpu, this_cpu_bit};
use crate::switch::set_tlbstate_lam_mode;
use crate::thread::Thread;
use crate::variant::Variant;

/// The vector of calls between CPUs.
const CALL_FUNCTION_VECTOR: u8 = 0xfb;

/// A LAM mode, as CR3 has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lam(pub(crate) u64);

impl fmt::Display for Lam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("LAM off"),
            LAM_U57 => f.write_str("LAM_U57"),
            other => write!(f, "{other:#x}"),
        }
    }
}

/// The error `-EBUSY`.
#[derive(Debug)]
pub(crate) struct Busy;

/// Performs `arch_prctl(ARCH_ENABLE_TAGGED_ADDR, 6)`, called by `current`.
#[inline(never)]
pub(crate) fn prctl_enable_tagged_addr<V: Variant>(current: &Thread) -> Result<(), Busy> {
    let mm = current.mm();
    if mm.lock_lam.load(Relaxed) {
        return Err(Busy);
    }
    mm.lam_cr3_mask.store(LAM_U57, Relaxed);
    if V::IPI {
        // Published descriptions have no barrier between the store above and the read below; the lock
        // of the mm, which is not modelled, is taken before both.
        if V::FENCE {
            fence(SeqCst);
        }
        on_each_cpu_mask(mm.cpumask.load(Relaxed), mm);
    } else {
        write_cr3(read_cr3() | mm.lam_cr3_mask.load(Relaxed));
        set_tlbstate_lam_mode(this_cpu(), mm);
    }
    mm.lock_lam.store(true, Relaxed);
    Ok(())
}

/// Performs `on_each_cpu_mask(cpumask, enable_lam_func, mm, true)`: on the others, here, and waits.
fn on_each_cpu_mask(cpumask: u64, mm: &'static Mm) {
    let others = cpumask & !this_cpu_bit();
    for n in cpus_in(others) {
        cpu(n).call.store(ptr::from_ref(mm).cast_mut(), Release);
        lamprey::send_ipi(n, CALL_FUNCTION_VECTOR);
    }
    if cpumask & this_cpu_bit() != 0 {
        irqs_off();
        enable_lam_func(mm);
        irqs_on();
    }
    for n in cpus_in(others) {
        while !cpu(n).call.load(Acquire).is_null() {
            spin_loop();
        }
    }
}

fn cpus_in(cpumask: u64) -> impl Iterator<Item = usize> {
    (0..CPU_COUNT).filter(move |n| cpumask & (1 << n) != 0)
}

/// Runs on each CPU that may have `mm` loaded, with interrupts off.
#[inline(never)]
fn enable_lam_func(mm: &Mm) {
    let cpu = this_cpu();
    if ptr::eq(cpu.loaded_mm.load(Relaxed), mm) {
        let lam = mm.lam_cr3_mask.load(Relaxed);
        write_cr3(read_cr3() | lam);
        cpu.lam.store(lam, Relaxed);
    }
}

/// Registers the handler of calls between CPUs.
pub(crate) fn set_up_calls() {
    lamprey::handler(CALL_FUNCTION_VECTOR, || {
        let cpu = this_cpu();
        let mm = cpu.call.load(Acquire);
        // SAFETY: null, or the `&'static Mm` of `on_each_cpu_mask`.
        if let Some(mm) = unsafe { mm.as_ref() } {
            enable_lam_func(mm);
            cpu.call.store(ptr::null_mut(), Release);
        }
    });
}
