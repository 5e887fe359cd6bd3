//! Known bugs: each must be found.

#![no_std]
#![no_main]

mod cpu;

mod faults;
mod interrupts;
mod locks;
mod lost_update;
mod properties;
mod torn;
