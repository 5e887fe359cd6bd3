//! What a litmus test is, once it is read.

use std::collections::BTreeMap;
use std::ops::Range;

use abi::layout::IMAGE_BASE;
use iced_x86::{Instruction, Register};

/// Most threads of a test.
pub const MAX_THREADS: usize = abi::layout::MAX_CPUS;
/// Most locations of a test; each element of an array is one.
pub const MAX_LOCATIONS: usize = 512;

/// Code is below this offset into the image, locations from it on.
pub(crate) const DATA_OFFSET: u64 = 1 << 16;
/// Bytes for locations.
const DATA_BYTES: u64 = 1 << 14;
/// Result words come after the locations.
pub(crate) const RESULT_OFFSET: u64 = DATA_OFFSET + DATA_BYTES;

/// The addresses of all locations that a test could have.
pub(crate) const DATA: Range<u64> = IMAGE_BASE + DATA_OFFSET..IMAGE_BASE + RESULT_OFFSET;

/// The address of the word that keeps the final value of a register.
pub(crate) fn result_address(observable: usize) -> u64 {
    DATA.end + 8 * small(observable)
}

fn small(number: usize) -> u64 {
    u64::try_from(number).expect("at most 64 bits")
}

/// Of how many final states a condition can hold: of none, of some, of all.
pub const OBSERVATIONS: [&str; 3] = ["Never", "Sometimes", "Always"];

/// A litmus test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The threads, from P0 on; one to [`MAX_THREADS`].
    pub threads: Vec<Thread>,
    /// The memory.
    pub locations: Vec<Location>,
    /// What a final state tells, in the order in which it is printed; then what only the filter needs.
    pub observables: Vec<Observable>,
    /// How many of the observables are printed.
    pub printed: usize,
    /// Final states without this are left out.
    pub filter: Option<Formula>,
    /// How the condition is meant.
    pub quantifier: Quantifier,
    /// The condition.
    pub condition: Formula,
    /// The sets of final states that the file gives.
    pub expected: Vec<Expected>,
    /// What the file says will be observed under x86-TSO: one of [`OBSERVATIONS`].
    pub result: Option<&'static str>,
}

/// What one CPU runs.
#[derive(Clone, Debug)]
pub struct Thread {
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
    /// The addresses of the variable, or of the whole array: what an access may touch. It begins a word,
    /// and the word after its last one belongs to no location.
    pub extent: Range<u64>,
    /// How its value is printed.
    pub shape: Shape,
    /// Initial value.
    pub initial: u64,
}

/// Width and sign of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Bytes: 1, 2, 4 or 8.
    pub bytes: u8,
    /// Two's complement.
    pub signed: bool,
    /// An address of a location is kept whole.
    pub address: bool,
}

impl Shape {
    /// What has no declared type: an `int`, unless it holds an address.
    pub const UNTYPED: Shape = Shape { bytes: 4, signed: true, address: true };
    /// A pointer.
    pub(crate) const POINTER: Shape = Shape { bytes: 8, signed: true, address: true };

    /// A signed value of `bytes` bytes.
    pub(crate) const fn signed(bytes: u8) -> Shape {
        Shape { bytes, signed: true, address: bytes == 8 }
    }

    /// The bits of `value` that count.
    pub fn cut(self, value: u64) -> u64 {
        if self.address && DATA.contains(&value) {
            return value;
        }
        value & (u64::MAX >> (64 - 8 * u32::from(self.bytes)))
    }

    /// Does `value`, in two's complement, fit, with a sign or without?
    pub(crate) fn holds(self, value: u64) -> bool {
        let bits = 8 * u32::from(self.bytes);
        bits == 64
            || value >> bits == 0
            || value >= u64::MAX << (bits - 1)
            || self.address && DATA.contains(&value)
    }

    /// `value`, which is [cut](Self::cut), as a number.
    pub(crate) fn number(self, value: u64) -> i128 {
        let sign = 1 << (8 * u32::from(self.bytes) - 1);
        let number = i128::from(value);
        let negative = self.signed && value & sign != 0 && !DATA.contains(&value);
        if negative { number - 2 * i128::from(sign) } else { number }
    }
}

/// What a final state can tell the value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A register, in full width, of a thread.
    Register(u8, Register),
    /// A location, by number.
    Location(usize),
}

/// Something whose final value is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observable {
    /// What.
    pub place: Place,
    /// Width and sign.
    pub shape: Shape,
    /// As it is printed: `0:rax`, `[x]`; an element of an array whose elements are all told has the
    /// array's.
    pub name: String,
    /// Of an array whose elements are all told: which of how many this is.
    pub element: Option<(usize, usize)>,
}

/// How a condition is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// Some final state satisfies it.
    Exists,
    /// None does.
    NotExists,
    /// Each does.
    Forall,
}

/// A proposition on a final state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    /// Holds.
    True,
    /// Does not hold.
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

/// What an observable is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// A number, cut to the width of the observable.
    Number(u64),
    /// The address of a location.
    Address(usize),
    /// Another observable.
    Observable(usize),
}

/// A set of final states that the file gives, in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Under which memory models.
    pub models: Vec<Model>,
    /// The states.
    pub states: Vec<State>,
}

/// The values of the observables, each cut to its width.
pub type State = Vec<u64>;

/// In which order stores become visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// x86-TSO.
    Tso,
    /// Sequential consistency.
    Sc,
}

impl Model {
    /// As it is written: `tso`, `sc`.
    pub fn name(self) -> &'static str {
        match self {
            Model::Tso => "tso",
            Model::Sc => "sc",
        }
    }
}

impl Test {
    /// The initial memory: all words that locations have, by address.
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

    /// Does `formula` hold in a state with a value for every observable?
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
