//! The user thread, and its way to a CPU.

use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use crate::arch::{irqs_off, irqs_on};
use crate::mm::Mm;
use crate::switch::{enter_lazy_tlb, switch_mm_irqs_off};
use crate::variant::Variant;

/// A user thread. It is neither copied nor made anew: the owner of the value runs it, and a process
/// with one of these is single-threaded throughout.
pub(crate) struct Thread {
    mm: &'static Mm,
}

impl Thread {
    /// Creates the first and only thread of `mm`, in set-up.
    pub(crate) fn only_one_of(mm: &'static Mm) -> Self {
        Self { mm }
    }

    pub(crate) fn mm(&self) -> &'static Mm {
        self.mm
    }
}

/// A CPU's run queue, with room for one thread: null or the mm of that thread.
pub(crate) struct RunQueue(AtomicPtr<Mm>);

impl RunQueue {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Migrates `thread` to the CPU of this queue.
    pub(crate) fn put(&self, thread: Thread) {
        self.0.store(ptr::from_ref(thread.mm).cast_mut(), Release);
    }

    /// Waits for a thread; the CPU runs its kernel thread meanwhile.
    pub(crate) fn take(&self) -> Thread {
        loop {
            let mm = self.0.load(Acquire);
            // SAFETY: null, or the `&'static Mm` of a thread.
            if let Some(mm) = unsafe { mm.as_ref() } {
                self.0.store(ptr::null_mut(), Release);
                return Thread { mm };
            }
            spin_loop();
        }
    }
}

/// Switches this CPU to a user thread, as the scheduler does.
#[inline(never)]
pub(crate) fn switch_to_user<V: Variant>(next: &Thread) {
    irqs_off();
    switch_mm_irqs_off::<V>(next.mm);
    irqs_on();
}

/// Switches this CPU to a kernel thread, as the scheduler does.
#[inline(never)]
pub(crate) fn switch_to_kthread() {
    irqs_off();
    enter_lazy_tlb();
    irqs_on();
}
