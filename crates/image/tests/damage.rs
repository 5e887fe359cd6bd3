//! Damaged files: refused or read in part, but never a panic.

mod common;
mod exercise;

use common::{c_guest_bytes, rust_guest_bytes};
use exercise::exercise;
use image::Image;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn fixtures() -> [Vec<u8>; 3] {
    [rust_guest_bytes(5), c_guest_bytes(&["-gdwarf-4"]), c_guest_bytes(&["-gdwarf-5", "-gz=zlib"])]
}

#[test]
fn truncations() {
    for bytes in fixtures() {
        let mut random = Random(0x1234_5678_9abc_def1);
        let starts = 0..bytes.len().min(1024);
        let others: Vec<usize> = (0..200).map(|_| random.below(bytes.len())).collect();
        for len in starts.chain(others) {
            exercise(bytes[..len].to_vec());
        }
        assert!(exercise(bytes));
    }
}

#[test]
fn flipped_bits_anywhere() {
    for bytes in fixtures() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut survivors = 0;
        for _ in 0..ROUNDS {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
            }
            survivors += u32::from(exercise(damaged));
        }
        assert!(survivors > 0, "the damage is too heavy to test anything");
    }
}

#[test]
fn flipped_bits_in_headers() {
    for bytes in fixtures() {
        // The file header with the program headers, and the section headers at the end.
        let tail = bytes.len().saturating_sub(1024);
        for at in (0..512).chain(tail..bytes.len()).filter(|&at| at < bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            exercise(damaged);
        }
    }
}

#[test]
fn noise_in_debug_sections() {
    for bytes in fixtures() {
        let mut random = Random(0x0dd0_beef_1234_4321);
        let image = Image::parse("whole", bytes.clone()).expect("a good image");
        for name in [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_ranges"] {
            let Some((_, section)) = image.section(name).filter(|(_, s)| s.len() >= 16) else {
                continue;
            };
            let place = bytes.windows(section.len()).position(|window| window == section);
            let Some(start) = place else { continue };
            for _ in 0..ROUNDS {
                let mut damaged = bytes.clone();
                for _ in 0..8 {
                    damaged[start + random.below(section.len())] = random.below(256) as u8;
                }
                exercise(damaged);
            }
        }
    }
}

#[test]
fn a_damaged_unit_turns_debug_information_off() {
    let mut bytes = c_guest_bytes(&["-gdwarf-5"]);
    let image = Image::parse("whole", bytes.clone()).expect("a good image");
    let (_, section) = image.section(".debug_info").expect("debug information");
    let start = bytes.windows(section.len()).position(|window| window == section).expect("it");
    bytes[start + 4] = 99; // the version
    let image = Image::parse("damaged", bytes).expect("still an image");
    assert!(!image.has_debug_info());
    let why = "unit 0: unknown DWARF version: 99";
    assert_eq!(image.warnings(), [format!("debug information is damaged and not used: {why}")]);
    assert!(image.symbol("entry").is_some());
}

/// The number of rounds: enough to reach every parser, few enough for each change.
const ROUNDS: u32 = 300;
