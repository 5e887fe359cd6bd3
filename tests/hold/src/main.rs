//! Right code: no run may violate anything.

#![no_std]
#![no_main]

mod cpu;

mod algorithms;
mod atomics;
mod interrupts;
mod lam;
mod orders;
mod private;
mod steering;
