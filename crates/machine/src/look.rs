//! What a CPU shows of itself to others.

use crate::agent::STACKS;
use crate::frames::Frames;
use crate::state::State;

/// What a CPU shows of itself to others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) interrupts_on: bool,
    /// Which frames are gone, on the stacks of its thread, interrupt and NMI levels.
    pub(crate) frames: [Frames; STACKS],
}

/// What every CPU shows of itself.
pub(crate) fn look(state: &State) -> Vec<Look> {
    state
        .cpus
        .iter()
        .map(|cpu| Look {
            cr3: cpu.system.cr3,
            cr4: cpu.system.cr4,
            interrupts_on: cpu.interrupt_flag(),
            frames: cpu.gone_frames(),
        })
        .collect()
}
