//! Directions to the search, and texts for the reader of a report.

use crate::hypercall::{lamprey_assume, lamprey_choose, lamprey_mark, lamprey_note};

/// Discards the run if `condition` is false: it counts as neither correct nor wrong.
///
/// ```ignore
/// lamprey::assume(first != second);
/// ```
#[inline]
pub fn assume(condition: bool) {
    lamprey_assume(u64::from(condition));
}

/// Returns a number below `n`; each is explored.
///
/// ```ignore
/// let width = if lamprey::choose(2) == 0 { Lam::U48 } else { Lam::U57 };
/// ```
///
/// # Panics
///
/// The run ends undecided if `n` is 0.
#[inline]
#[must_use]
pub fn choose(n: u64) -> u64 {
    lamprey_choose(n)
}

/// Records a mark like [`mark!`](crate::mark!), for a name that is not a literal. The attribute
/// does not see it: declare it with `marks = ["…"]`.
///
/// ```ignore
/// lamprey::mark(NAMES[cpu]);
/// ```
#[inline]
pub fn mark(name: &str) {
    // SAFETY: the host only reads the text.
    unsafe { lamprey_mark(name.as_ptr(), name.len()) }
    not_a_tail_call();
}

/// Keeps the call before it from becoming a jump, which would hide from reports the function that
/// makes it.
#[inline(always)]
fn not_a_tail_call() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) }
}

/// Adds a line to the report like [`note!`](crate::note!), for a text that is not a literal.
///
/// ```ignore
/// lamprey::note(if user { "a user thread" } else { "a kernel thread" });
/// ```
#[inline]
pub fn note(text: &str) {
    // SAFETY: the host only reads the text.
    unsafe { lamprey_note(text.as_ptr(), text.len()) }
    not_a_tail_call();
}

/// Marks a place that some run must reach; a scenario with a missed mark does not pass.
///
/// In the body of a function with [`scenario`](crate::scenario) the attribute declares it. Marks in
/// other functions must be declared with `marks = ["…"]`.
///
/// ```ignore
/// lamprey::mark!("the flush found a lazy CPU");
/// ```
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        $crate::mark($name)
    };
}

/// Adds a line to the report, at this place of the run. A literal: nothing is formatted in the guest.
///
/// ```ignore
/// lamprey::note!("the only user thread is on CPU 0 now");
/// ```
#[macro_export]
macro_rules! note {
    ($text:literal) => {
        $crate::note($text)
    };
}
