//! Copy-on-write memory in 8-byte words, with an additive fingerprint.
//!
//! Three levels of `Arc`: a leaf of 32 words, 16 leaves, 16 of those. A snapshot clones the short top
//! vector; a store copies one leaf and the two nodes above it if they are shared. The fingerprint is
//! the sum, modulo 2^128, of a mixture of every word's number and value; a zero word adds nothing
//! (an additive multiset hash; cf. Nguyen and Ruys, "Incremental Hashing for Spin", SPIN 2008). So it
//! is kept up to date by one subtraction and one addition per store, and does not depend on order.
//!
//! A byte of a stack may be *dead*: of no known value, since nobody reads it again. Every store makes the bytes
//! alive that it writes. Which are dead is part of the fingerprint; a word that is dead as a whole is zero and
//! adds nothing, so stacks that hold the same live bytes are equal however deep they have been.

use std::ops::Range;
use std::sync::Arc;

const LEAF_WORDS: usize = 32;
const FAN: usize = 16;

/// Every byte of a word is dead.
pub const ALL_DEAD: u8 = 0xff;
/// Added to the number of a word to name which of its bytes are alive.
const LIVENESS: u64 = 1 << 40;

#[derive(Clone, Debug)]
struct Leaf {
    words: [u64; LEAF_WORDS],
    /// A bit for each dead byte of a word.
    dead: [u8; LEAF_WORDS],
}

type Middle = [Arc<Leaf>; FAN];
type Upper = [Arc<Middle>; FAN];

/// All modelled memory.
#[derive(Clone, Debug)]
pub struct Memory {
    top: Vec<Arc<Upper>>,
    fingerprint: u128,
    blank: Arc<Blank>,
}

/// The nodes that all untouched memory shares; zero words need no look when the fingerprint is checked.
#[derive(Clone, Debug)]
struct Blank {
    leaf: Arc<Leaf>,
    middle: Arc<Middle>,
    upper: Arc<Upper>,
    /// The nodes that stacks share to which nothing was stored.
    dead: Option<(Arc<Leaf>, Arc<Middle>)>,
    /// The words of the stacks, if bytes of these can be dead.
    stacks: Vec<Range<u64>>,
}

impl Memory {
    /// Makes `bytes` bytes of zeroes.
    pub fn new(bytes: u64) -> Memory {
        let leaf = Arc::new(Leaf { words: [0; LEAF_WORDS], dead: [0; LEAF_WORDS] });
        let middle: Arc<Middle> = Arc::new(std::array::from_fn(|_| leaf.clone()));
        let upper: Arc<Upper> = Arc::new(std::array::from_fn(|_| middle.clone()));
        let covered = LEAF_WORDS * FAN * FAN * 8;
        let top = vec![upper.clone(); index(bytes).div_ceil(covered)];
        let blank = Arc::new(Blank { leaf, middle, upper, dead: None, stacks: Vec::new() });
        Memory { top, fingerprint: 0, blank }
    }

    /// Makes every byte of these words dead, in memory that nothing has been stored to; whole pages each.
    pub fn with_stacks(mut self, stacks: Vec<Range<u64>>) -> Memory {
        const PAGE_WORDS: u64 = 512;
        const { assert!(LEAF_WORDS * FAN == 512, "a middle node is a page") };
        let leaf = Arc::new(Leaf { words: [0; LEAF_WORDS], dead: [ALL_DEAD; LEAF_WORDS] });
        let middle: Arc<Middle> = Arc::new(std::array::from_fn(|_| leaf.clone()));
        for stack in &stacks {
            debug_assert_eq!((stack.start % PAGE_WORDS, stack.end % PAGE_WORDS), (0, 0));
            for word in stack.clone().step_by(LEAF_WORDS * FAN) {
                let (a, b, ..) = split(word);
                Arc::make_mut(&mut self.top[a])[b] = middle.clone();
            }
        }
        let blank = Arc::make_mut(&mut self.blank);
        blank.stacks = stacks;
        blank.dead = Some((leaf, middle));
        self
    }

    /// Returns the fingerprint of all words.
    ///
    /// # Panics
    ///
    /// In debug builds, if a store has missed it.
    pub fn fingerprint(&self) -> u128 {
        // What goes wrong once stays wrong, so one state in 16 is enough.
        let checked = cfg!(debug_assertions) && self.fingerprint.is_multiple_of(16);
        assert!(!checked || self.fingerprint == self.recompute(), "a store missed the fingerprint");
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
                let dead = blank.dead.as_ref();
                if Arc::ptr_eq(middle, &blank.middle)
                    || dead.is_some_and(|(_, dead)| Arc::ptr_eq(middle, dead))
                {
                    continue;
                }
                for (leaf_base, leaf) in numbered(LEAF_WORDS).zip(middle.iter()) {
                    if Arc::ptr_eq(leaf, &blank.leaf)
                        || dead.is_some_and(|(dead, _)| Arc::ptr_eq(leaf, dead))
                    {
                        continue;
                    }
                    let first = base + middle_base + leaf_base;
                    let is_stack = blank.stacks.iter().any(|stack| stack.contains(&first));
                    let words = leaf.words.iter().zip(&leaf.dead);
                    for (word, (value, dead)) in (first..).zip(words) {
                        sum = sum.wrapping_add(mix(word, *value));
                        sum = sum.wrapping_add(if is_stack { liveness(word, *dead) } else { 0 });
                        assert!(is_stack || *dead == 0, "a byte outside the stacks is dead");
                        assert!(*dead != ALL_DEAD || *value == 0, "a dead word has a value");
                    }
                }
            }
        }
        sum
    }

    /// Returns the 8 bytes of a word.
    #[inline]
    pub fn word(&self, word: u64) -> u64 {
        self.word_and_dead(word).0
    }

    /// Returns a word, and a bit for each of its bytes that is dead.
    #[inline]
    pub fn word_and_dead(&self, word: u64) -> (u64, u8) {
        let (a, b, c, d) = split(word);
        let leaf = &self.top[a][b][c];
        (leaf.words[d], leaf.dead[d])
    }

    /// Stores all 8 bytes of a word.
    #[inline]
    pub fn set_word(&mut self, word: u64, value: u64) {
        self.set(word, value, 0);
    }

    /// Makes a word of a stack dead.
    pub fn bury(&mut self, word: u64) {
        self.set(word, 0, ALL_DEAD);
    }

    #[inline]
    fn set(&mut self, word: u64, value: u64, dead: u8) {
        let (old, was_dead) = self.word_and_dead(word);
        if (old, was_dead) == (value, dead) {
            return;
        }
        let mut print =
            self.fingerprint.wrapping_sub(mix(word, old)).wrapping_add(mix(word, value));
        if dead != was_dead {
            print = print.wrapping_sub(liveness(word, was_dead)).wrapping_add(liveness(word, dead));
        }
        self.fingerprint = print;
        let (a, b, c, d) = split(word);
        let upper = Arc::make_mut(&mut self.top[a]);
        let middle = Arc::make_mut(&mut upper[b]);
        let leaf = Arc::make_mut(&mut middle[c]);
        leaf.words[d] = value;
        leaf.dead[d] = dead;
    }

    /// Loads `size` (1 to 8) bytes at `location`, zero-extended; may cross words.
    #[inline]
    pub fn load(&self, location: u64, size: u8) -> u64 {
        let shift = (location % 8) * 8;
        let mut value = self.word(location / 8) >> shift;
        if location % 8 + u64::from(size) > 8 {
            value |= self.word(location / 8 + 1) << (64 - shift);
        }
        value & mask(size)
    }

    /// Stores the low `size` (1 to 8) bytes of `value`; may cross words.
    #[inline]
    pub fn store(&mut self, location: u64, size: u8, value: u64) {
        let word = location / 8;
        let shift = (location % 8) * 8;
        let mask = mask(size);
        let value = value & mask;
        let (old, dead) = self.word_and_dead(word);
        let written = written(location % 8, size);
        self.set(word, (old & !(mask << shift)) | (value << shift), dead & !written);
        if location % 8 + u64::from(size) > 8 {
            let back = 64 - shift;
            let (old, dead) = self.word_and_dead(word + 1);
            let written = u8::MAX >> (16 - location % 8 - u64::from(size));
            self.set(word + 1, (old & !(mask >> back)) | (value >> back), dead & !written);
        }
    }
}

/// Returns ones in the low `size` bytes, 1 to 8.
#[inline]
pub fn mask(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(size))
}

/// The bits of `size` bytes from byte `offset` of a word on that are in it.
#[inline]
fn written(offset: u64, size: u8) -> u8 {
    (u8::MAX >> (8 - size)) << offset
}

/// Returns `n` as an index: lossless on the 64-bit hosts this runs on.
///
/// # Panics
///
/// On other hosts, if it is too large.
#[inline]
pub fn index(n: u64) -> usize {
    usize::try_from(n).expect("64-bit host")
}

#[inline]
fn split(word: u64) -> (usize, usize, usize, usize) {
    let word = index(word);
    let leaf = word / LEAF_WORDS;
    (leaf / (FAN * FAN), leaf / FAN % FAN, leaf % FAN, word % LEAF_WORDS)
}

/// Returns 128 bits that depend on all of both arguments; 0 for value 0.
#[inline]
pub fn mix(word: u64, value: u64) -> u128 {
    if value == 0 {
        return 0;
    }
    let key = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = fold(fold(value ^ key, 0xa076_1d64_78bd_642f) ^ word, 0xe703_7ed1_a0b4_28db);
    let turned = value.rotate_left(31) ^ key.rotate_left(17);
    let high = fold(fold(turned, 0x8ebc_6af0_9c88_c6e3) ^ key, 0x5899_65cc_7537_4cc3);
    (u128::from(high) << 64) | u128::from(low)
}

/// Returns what the dead bytes of a word of a stack add to the fingerprint; nothing if all are dead.
#[inline]
fn liveness(word: u64, dead: u8) -> u128 {
    mix(word + LIVENESS, u64::from(!dead))
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
    fn stores_make_the_bytes_alive_that_they_write() {
        let mut memory = Memory::new(1 << 16).with_stacks(vec![512..1024, 1536..2048]);
        let blank = memory.fingerprint();
        assert_eq!(blank, 0);
        for (offset, size, first, second) in
            [(0, 8, 0, 0xff), (3, 2, 0xe7, 0xff), (7, 8, 0x7f, 0x80), (5, 4, 0x1f, 0xfe)]
        {
            let mut memory = memory.clone();
            memory.store(4096 + offset, size, 0);
            assert_eq!(memory.word_and_dead(512), (0, first));
            assert_eq!(memory.word_and_dead(513), (0, second));
            assert_ne!(memory.fingerprint(), blank, "a zero that is stored is no unknown value");
            memory.bury(512);
            memory.bury(513);
            assert_eq!(memory.fingerprint(), blank, "dead words are as those never stored to");
        }
        memory.store(12, 8, 0);
        assert_eq!((memory.word_and_dead(1).1, memory.fingerprint()), (0, 0));
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
