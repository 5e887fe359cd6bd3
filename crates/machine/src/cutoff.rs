//! When code that runs by itself is cut off: asked now and then, and answered by whoever made the machine.

use std::fmt;
use std::sync::Arc;

/// Instructions between two questions: less than a millisecond of them.
pub(crate) const ASK_EVERY: u64 = 1 << 16;

/// Says when set-up, invariants and final checks are cut off. The machine knows neither clocks nor
/// signals.
#[derive(Clone, Default)]
pub struct Cutoff(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cutoff {
    /// Cuts off as soon as `is_due` returns `true`.
    pub fn when(is_due: impl Fn() -> bool + Send + Sync + 'static) -> Cutoff {
        Cutoff(Some(Arc::new(is_due)))
    }

    /// Returns whether code that runs by itself is to be cut off now.
    pub fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|is_due| is_due())
    }
}

impl fmt::Debug for Cutoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Cutoff(when due)" } else { "Cutoff(never)" })
    }
}
