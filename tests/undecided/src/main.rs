//! Behaviour that the model does not cover, or scenarios that check nothing: never a pass.

#![no_std]
#![no_main]

// One file for the three guests; each uses a part of it.
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
