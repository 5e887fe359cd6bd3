//! Random values, mixed with boundary values of arithmetic.

/// SplitMix64: small, seedable, and good enough to choose operands.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// Returns true once in `n` calls on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Returns one of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Returns an operand: a boundary of some width, a small number, or random bits.
    pub fn value(&mut self) -> u64 {
        const BOUNDARIES: [u64; 16] = [
            0,
            1,
            2,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x8000,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x7fff_ffff_ffff_ffff,
            0x8000_0000_0000_0000,
            u64::MAX - 1,
            u64::MAX,
        ];
        match self.below(8) {
            0 | 1 => self.pick(&BOUNDARIES),
            2 => self.pick(&BOUNDARIES).wrapping_add(self.below(5)).wrapping_sub(2),
            3 => self.below(64),
            // Random bits above a boundary, for operations narrower than the register.
            4 => self.bits() << self.pick(&[8, 16, 32]) | self.pick(&BOUNDARIES) & 0xff,
            _ => self.bits(),
        }
    }

    /// Returns a vector operand.
    pub fn vector(&mut self) -> u128 {
        match self.below(4) {
            0 => u128::from(self.value()) << 64 | u128::from(self.value()),
            1 => u128::from_le_bytes([self.value() as u8; 16]),
            _ => u128::from(self.bits()) << 64 | u128::from(self.bits()),
        }
    }
}
