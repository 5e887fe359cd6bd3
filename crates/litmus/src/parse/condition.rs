//! Parses `locations`, `filter`, and the condition.

use super::Parser;
use crate::source::ParseError;
use crate::test::{Formula, OBSERVATIONS, Observable, ObservedPlace, Quantifier, Shape, Term};

/// The sections after the program.
pub(super) struct Condition {
    pub(super) observables: Vec<Observable>,
    pub(super) printed: usize,
    pub(super) filter: Option<Formula>,
    pub(super) quantifier: Quantifier,
    pub(super) formula: Formula,
    /// The observation that `with tso: …` expects.
    pub(super) result: Option<&'static str>,
}

/// Maximum depth of a condition: those of herd's tests have a few levels.
const MAX_DEPTH: usize = 200;

/// Observables in the order in which formulas name them.
type NamedObservables = Vec<Observable>;

impl Parser<'_, '_> {
    /// Returns whether one of the sections after the program starts here.
    pub(super) fn is_condition(&self) -> bool {
        match self.peek() {
            "exists" | "forall" | "locations" | "filter" | "final" | "observed" | "~" | "" => true,
            "not" => self.ahead(1) == "exists",
            _ => false,
        }
    }

    pub(super) fn condition(&mut self) -> Result<Condition, ParseError> {
        let mut named = NamedObservables::new();
        if self.accept("locations") {
            self.expect("[", "after `locations`")?;
            while !self.accept("]") {
                let first = self.at;
                let mut observables = self.observables()?;
                self.shape_after(first, &mut observables)?;
                for observable in observables {
                    number_of(&mut named, observable);
                }
                if self.peek() != "]" {
                    self.expect(";", "between locations")?;
                }
            }
        }
        let mut filtered = NamedObservables::new();
        let filter = match self.accept("filter") {
            true => Some(self.formula(&mut filtered, 0)?),
            false => None,
        };
        let (quantifier, formula) = self.quantified(&mut named)?;
        self.accept(";");
        let result = self.kinds()?;
        if !self.peek().is_empty() {
            return Err(
                self.error(format!("nothing may follow the condition; `{}` does", self.peek()))
            );
        }
        let order = printing_order(&mut named);
        let formula = renumbered(formula, &order);
        let printed = named.len();
        let places: Vec<usize> =
            filtered.into_iter().map(|one| number_of(&mut named, one)).collect();
        let filter = filter.map(|filter| renumbered(filter, &places));
        Ok(Condition { observables: named, printed, filter, quantifier, formula, result })
    }

    /// Parses the type after an observed place: `0:rax int64_t;`, `p*;`.
    fn shape_after(&mut self, first: usize, all: &mut [Observable]) -> Result<(), ParseError> {
        let shape = match self.peek() {
            "*" => Shape::POINTER,
            word if Self::is_name(word) => super::initial::shape(word)
                .ok_or_else(|| self.error(format!("the type `{word}` is not known")))?,
            _ => return Ok(()),
        };
        self.at += 1;
        self.accept("*");
        match all {
            [Observable { place: ObservedPlace::Register(..), shape: known, .. }] => *known = shape,
            _ => {
                let message = "the type of a location is declared in the initial state";
                return Err(self.source.error(self.since(first), message));
            }
        }
        Ok(())
    }

    /// Parses herd's `with tso: ~exists; cc: exists;`, the known results under memory models.
    fn kinds(&mut self) -> Result<Option<&'static str>, ParseError> {
        let mut result = None;
        if !self.accept("with") {
            return Ok(None);
        }
        let [never, _, always] = OBSERVATIONS;
        while !self.peek().is_empty() {
            let model = self.next();
            self.expect(":", "after the model")?;
            let known = match self.next() {
                // Some state satisfies it, possibly all.
                "exists" => None,
                "forall" => Some(always),
                "~" | "not" if self.accept("exists") => Some(never),
                _ => {
                    self.at -= 1;
                    return Err(self.wanted("`exists`, `~exists` or `forall`", "after the model"));
                }
            };
            if model.eq_ignore_ascii_case("tso") {
                result = known;
            }
            if !self.accept(";") && !self.peek().is_empty() {
                return Err(self.wanted("`;`", "after the result under a model"));
            }
        }
        Ok(result)
    }

    fn quantified(
        &mut self,
        named: &mut NamedObservables,
    ) -> Result<(Quantifier, Formula), ParseError> {
        let quantifier = match self.next() {
            // As in herd, a missing condition is true.
            "" => {
                self.at -= 1;
                return Ok((Quantifier::Forall, Formula::True));
            }
            "exists" | "final" => Quantifier::Exists,
            "forall" => Quantifier::Forall,
            "~" | "not" if self.accept("exists") => Quantifier::NotExists,
            other => {
                self.at -= 1;
                let words = "a condition starts with `exists`, `~exists` or `forall`";
                return Err(self.error(format!("{words}; found `{other}`")));
            }
        };
        Ok((quantifier, self.formula(named, 0)?))
    }

    /// Parses a formula. `\/` binds least, then `/\`, then `=>`, then `~`, as in herd's grammar
    /// (`lib/stateParser.mly`). `depth` is the number of formulas around this one.
    fn formula(
        &mut self,
        named: &mut NamedObservables,
        depth: usize,
    ) -> Result<Formula, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of a condition")));
        }
        let mut parts = vec![self.conjunction(named, depth)?];
        while self.accept("\\/") {
            parts.push(self.conjunction(named, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Or(parts) })
    }

    fn conjunction(
        &mut self,
        named: &mut NamedObservables,
        depth: usize,
    ) -> Result<Formula, ParseError> {
        let mut parts = vec![self.implication(named, depth)?];
        while self.accept("/\\") {
            parts.push(self.implication(named, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::And(parts) })
    }

    fn implication(
        &mut self,
        named: &mut NamedObservables,
        depth: usize,
    ) -> Result<Formula, ParseError> {
        let mut parts = vec![self.negation(named, depth)?];
        while self.accept("=>") {
            parts.push(self.negation(named, depth)?);
            if depth + parts.len() > MAX_DEPTH {
                return Err(self.error(format!("more than {MAX_DEPTH} levels of a condition")));
            }
        }
        // Implication associates to the right.
        let mut formula = parts.pop().expect("there is one");
        while let Some(left) = parts.pop() {
            formula = Formula::Implies(Box::new(left), Box::new(formula));
        }
        Ok(formula)
    }

    fn negation(
        &mut self,
        named: &mut NamedObservables,
        depth: usize,
    ) -> Result<Formula, ParseError> {
        let mut negations = 0;
        while matches!(self.peek(), "~" | "not") {
            self.at += 1;
            negations += 1;
        }
        let mut formula = match self.peek() {
            "(" => {
                self.at += 1;
                let inner = self.formula(named, depth + 1)?;
                self.expect(")", "to match `(`")?;
                inner
            }
            "true" => {
                self.at += 1;
                Formula::True
            }
            "false" => {
                self.at += 1;
                Formula::False
            }
            _ => self.atom(named)?,
        };
        if depth + negations > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of a condition")));
        }
        for _ in 0..negations {
            formula = Formula::Not(Box::new(formula));
        }
        Ok(formula)
    }

    fn atom(&mut self, named: &mut NamedObservables) -> Result<Formula, ParseError> {
        let left = self.observable()?;
        let left = number_of(named, left);
        let equal = match self.peek() {
            "=" | "==" => true,
            "!=" | "<>" => false,
            _ => return Err(self.wanted("`=`", "after the compared value")),
        };
        self.at += 1;
        self.accept("&");
        let word = self.peek();
        let term = if self.is_register() || word == "[" || word == "*" {
            self.accept("*");
            let right = self.observable()?;
            Term::Observable(number_of(named, right))
        } else if Self::is_name(word) {
            let location = self.known_location(word)?;
            self.at += 1;
            Term::Address(self.first_cell(location))
        } else {
            let first = self.at;
            let value = self.number("to compare with")?;
            let Observable { shape, name, .. } = &named[left];
            let name = name.trim_matches(['[', ']']);
            self.fits(value, *shape, name, first)?;
            Term::Number(value)
        };
        let formula = Formula::Equal(left, term);
        Ok(if equal { formula } else { Formula::Not(Box::new(formula)) })
    }
}

/// Returns the number of an observable in `named`, and adds it if it is missing.
fn number_of(named: &mut NamedObservables, observable: Observable) -> usize {
    let known = named.iter().position(|known| {
        let key = |one: &Observable| (one.place, one.shape, one.element);
        key(known) == key(&observable)
    });
    known.unwrap_or_else(|| {
        named.push(observable);
        named.len() - 1
    })
}

/// Sorts registers by thread and name, then locations by name. Returns the new number of each old one.
fn printing_order(named: &mut NamedObservables) -> Vec<usize> {
    let before = named.clone();
    named.sort_by_cached_key(|observable| {
        let Observable { name, element, .. } = observable;
        match observable.place {
            ObservedPlace::Register(thread, _) => (thread, name.clone(), None),
            ObservedPlace::Location(_) => (u8::MAX, name.clone(), *element),
        }
    });
    let place = |old: &Observable| named.iter().position(|new| new == old).expect("only sorted");
    before.iter().map(place).collect()
}

fn renumbered(formula: Formula, to: &[usize]) -> Formula {
    let each = |parts: Vec<Formula>| parts.into_iter().map(|part| renumbered(part, to)).collect();
    let boxed = |part: Box<Formula>| Box::new(renumbered(*part, to));
    match formula {
        Formula::Equal(left, Term::Observable(right)) => {
            Formula::Equal(to[left], Term::Observable(to[right]))
        }
        Formula::Equal(left, term) => Formula::Equal(to[left], term),
        Formula::Not(inner) => Formula::Not(boxed(inner)),
        Formula::And(parts) => Formula::And(each(parts)),
        Formula::Or(parts) => Formula::Or(each(parts)),
        Formula::Implies(left, right) => Formula::Implies(boxed(left), boxed(right)),
        constant => constant,
    }
}
