//! Copy-on-write memory in 8-byte words, with an additive fingerprint.
//!
//! Three levels of `Arc`: a leaf of 32 words, 16 leaves, 16 of those. A snapshot clones the short top
//! vector; a store copies one leaf and the two nodes above it if they are shared. The fingerprint is
//! the sum, modulo 2^128, of a mixture of every word's number and value; a zero word adds nothing
//! (an additive multiset hash; cf. Nguyen and Ruys, "Incremental Hashing for Spin", SPIN 2008). So it
//! is kept up to date by one subtraction and one addition per store, and does not depend on order.

use std::sync::Arc;

use crate::layout::index;

const LEAF_WORDS: usize = 32;
const FAN: usize = 16;

type Leaf = [u64; LEAF_WORDS];
type Middle = [Arc<Leaf>; FAN];
type Upper = [Arc<Middle>; FAN];

/// All modelled memory.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    top: Vec<Arc<Upper>>,
    fingerprint: u128,
    blank: Arc<Blank>,
}

/// What all untouched memory shares; zero words need no look when the fingerprint is checked.
#[derive(Debug)]
struct Blank {
    leaf: Arc<Leaf>,
    middle: Arc<Middle>,
    upper: Arc<Upper>,
}

impl Memory {
    /// `bytes` bytes of zeroes.
    pub(crate) fn new(bytes: u64) -> Memory {
        let leaf: Arc<Leaf> = Arc::new([0; LEAF_WORDS]);
        let middle: Arc<Middle> = Arc::new(std::array::from_fn(|_| leaf.clone()));
        let upper: Arc<Upper> = Arc::new(std::array::from_fn(|_| middle.clone()));
        let covered = LEAF_WORDS * FAN * FAN * 8;
        let top = vec![upper.clone(); index(bytes).div_ceil(covered)];
        Memory { top, fingerprint: 0, blank: Arc::new(Blank { leaf, middle, upper }) }
    }

    pub(crate) fn fingerprint(&self) -> u128 {
        debug_assert_eq!(self.fingerprint, self.recompute(), "a store missed the fingerprint");
        self.fingerprint
    }

    /// The fingerprint from scratch: the check of the incremental one in debug builds.
    fn recompute(&self) -> u128 {
        let mut sum = 0u128;
        let numbered = |span: usize| (0u64..).step_by(span);
        let blank = &self.blank;
        for (base, upper) in numbered(LEAF_WORDS * FAN * FAN).zip(&self.top) {
            if Arc::ptr_eq(upper, &blank.upper) {
                continue;
            }
            for (middle_base, middle) in numbered(LEAF_WORDS * FAN).zip(upper.iter()) {
                if Arc::ptr_eq(middle, &blank.middle) {
                    continue;
                }
                for (leaf_base, leaf) in numbered(LEAF_WORDS).zip(middle.iter()) {
                    if Arc::ptr_eq(leaf, &blank.leaf) {
                        continue;
                    }
                    for (offset, value) in (0u64..).zip(leaf.iter()) {
                        sum =
                            sum.wrapping_add(mix(base + middle_base + leaf_base + offset, *value));
                    }
                }
            }
        }
        sum
    }

    #[inline]
    pub(crate) fn word(&self, word: u64) -> u64 {
        let (a, b, c, d) = split(word);
        self.top[a][b][c][d]
    }

    #[inline]
    pub(crate) fn set_word(&mut self, word: u64, value: u64) {
        let (a, b, c, d) = split(word);
        let old = self.top[a][b][c][d];
        if old == value {
            return;
        }
        self.fingerprint =
            self.fingerprint.wrapping_sub(mix(word, old)).wrapping_add(mix(word, value));
        let upper = Arc::make_mut(&mut self.top[a]);
        let middle = Arc::make_mut(&mut upper[b]);
        Arc::make_mut(&mut middle[c])[d] = value;
    }

    /// `size` (1 to 8) bytes at `location`, zero-extended; may cross words.
    #[inline]
    pub(crate) fn load(&self, location: u64, size: u8) -> u64 {
        let shift = (location % 8) * 8;
        let mut value = self.word(location / 8) >> shift;
        if location % 8 + u64::from(size) > 8 {
            value |= self.word(location / 8 + 1) << (64 - shift);
        }
        value & mask(size)
    }

    /// Stores the low `size` (1 to 8) bytes of `value`; may cross words.
    #[inline]
    pub(crate) fn store(&mut self, location: u64, size: u8, value: u64) {
        let word = location / 8;
        let shift = (location % 8) * 8;
        let mask = mask(size);
        let value = value & mask;
        self.set_word(word, (self.word(word) & !(mask << shift)) | (value << shift));
        if location % 8 + u64::from(size) > 8 {
            let back = 64 - shift;
            self.set_word(word + 1, (self.word(word + 1) & !(mask >> back)) | (value >> back));
        }
    }
}

/// The low `size` bytes.
#[inline]
pub(crate) fn mask(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(size))
}

#[inline]
fn split(word: u64) -> (usize, usize, usize, usize) {
    let word = index(word);
    let leaf = word / LEAF_WORDS;
    (leaf / (FAN * FAN), leaf / FAN % FAN, leaf % FAN, word % LEAF_WORDS)
}

/// 128 bits that depend on all of both arguments; 0 for value 0.
#[inline]
pub(crate) fn mix(word: u64, value: u64) -> u128 {
    if value == 0 {
        return 0;
    }
    let key = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = fold(fold(value ^ key, 0xa076_1d64_78bd_642f) ^ word, 0xe703_7ed1_a0b4_28db);
    let turned = value.rotate_left(31) ^ key.rotate_left(17);
    let high = fold(fold(turned, 0x8ebc_6af0_9c88_c6e3) ^ key, 0x5899_65cc_7537_4cc3);
    (u128::from(high) << 64) | u128::from(low)
}

/// High and low half of the product, folded (the step of wyhash).
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(b);
    low64(product) ^ low64(product >> 64)
}

#[inline]
fn low64(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_give_back_what_stores_put_across_words() {
        let mut memory = Memory::new(1 << 20);
        for (offset, size) in [(0, 8), (3, 8), (7, 2), (5, 4), (1, 1), (6, 2), (255, 8), (4093, 8)]
        {
            let before = memory.load(offset + 16, 8);
            memory.store(offset, size, 0x1122_3344_5566_7788);
            assert_eq!(memory.load(offset, size), 0x1122_3344_5566_7788 & mask(size));
            assert_eq!(memory.load(offset + 16, 8), before, "a neighbour changed");
            memory.fingerprint();
        }
    }

    #[test]
    fn a_snapshot_keeps_its_content_and_fingerprint() {
        let mut memory = Memory::new(1 << 16);
        memory.store(64, 8, 5);
        let (snapshot, print) = (memory.clone(), memory.fingerprint());
        memory.store(64, 8, 6);
        assert_eq!(snapshot.load(64, 8), 5);
        assert_eq!(snapshot.fingerprint(), print);
        assert_ne!(memory.fingerprint(), print);
        memory.store(64, 8, 5);
        assert_eq!(memory.fingerprint(), print, "the order and number of stores must not matter");
    }

    #[test]
    fn equal_values_in_different_words_differ() {
        let prints: std::collections::HashSet<u128> = (0..1000)
            .map(|word| {
                let mut memory = Memory::new(1 << 16);
                memory.set_word(word, 1);
                memory.fingerprint()
            })
            .collect();
        assert_eq!(prints.len(), 1000);
    }
}
