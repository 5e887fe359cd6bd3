//! The result of a test, in herd's format and for tools.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::test::{FinalState, Formula, OBSERVATIONS, Quantifier, Term, Test};

/// The result of a test.
///
/// `Display` prints herd's format. The counts are those of final states; herd counts executions, several of
/// which can end in the same state.
#[derive(Clone, Debug)]
pub struct Report<'t> {
    test: &'t Test,
    states: &'t [FinalState],
    /// Number of final states that satisfy the condition.
    pub positive: usize,
    /// Number of final states that do not satisfy it.
    pub negative: usize,
}

impl<'t> Report<'t> {
    /// Evaluates the condition in these final states.
    pub fn new(test: &'t Test, states: &'t [FinalState]) -> Report<'t> {
        let positive = states.iter().filter(|state| test.holds(&test.condition, state)).count();
        Report { test, states, positive, negative: states.len() - positive }
    }

    /// Returns whether the condition holds for the whole set.
    pub fn is_ok(&self) -> bool {
        match self.test.quantifier {
            Quantifier::Exists => self.positive > 0,
            Quantifier::NotExists => self.positive == 0,
            Quantifier::Forall => self.negative == 0,
        }
    }

    /// Returns the observation, one of [`OBSERVATIONS`].
    pub fn observation(&self) -> &'static str {
        let [never, sometimes, always] = OBSERVATIONS;
        match (self.positive, self.negative) {
            (0, _) => never,
            (_, 0) => always,
            _ => sometimes,
        }
    }

    /// Returns the line `Observation SB Sometimes 1 3`.
    pub fn observation_line(&self) -> String {
        let Report { test, positive, negative, .. } = self;
        format!("Observation {} {} {positive} {negative}", test.name, self.observation())
    }

    /// Returns the condition as herd prints it.
    pub fn condition(&self) -> String {
        let quantifier = match self.test.quantifier {
            Quantifier::Exists => "exists",
            Quantifier::NotExists => "~exists",
            Quantifier::Forall => "forall",
        };
        format!("{quantifier} ({})", formula(self.test, &self.test.condition, 0))
    }

    /// Returns the result in a form for tools.
    pub fn object(&self) -> Object {
        let observables = &self.test.observables[..self.test.printed];
        let state = |state: &FinalState| {
            let values = observables.iter().zip(state);
            values
                .map(|(observable, value)| {
                    let name = match observable.element {
                        Some((at, _)) => format!("{}[{at}]", observable.name),
                        None => observable.name.clone(),
                    };
                    (name, self.test.value(observable, *value))
                })
                .collect()
        };
        Object {
            condition: self.condition(),
            holds: self.is_ok(),
            observation: self.observation(),
            positive: self.positive,
            negative: self.negative,
            states: self.states.iter().map(state).collect(),
        }
    }
}

/// The result of a test, for tools.
#[derive(Clone, Debug, Serialize)]
pub struct Object {
    /// The condition as herd prints it.
    pub condition: String,
    /// `true` if it holds for the whole set.
    pub holds: bool,
    /// `Never`, `Sometimes` or `Always`.
    pub observation: &'static str,
    /// Number of final states that satisfy it.
    pub positive: usize,
    /// Number of final states that do not satisfy it.
    pub negative: usize,
    /// Values by `0:rax`, `[x]` and `t[0]`; strings, because they may be names of locations.
    pub states: Vec<BTreeMap<String, String>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.test.quantifier {
            Quantifier::Exists => "Allowed",
            Quantifier::NotExists => "Forbidden",
            Quantifier::Forall => "Required",
        };
        writeln!(f, "Test {} {kind}", self.test.name)?;
        writeln!(f, "States {}", self.states.len())?;
        for line in self.test.lines(self.states) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{}", if self.is_ok() { "Ok" } else { "No" })?;
        writeln!(f, "Witnesses")?;
        // A witness of `~exists` is a state that does not satisfy the formula; an observation
        // counts the others.
        let (witnesses, others) = match self.test.quantifier {
            Quantifier::NotExists => (self.negative, self.positive),
            _ => (self.positive, self.negative),
        };
        writeln!(f, "Positive: {witnesses} Negative: {others}")?;
        writeln!(f, "Condition {}", self.condition())?;
        writeln!(f, "{}", self.observation_line())?;
        writeln!(f)
    }
}

/// Formats a proposition, in parentheses if it binds less tightly than `around`, the strength of its context.
fn formula(test: &Test, what: &Formula, around: u8) -> String {
    let list = |parts: &[Formula], sign: &str, strength: u8| {
        let parts: Vec<String> =
            parts.iter().map(|part| formula(test, part, strength + 1)).collect();
        let text = parts.join(sign);
        if around > strength { format!("({text})") } else { text }
    };
    match what {
        Formula::True => "true".into(),
        Formula::False => "false".into(),
        Formula::Equal(left, term) => {
            let observable = &test.observables[*left];
            let right = match *term {
                Term::Number(value) => {
                    observable.shape.number(observable.shape.cut(value)).to_string()
                }
                Term::Address(location) => {
                    let address = test.locations[location].address;
                    test.place(address).expect("a location")
                }
                Term::Observable(other) => test.observables[other].name.clone(),
            };
            format!("{}={right}", observable.name)
        }
        Formula::Not(inner) => format!("not ({})", formula(test, inner, 0)),
        Formula::And(parts) => list(parts, " /\\ ", 2),
        Formula::Or(parts) => list(parts, " \\/ ", 1),
        Formula::Implies(left, right) => {
            let text = format!("{} => {}", formula(test, left, 4), formula(test, right, 3));
            if around > 0 { format!("({text})") } else { text }
        }
    }
}
