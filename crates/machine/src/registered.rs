//! What a scenario's set-up registers.

use abi::layout::MAX_CPUS;

/// A function of the guest and its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its address.
    pub function: u64,
    /// What it is called with.
    pub data: u64,
}

/// A name the guest gave to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Address.
    pub va: u64,
    /// Size in bytes.
    pub size: u64,
    /// Name.
    pub name: String,
    /// Rust type, as `core::any::type_name` gives it.
    pub type_name: String,
}

/// What the set-up registered.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    /// What each CPU runs.
    pub cpus: [Option<Entry>; MAX_CPUS],
    /// Invariants.
    pub always: Vec<Entry>,
    /// Final checks.
    pub finally: Vec<Entry>,
    /// Interrupt handlers by vector; their order is that of the vectors.
    pub handlers: Vec<(u8, Entry)>,
    /// The user half is what page tables say; otherwise it is flat.
    pub page_tables: bool,
    /// What RDTSC reads; without it RDTSC is not modelled.
    pub clock: Option<u64>,
    /// Names of objects.
    pub objects: Vec<Named>,
    /// Names of values.
    pub values: Vec<(u64, String)>,
    /// Names of page-table roots, by physical address.
    pub roots: Vec<(u64, String)>,
}
