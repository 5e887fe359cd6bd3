//! Rules of interrupts and exceptions as functions of values.
//!
//! Both machines deliver by these rules: the searched one, on which verdicts rest, and the one that boots a
//! kernel and is compared with other machines' output. So a rule that is wrong here shows in that comparison.
//!
//! From the bottom up; a file imports only from files above it in this table.
//!
//! | file | holds |
//! | --- | --- |
//! | `vectors` | sets of vectors, priority classes |
//! | `shadow` | what holds interrupts back for one instruction |
//! | `nmi` | blocking of NMIs |
//! | `accept` | which event is taken before the next instruction |
//! | `service` | what is in service, the processor priority |
//! | `icr` | what a write to the interrupt command register asks for |
//! | `x2apic` | which registers the x2APIC has, and their reserved bits |
//! | `descriptor` | segment and gate descriptors, and which selectors are accepted |
//! | `event` | what is delivered, its error code, what becomes of a fault on the way |
//! | `frame` | the frame that a delivery pushes, and the checks of IRETQ |
//!
//! # Invariants
//!
//! - Everything is a function of its arguments. This crate knows no memory, no machine and no scheduler; where
//!   descriptors are, the caller knows.
//! - What a machine does not model, it refuses itself: a rule here leaves nothing out of what it decodes.

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

mod accept;
pub mod descriptor;
mod event;
pub mod frame;
pub mod icr;
mod nmi;
mod service;
mod shadow;
mod vectors;
pub mod x2apic;

pub use accept::{Accepted, Gate, Pending, accept};
pub use event::{Delivered, Entry, Stack, combined};
pub use frame::Frame;
pub use nmi::NmiBlocking;
pub use service::{InService, deliverable, exceeds, processor_priority};
pub use shadow::Shadow;
pub use vectors::{FIRST_LEGAL, NMI, Vectors, class};
