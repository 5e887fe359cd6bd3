//! Numbers from a seed.

use xxhash_rust::xxh3::xxh3_64;

use x86::num::low32;

/// Equal seeds give equal sequences.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { seed, drawn: 0 }
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.drawn += 1;
        let key = u128::from(self.seed) << 64 | u128::from(self.drawn);
        low32(xxh3_64(&key.to_le_bytes())) % end
    }
}
