//! A run with the machine code under each event.

use outcome::Outcome;

use crate::columns::told;
use crate::{Context, Options, Text};

/// Like [`columns`](crate::columns()), in lanes, each event followed by its instruction.
pub fn asm(outcome: &Outcome, context: &Context, options: &Options) -> Text {
    told(outcome, context, options, true)
}
