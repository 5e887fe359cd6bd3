//! Properties that are checked without being written.

/// A property that Lamprey or the guest library checks in every scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Rust code panics.
    Panic,
    /// An exception that nothing handles.
    Fault,
    /// No CPU can go on.
    Deadlock,
    /// No end can be reached any more.
    Livelock,
    /// A closure returns with RFLAGS.IF clear.
    EndsWithInterruptsOff,
    /// A stack frame is used after its owner has left it.
    StackUseAfterReturn,
    /// A freed frame is used.
    FreedFrame,
    /// A frame is freed again.
    FreedTwice,
    /// A freed page table is walked.
    FreedTable,
    /// Code that runs by itself does not end.
    Endless,
}

impl Property {
    /// All of them, in the order of the table in `docs/scenarios.md`.
    pub const ALL: [Property; 10] = [
        Property::Panic,
        Property::Fault,
        Property::Deadlock,
        Property::Livelock,
        Property::EndsWithInterruptsOff,
        Property::StackUseAfterReturn,
        Property::FreedFrame,
        Property::FreedTwice,
        Property::FreedTable,
        Property::Endless,
    ];

    /// The name, in kebab-case, as `finds` and reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Property::Panic => "panic",
            Property::Fault => "fault",
            Property::Deadlock => "deadlock",
            Property::Livelock => "livelock",
            Property::EndsWithInterruptsOff => "ends-with-interrupts-off",
            Property::StackUseAfterReturn => "stack-use-after-return",
            Property::FreedFrame => "freed-frame",
            Property::FreedTwice => "freed-twice",
            Property::FreedTable => "freed-table",
            Property::Endless => "endless",
        }
    }

    /// When it is violated, as `docs/scenarios.md` has it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Property::Panic => "Rust code panics: `assert!`, an index out of range, an overflow",
            Property::Fault => {
                "an exception, a page fault for instance; a guest has no handlers for exceptions"
            }
            Property::Deadlock => "no CPU can go on, and not all have ended",
            Property::Livelock => "CPUs go on for ever: no end can be reached any more",
            Property::EndsWithInterruptsOff => {
                "a closure returns with RFLAGS.IF clear; a handler or a check does not count"
            }
            Property::StackUseAfterReturn => {
                "another CPU, or a handler, accesses a stack frame that its owner has left"
            }
            Property::FreedFrame => {
                "a CPU uses a translation to a frame after `frame_free(pa)`, or another CPU has a store \
                 to it in its store buffer at that moment"
            }
            Property::FreedTwice => "a frame is freed that is free already",
            Property::FreedTable => {
                "a CPU walks through a freed table; with `adversarial`, it *may* do so: its CR3 leads \
                 there, or an entry of the current PCID that may be cached"
            }
            Property::Endless => {
                "set-up, an `always` or a `finally` does not end within 200,000,000 instructions"
            }
        }
    }
}
