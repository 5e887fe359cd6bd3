//! The protocol on simulated machines.

mod shoot;
mod sim;
mod switch;
mod threads;
