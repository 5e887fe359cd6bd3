//! Properties that are checked without being written.

macro_rules! properties {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $meaning:literal),* $(,)?) => {
        /// A property that Lamprey or the guest library checks in every scenario.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Property { $($(#[$doc])* $variant),* }

        impl Property {
            /// All of them, in the order of the table in `docs/scenarios.md`.
            pub const ALL: &'static [Property] = &[$(Property::$variant),*];

            /// The name, in kebab-case, as `finds` and reports have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Property::$variant => $name),* }
            }

            /// The condition under which it is violated, as `docs/scenarios.md` has it.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Property::$variant => $meaning),* }
            }
        }
    };
}

properties! {
    /// Rust code panics.
    Panic = "panic":
        "Rust code panics: `assert!`, an index out of range, an overflow",
    /// An exception that nothing handles.
    Fault = "fault":
        "an exception, a page fault for instance; a guest has no handlers for exceptions",
    /// No CPU can go on.
    Deadlock = "deadlock":
        "no CPU can continue, and not all have ended",
    /// No end can be reached any more.
    Livelock = "livelock":
        "CPUs run forever: no end can be reached any more",
    /// A closure returns with RFLAGS.IF clear.
    EndsWithInterruptsOff = "ends-with-interrupts-off":
        "a closure returns with RFLAGS.IF clear; a handler or a check does not count",
    /// A stack frame is used after its owner has left it.
    StackUseAfterReturn = "stack-use-after-return":
        "another CPU, or a handler, accesses a stack frame that its owner has left",
    /// A freed frame is used.
    FreedFrame = "freed-frame":
        "a CPU uses a translation to a frame after `frame_free(pa)`, or another CPU has a store \
         to it in its store buffer at that moment",
    /// A frame is freed again.
    FreedTwice = "freed-twice":
        "a frame is freed that is free already",
    /// A freed page table is walked.
    FreedTable = "freed-table":
        "a CPU walks through a freed table; with `adversarial`, it *may* do so: its CR3 leads \
         there, or an entry of the current PCID that may be cached",
    /// Code that runs by itself does not end.
    Endless = "endless":
        "set-up, an `always` or a `finally` does not end within 200,000,000 instructions",
}
