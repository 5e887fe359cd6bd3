//! A guest that only computes, so that `cargo xtask bench` measures only the interpreter.

#![no_std]
#![no_main]

use core::hint::black_box;

/// Forty million instructions that no other CPU can see.
#[lamprey::scenario]
fn private_instructions() {
    lamprey::cpu(0, || {
        let mut table = [0u64; 64];
        let mut x = black_box(0x9e37_79b9_7f4a_7c15u64);
        for round in 0..4_000_000u64 {
            let slot = &mut table[(x % 64) as usize];
            *slot = slot.wrapping_add(round);
            x = (x ^ *slot).rotate_left(13).wrapping_add(round);
        }
        black_box(table);
        lamprey::mark!("computed");
    });
}
