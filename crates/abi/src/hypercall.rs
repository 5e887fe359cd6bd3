//! The calls that a guest makes.
//!
//! Each is a function of the C ABI that the guest declares; Lamprey binds it by its symbol name and
//! acts when a CPU calls it. Arguments are in RDI, RSI, RDX, RCX, R8, R9, the result is in RAX; all
//! other registers are kept. A text is two arguments: address and length in bytes.

macro_rules! hypercalls {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal),* $(,)?) => {
        /// A hypercall.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Hypercall { $($(#[$doc])* $name),* }

        impl Hypercall {
            /// All hypercalls.
            pub const ALL: &[Hypercall] = &[$(Hypercall::$name),*];

            /// Returns the symbol that a guest calls it by.
            pub const fn symbol(self) -> &'static str {
                match self { $(Hypercall::$name => $symbol),* }
            }
        }
    };
}

hypercalls! {
    /// `(cpu, entry, data)`: CPU `cpu` runs `entry(data)`. Set-up only, once per CPU.
    Cpu = "lamprey_cpu",
    /// `(entry, data)`: `entry(data)` must hold in every state. Set-up only.
    Always = "lamprey_always",
    /// `(entry, data)`: runs after all CPUs have ended. Set-up only.
    Finally = "lamprey_finally",
    /// `(vector, entry, data)`: the handler of an interrupt vector, `entry(data)`. Set-up only.
    Handler = "lamprey_handler",
    /// `(vector, entry)`: like `Handler`, but `entry` finds a frame on its stack and ends with
    /// IRETQ.
    RawHandler = "lamprey_raw_handler",
    /// `(budget, entry, data)`: the NMI handler; up to `budget` NMIs may arrive unsent. Set-up
    /// only, once.
    Nmi = "lamprey_nmi",
    /// `(budget, entry)`: like `Nmi`, but `entry` finds a frame on its stack and ends with IRETQ.
    RawNmi = "lamprey_raw_nmi",
    /// `(ticks)`: RDTSC always reads this value. Set-up only; without it RDTSC is not modelled.
    FixedClock = "lamprey_fixed_clock",
    /// `(levels)`: the user half is mapped by page tables of 4 or 5 levels, through TLBs. Set-up
    /// only; without it user memory is flat.
    PageTables = "lamprey_page_tables",
    /// `(physical address)`: the 4-KiB frame there is free; a CPU that still walks through it or
    /// uses a translation to it violates a property.
    FrameFree = "lamprey_frame_free",
    /// `(cpu, vector)`: sends a fixed interrupt; pending until delivered.
    SendIpi = "lamprey_send_ipi",
    /// `(cpu)`: sends an NMI.
    SendNmi = "lamprey_send_nmi",
    /// `() -> cpu`: the CPU that makes the call.
    ThisCpu = "lamprey_this_cpu",
    /// `(condition)`: if it is 0, the run is discarded.
    Assume = "lamprey_assume",
    /// `(n) -> 0..n`: each value is explored.
    Choose = "lamprey_choose",
    /// `(text)`: must be reached in some run, if declared.
    Mark = "lamprey_mark",
    /// `(text)`: a line for the report.
    Note = "lamprey_note",
    /// `(size, align) -> address`: zeroed memory, never freed.
    Alloc = "lamprey_alloc",
    /// `(address, bytes, text, text)`: name and Rust type of an object, for reports.
    Name = "lamprey_name",
    /// `(value, text)`: a name for a value, for reports.
    NameValue = "lamprey_name_value",
    /// `(physical address, text)`: a name for a page-table root, for reports.
    NameRoot = "lamprey_name_root",
    /// `(cpu) -> CR3` of that CPU, bit 63 clear.
    Cr3 = "lamprey_cr3",
    /// `(cpu) -> CR4` of that CPU.
    Cr4 = "lamprey_cr4",
    /// `(cpu) -> RFLAGS.IF` of that CPU.
    InterruptsOn = "lamprey_interrupts_on",
    /// `(pointer, size, *mut u64 value) -> 0, or vector << 32 | error code`: a load at CPL 3.
    UserRead = "lamprey_user_read",
    /// `(pointer, size, value) -> 0, or vector << 32 | error code`: a store at CPL 3.
    UserWrite = "lamprey_user_write",
    /// `(pointer) -> 0, or vector << 32 | error code`: an instruction fetch at CPL 3.
    UserExecute = "lamprey_user_execute",
    /// `(*const Failure)`: a property is violated; does not return.
    Fail = "lamprey_fail",
    /// Return address of every entry that Lamprey calls; a guest never calls it.
    Return = "lamprey_return",
}

/// The argument of [`Hypercall::Fail`]. All texts but `property` may be empty.
#[repr(C)]
#[derive(Debug)]
pub struct Failure {
    /// The property, in kebab-case.
    pub property: crate::table::Text,
    /// The violation, in one sentence.
    pub sentence: crate::table::Text,
    /// The value or state that the property requires.
    pub expected: crate::table::Text,
    /// The value or state found instead.
    pub found: crate::table::Text,
    /// Source file of the check.
    pub file: crate::table::Text,
    /// Line in `file`.
    pub line: u64,
}

/// Size of a [`Failure`] in 8-byte words.
pub const FAILURE_WORDS: usize = 11;
const _: () = assert!(core::mem::size_of::<Failure>() == FAILURE_WORDS * 8);
