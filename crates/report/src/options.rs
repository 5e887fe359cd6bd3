//! What an outcome does not know: how it shall look, and under which bounds it was found.

use serde::{Deserialize, Serialize};

/// How a text shall look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Widest line, but for verdict lines and commands. The default, 79, gives two columns of 35 or three
    /// of 23.
    pub width: usize,
    /// May characters outside ASCII be used? Otherwise they are replaced.
    pub utf8: bool,
    /// Tell everything: marks, values before a write, each turn of a spin loop, figures.
    pub verbose: bool,
    /// Instruction addresses in place of source positions.
    pub raw: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { width: 79, utf8: false, verbose: false, raw: false }
    }
}

/// What is said beside an outcome: the commands that lead on from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// Name of the trail, if one was kept.
    pub trail: Option<String>,
    /// Command that runs the trail again, as it works when typed.
    pub replay: Option<String>,
    /// Command that shows the trail in other forms.
    pub more: Option<String>,
}
