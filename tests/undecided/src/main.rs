//! What the model does not cover, or was not asked: never a pass.

#![no_std]
#![no_main]

// One file for the three guests; none uses all of it.
#[allow(dead_code)]
#[path = "../../cpu.rs"]
mod cpu;

mod asked;
mod bases;
mod budgets;
mod buffers;
mod kernel_half;
mod unmodelled;
mod user_memory;
