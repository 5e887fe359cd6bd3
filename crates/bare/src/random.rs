//! Numbers from a seed.

use x86::num::low32;
use xxhash_rust::xxh3::xxh3_64;

/// Equal seeds give equal sequences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { seed, drawn: 0 }
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.drawn += 1;
        let key = u128::from(self.seed) << 64 | u128::from(self.drawn);
        low32(xxh3_64(&key.to_le_bytes())) % end
    }
}
