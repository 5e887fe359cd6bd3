//! Sets of vectors, and their priority classes (SDM vol. 3 §10.8.3 and §10.8.4).

use x86::num::low8;

/// The vector of an NMI (SDM vol. 3 table 6-1).
pub const NMI: u8 = 2;

/// The first vector that a local APIC accepts; to send one below it is an error (SDM vol. 3 §10.5.2).
pub const FIRST_LEGAL: u8 = 16;

/// The priority class of a vector: its bits 7:4 (SDM vol. 3 §10.8.3).
#[inline]
#[must_use]
pub fn class(vector: u8) -> u8 {
    vector >> 4
}

/// 256 bits, one for each vector, as IRR and ISR hold them (SDM vol. 3 §10.8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors([u64; 4]);

impl Vectors {
    /// Sets the bit of `vector`.
    #[inline]
    pub fn insert(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        self.0[word] |= bit;
    }

    /// Clears the bit of `vector`.
    #[inline]
    pub fn remove(&mut self, vector: u8) {
        let (word, bit) = place(vector);
        self.0[word] &= !bit;
    }

    /// Returns the bit of `vector`.
    #[inline]
    #[must_use]
    pub fn contains(self, vector: u8) -> bool {
        let (word, bit) = place(vector);
        self.0[word] & bit != 0
    }

    /// Returns the highest vector of the set.
    #[inline]
    #[must_use]
    pub fn highest(self) -> Option<u8> {
        (0u8..4).rev().find_map(|word| {
            let highest = self.0[usize::from(word)].checked_ilog2()?;
            Some(64 * word + low8(highest.into()))
        })
    }

    /// Returns how many vectors of the set are below `vector`, which is one of them.
    #[inline]
    #[must_use]
    pub fn rank(self, vector: u8) -> Option<u16> {
        let (word, bit) = place(vector);
        if self.0[word] & bit == 0 {
            return None;
        }
        let below = self.0[..word].iter().map(|bits| bits.count_ones()).sum::<u32>();
        u16::try_from(below + (self.0[word] & (bit - 1)).count_ones()).ok()
    }

    /// Returns the 32 bits that the register with this number, 0 to 7, shows (SDM vol. 3 figure 10-20).
    #[must_use]
    pub fn register(self, number: u32) -> u64 {
        let word = self.0[usize::try_from(number / 2 % 4).expect("below 4")];
        word >> (32 * (number % 2)) & 0xffff_ffff
    }

    /// Returns all bits, the lowest vectors first.
    #[inline]
    #[must_use]
    pub fn words(self) -> [u64; 4] {
        self.0
    }
}

impl FromIterator<u8> for Vectors {
    fn from_iter<I: IntoIterator<Item = u8>>(vectors: I) -> Vectors {
        let mut set = Vectors::default();
        vectors.into_iter().for_each(|vector| set.insert(vector));
        set
    }
}

#[inline]
fn place(vector: u8) -> (usize, u64) {
    (usize::from(vector / 64), 1 << (vector % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_one_bit_in_every_view() {
        for vector in 0..=255u8 {
            let set = Vectors::from_iter([vector]);
            let registers = (0..8).map(|number| set.register(number));
            let expected = (0..8u8).map(|number| u64::from(vector / 32 == number) << (vector % 32));
            assert!(registers.eq(expected), "{vector}");
            assert_eq!((set.highest(), set.rank(vector)), (Some(vector), Some(0)));
            assert_eq!(set.words().iter().map(|word| word.count_ones()).sum::<u32>(), 1);
        }
    }

    #[test]
    fn ranks_go_by_vector() {
        let set = Vectors::from_iter([40, 63, 64, 250]);
        let ranks: Vec<_> = [40, 63, 64, 250, 41].iter().map(|v| set.rank(*v)).collect();
        assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut set = Vectors::from_iter([0, 63, 64, 255]);
        for (highest, then) in [(255, Some(64)), (64, Some(63)), (63, Some(0)), (0, None)] {
            assert!(set.contains(highest));
            set.remove(highest);
            assert_eq!((set.contains(highest), set.highest()), (false, then));
        }
        assert_eq!(set, Vectors::default());
    }
}
