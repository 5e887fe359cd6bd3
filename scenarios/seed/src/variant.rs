//! The states of the code under discussion.

/// One state of the code. The constants are the differences, in chronological order.
pub(crate) trait Variant: 'static {
    /// CR3 and the CPU's copy of the mask come from one read of the mm's mask. Otherwise it is read
    /// twice, once at the start and once late.
    const READ_ONCE: bool;
    /// A CPU that returns lazily to the mm it has loaded compares its copy with the mm's mask.
    const COMPARE: bool;
    /// The enabling call interrupts every CPU that has the mm loaded, and waits.
    const IPI: bool;
    /// The enabling call's store of the mask is visible before it reads the mm's cpumask.
    const FENCE: bool;
}

/// Linux 6.8, before the series.
pub(crate) struct Before;

/// The first patch of the RFC of 7 March 2024: read the mask once.
pub(crate) struct Patch1;

/// The first two patches of the RFC: compare, too. The discussion was about the second.
pub(crate) struct Patch2;

/// The IPI on top of the old code: the mask for CR3 is still read before joining the mm's cpumask.
/// None of the patches; shows the effect of the order.
pub(crate) struct IpiAlone;

/// The code merged for Linux 6.12: the IPI, and the one read *after* joining the mm's cpumask.
pub(crate) struct Merged;

/// [`Merged`] with a full barrier between the store of the mask and the read of the cpumask. None of
/// the patches; shows the effect of the order.
pub(crate) struct Fenced;

impl Variant for Before {
    const READ_ONCE: bool = false;
    const COMPARE: bool = false;
    const IPI: bool = false;
    const FENCE: bool = false;
}

impl Variant for Patch1 {
    const READ_ONCE: bool = true;
    const COMPARE: bool = false;
    const IPI: bool = false;
    const FENCE: bool = false;
}

impl Variant for Patch2 {
    const READ_ONCE: bool = true;
    const COMPARE: bool = true;
    const IPI: bool = false;
    const FENCE: bool = false;
}

impl Variant for IpiAlone {
    const READ_ONCE: bool = false;
    const COMPARE: bool = false;
    const IPI: bool = true;
    const FENCE: bool = false;
}

impl Variant for Merged {
    const READ_ONCE: bool = true;
    const COMPARE: bool = false;
    const IPI: bool = true;
    const FENCE: bool = false;
}

impl Variant for Fenced {
    const READ_ONCE: bool = true;
    const COMPARE: bool = false;
    const IPI: bool = true;
    const FENCE: bool = true;
}
