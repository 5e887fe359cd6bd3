//! What a CPU may have cached of page tables.

/// Nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tlb;
