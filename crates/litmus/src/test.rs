//! The types of a litmus test.

use std::collections::BTreeMap;
use std::ops::Range;

use abi::layout::IMAGE_BASE;
use iced_x86::{Instruction, Register};

/// Maximum number of threads of a test.
pub const MAX_THREADS: usize = abi::layout::MAX_CPUS;
/// Maximum number of locations of a test; each element of an array counts as one.
pub const MAX_LOCATIONS: usize = 512;

/// Offset of locations in the image; code is below it.
pub(crate) const DATA_OFFSET: u64 = 1 << 16;
/// Size of the locations in bytes.
const DATA_BYTES: u64 = 1 << 14;
/// Offset of the result words, after the locations.
pub(crate) const RESULT_OFFSET: u64 = DATA_OFFSET + DATA_BYTES;

/// The addresses of all locations that a test could have.
pub(crate) const DATA: Range<u64> = IMAGE_BASE + DATA_OFFSET..IMAGE_BASE + RESULT_OFFSET;

/// Returns the address of the word that keeps the final value of a register.
pub(crate) fn result_address(observable: usize) -> u64 {
    DATA.end + 8 * small(observable)
}

fn small(number: usize) -> u64 {
    u64::try_from(number).expect("at most 64 bits")
}

/// The observations: a condition holds in none, in some or in all final states.
pub const OBSERVATIONS: [&str; 3] = ["Never", "Sometimes", "Always"];

/// A litmus test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The threads, from P0 on; one to [`MAX_THREADS`].
    pub threads: Vec<TestThread>,
    /// The memory.
    pub locations: Vec<Location>,
    /// The observables of a final state, in the order of printing; then those that only the filter needs.
    pub observables: Vec<Observable>,
    /// Number of observables that are printed.
    pub printed: usize,
    /// Condition for a final state to be printed.
    pub filter: Option<Formula>,
    /// Quantifier of the condition.
    pub quantifier: Quantifier,
    /// The condition.
    pub condition: Formula,
    /// The sets of final states that the file lists.
    pub expected: Vec<Expected>,
    /// The observation that the file expects under x86-TSO: one of [`OBSERVATIONS`].
    pub result: Option<&'static str>,
}

/// The program of one CPU.
#[derive(Clone, Debug)]
pub struct TestThread {
    /// Full-width registers that do not start as zero.
    pub registers: Vec<(Register, u64)>,
    /// Instructions. The address of number *i* is *i* + 1, and so are the targets of branches.
    pub code: Vec<Instruction>,
}

/// A variable, or an element of an array.
#[derive(Clone, Debug)]
pub struct Location {
    /// Its name: `x`, `t[1]`.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// The addresses of the variable, or of the whole array, within which an access must stay. It
    /// starts at a word, and the word after its last one belongs to no location.
    pub extent: Range<u64>,
    /// Width and sign with which its value is printed.
    pub shape: Shape,
    /// Initial value.
    pub initial: u64,
}

/// Width and sign of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Width in bytes: 1, 2, 4 or 8.
    pub bytes: u8,
    /// `true` for two's complement.
    pub signed: bool,
    /// `true` if the address of a location is kept whole.
    pub address: bool,
}

impl Shape {
    /// The shape of a value without a declared type: an `int`, unless it holds an address.
    pub const UNTYPED: Shape = Shape { bytes: 4, signed: true, address: true };
    /// The shape of a pointer.
    pub(crate) const POINTER: Shape = Shape { bytes: 8, signed: true, address: true };

    /// Returns the shape of a signed value of `bytes` bytes.
    pub(crate) const fn signed(bytes: u8) -> Shape {
        Shape { bytes, signed: true, address: bytes == 8 }
    }

    /// Truncates `value` to the width, unless it is an address that is kept whole.
    pub fn cut(self, value: u64) -> u64 {
        if self.address && DATA.contains(&value) {
            return value;
        }
        value & (u64::MAX >> (64 - 8 * u32::from(self.bytes)))
    }

    /// Returns whether `value`, in two's complement, fits as a signed or unsigned number.
    pub(crate) fn holds(self, value: u64) -> bool {
        let bits = 8 * u32::from(self.bytes);
        bits == 64
            || value >> bits == 0
            || value >= u64::MAX << (bits - 1)
            || self.address && DATA.contains(&value)
    }

    /// Returns `value`, which has been [cut](Self::cut), as a number.
    pub(crate) fn number(self, value: u64) -> i128 {
        let sign = 1 << (8 * u32::from(self.bytes) - 1);
        let number = i128::from(value);
        let negative = self.signed && value & sign != 0 && !DATA.contains(&value);
        if negative { number - 2 * i128::from(sign) } else { number }
    }
}

/// A register or a location whose final value can be observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObservedPlace {
    /// A full-width register of a thread.
    Register(u8, Register),
    /// A location, by its number.
    Location(usize),
}

/// A place whose final value is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observable {
    /// The register or location.
    pub place: ObservedPlace,
    /// Width and sign.
    pub shape: Shape,
    /// The printed name: `0:rax`, `[x]`; for an element of an array that is printed whole, the
    /// array's.
    pub name: String,
    /// For an element of an array that is printed whole: its number, and the number of elements.
    pub element: Option<(usize, usize)>,
}

/// The quantifier of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// Some final state satisfies it.
    Exists,
    /// No final state satisfies it.
    NotExists,
    /// Each final state satisfies it.
    Forall,
}

/// A proposition on a final state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// The true proposition.
    True,
    /// The false proposition.
    False,
    /// The observable with this number has this value.
    Equal(usize, Term),
    /// Negation.
    Not(Box<Formula>),
    /// Conjunction of at least two.
    And(Vec<Formula>),
    /// Disjunction of at least two.
    Or(Vec<Formula>),
    /// Implication.
    Implies(Box<Formula>, Box<Formula>),
}

/// The right-hand side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// A number, cut to the width of the observable.
    Number(u64),
    /// The address of a location.
    Address(usize),
    /// Another observable.
    Observable(usize),
}

/// A set of final states that the file lists in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The memory models under which they are final states.
    pub models: Vec<LitmusModel>,
    /// The states.
    pub states: Vec<FinalState>,
}

/// The values of the observables, each cut to its width.
pub type FinalState = Vec<u64>;

/// The memory model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LitmusModel {
    /// x86-TSO.
    Tso,
    /// Sequential consistency.
    Sc,
}

impl LitmusModel {
    /// Returns its name: `tso` or `sc`.
    pub fn name(self) -> &'static str {
        match self {
            LitmusModel::Tso => "tso",
            LitmusModel::Sc => "sc",
        }
    }
}

impl Test {
    /// Returns the initial memory: all words of locations, by address.
    pub fn words(&self) -> BTreeMap<u64, u64> {
        let mut words = BTreeMap::new();
        for location in &self.locations {
            let Range { start, end } = location.extent;
            (start..end).step_by(8).for_each(|word| _ = words.entry(word).or_insert(0));
            let within = location.address % 8;
            let word = words.get_mut(&(location.address - within)).expect("part of the extent");
            *word |= location.initial << (8 * within);
        }
        words
    }

    /// Returns whether `formula` holds in a state with a value for every observable.
    pub fn holds(&self, formula: &Formula, state: &[u64]) -> bool {
        match formula {
            Formula::True => true,
            Formula::False => false,
            Formula::Equal(observable, term) => {
                let shape = self.observables[*observable].shape;
                let value = state[*observable];
                match *term {
                    Term::Number(number) => value == shape.cut(number),
                    Term::Address(location) => value == shape.cut(self.locations[location].address),
                    Term::Observable(other) => {
                        let other_shape = self.observables[other].shape;
                        shape.number(value) == other_shape.number(state[other])
                    }
                }
            }
            Formula::Not(inner) => !self.holds(inner, state),
            Formula::And(parts) => parts.iter().all(|part| self.holds(part, state)),
            Formula::Or(parts) => parts.iter().any(|part| self.holds(part, state)),
            Formula::Implies(left, right) => !self.holds(left, state) || self.holds(right, state),
        }
    }
}
