//! What the model does not cover, or was not asked: never a pass.

#![no_std]
#![no_main]

mod cpu;

mod asked;
mod budgets;
mod unmodelled;
