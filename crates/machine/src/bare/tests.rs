//! The machine on small programs.
