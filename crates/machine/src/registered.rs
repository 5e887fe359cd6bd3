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

/// What handles an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Vector.
    pub vector: u8,
    /// What runs.
    pub entry: Entry,
    /// It finds a frame on its stack and ends with IRETQ, instead of being called.
    pub raw: bool,
}

/// The NMI handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NmiHandler {
    /// The handler, of vector 2.
    pub handler: Handler,
    /// How many NMIs may come in a run without being sent.
    pub budget: u64,
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
    pub handlers: Vec<Handler>,
    /// What handles NMIs; without it there are none.
    pub nmi: Option<NmiHandler>,
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

impl Registered {
    /// Can anything interrupt a CPU?
    pub fn interrupts(&self) -> bool {
        !self.handlers.is_empty() || self.nmi.is_some()
    }

    /// Do handlers of interrupts, and of NMIs, find what they interrupt?
    pub(crate) fn raw(&self) -> (bool, bool) {
        let nmi = self.nmi.is_some_and(|nmi| nmi.handler.raw);
        (self.handlers.iter().any(|handler| handler.raw), nmi)
    }
}
