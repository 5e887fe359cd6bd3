//! ELF, symbols, line tables and types; the only reader of images.
//!
//! An [`Image`] is a linked x86-64 kernel: a Rust `no_std` guest, a C program, Linux's `vmlinux`.
//! It answers two kinds of query. Queries about execution: [`Image::segments`],
//! [`Image::entry`], [`Image::section`], [`Image::symbol`]. Queries about names in the source:
//! [`Image::function_at`], [`Image::frames`], [`Image::object_at`], [`Image::field_at`].
//!
//! The first kind must be right or the file is refused with an [`ImageError`] that says how to
//! mend it. The second kind is for reports only: missing or damaged debug information never
//! fails [`Image::open`], it makes answers coarser and adds a line to [`Image::warnings`].
//!
//! # Invariants
//!
//! - This crate never executes, prints or writes anything, and reads no file but the one that it is
//!   given.
//! - It never panics, for any bytes.
//! - The answers depend on the bytes alone, not on the order of the queries.
//! - All addresses are virtual addresses in the image as linked, all sizes are in bytes.

#![forbid(unsafe_code)]

mod error;
mod image;
mod input;

mod elf;
mod segment;
mod symbols;

mod dwarf;
mod files;
mod lines;

mod index;
mod place;
mod types;

mod name;

pub use crate::error::ImageError;
pub use crate::image::Image;
pub use crate::input::{InputError, read_file};
pub use crate::lines::Frame;
pub use crate::name::{demangle, short_name};
pub use crate::place::Place;
pub use crate::segment::Segment;
pub use crate::symbols::{Symbol, SymbolKind};
