//! What is asked: `locations`, `filter`, and the condition.

use super::Parser;
use crate::source::ParseError;
use crate::test::{Formula, OBSERVATIONS, Observable, Place, Quantifier, Shape, Term};

/// The end of a test.
pub(super) struct Condition {
    pub(super) observables: Vec<Observable>,
    pub(super) printed: usize,
    pub(super) filter: Option<Formula>,
    pub(super) quantifier: Quantifier,
    pub(super) formula: Formula,
    /// What `with tso: …` says will be observed.
    pub(super) result: Option<&'static str>,
}

/// How deep a condition may nest: herd's own have a few levels.
const MAX_DEPTH: usize = 200;

/// Observables in the order in which formulas name them.
type Named = Vec<Observable>;

impl Parser<'_, '_> {
    /// Does one of the sections after the program begin here?
    pub(super) fn is_condition(&self) -> bool {
        match self.peek() {
            "exists" | "forall" | "locations" | "filter" | "final" | "observed" | "~" | "" => true,
            "not" => self.ahead(1) == "exists",
            _ => false,
        }
    }

    pub(super) fn condition(&mut self) -> Result<Condition, ParseError> {
        let mut named = Named::new();
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
        let mut filtered = Named::new();
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

    /// The type after a location whose value is asked for: `0:rax int64_t;`, `p*;`.
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
            [Observable { place: Place::Register(..), shape: known, .. }] => *known = shape,
            _ => {
                let message = "the type of a location is declared in the initial state";
                return Err(self.source.error(self.since(first), message));
            }
        }
        Ok(())
    }

    /// herd's `with tso: ~exists; cc: exists;`, which says what is known under which model.
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
                // Some state, which may be one of several or the only one.
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
                return Err(self.wanted("`;`", "after what is known under a model"));
            }
        }
        Ok(result)
    }

    fn quantified(&mut self, named: &mut Named) -> Result<(Quantifier, Formula), ParseError> {
        let quantifier = match self.next() {
            // As herd has it: without a condition all is well.
            "" => {
                self.at -= 1;
                return Ok((Quantifier::Forall, Formula::True));
            }
            "exists" | "final" => Quantifier::Exists,
            "forall" => Quantifier::Forall,
            "~" | "not" if self.accept("exists") => Quantifier::NotExists,
            other => {
                self.at -= 1;
                let words = "a condition begins with `exists`, `~exists` or `forall`";
                return Err(self.error(format!("{words}; `{other}` stands here")));
            }
        };
        Ok((quantifier, self.formula(named, 0)?))
    }

    /// `\/` binds least, then `/\`, then `=>`, then `~`: as in herd's grammar (`lib/stateParser.mly`).
    /// `depth` is how many formulas surround this one.
    fn formula(&mut self, named: &mut Named, depth: usize) -> Result<Formula, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} levels of a condition")));
        }
        let mut parts = vec![self.conjunction(named, depth)?];
        while self.accept("\\/") {
            parts.push(self.conjunction(named, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Or(parts) })
    }

    fn conjunction(&mut self, named: &mut Named, depth: usize) -> Result<Formula, ParseError> {
        let mut parts = vec![self.implication(named, depth)?];
        while self.accept("/\\") {
            parts.push(self.implication(named, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::And(parts) })
    }

    fn implication(&mut self, named: &mut Named, depth: usize) -> Result<Formula, ParseError> {
        let mut parts = vec![self.negation(named, depth)?];
        while self.accept("=>") {
            parts.push(self.negation(named, depth)?);
            if depth + parts.len() > MAX_DEPTH {
                return Err(self.error(format!("more than {MAX_DEPTH} levels of a condition")));
            }
        }
        // To the right.
        let mut formula = parts.pop().expect("there is one");
        while let Some(left) = parts.pop() {
            formula = Formula::Implies(Box::new(left), Box::new(formula));
        }
        Ok(formula)
    }

    fn negation(&mut self, named: &mut Named, depth: usize) -> Result<Formula, ParseError> {
        let mut negations = 0;
        while matches!(self.peek(), "~" | "not") {
            self.at += 1;
            negations += 1;
        }
        let mut formula = match self.peek() {
            "(" => {
                self.at += 1;
                let inner = self.formula(named, depth + 1)?;
                self.expect(")", "to close what `(` opened")?;
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

    fn atom(&mut self, named: &mut Named) -> Result<Formula, ParseError> {
        let left = self.observable()?;
        let left = number_of(named, left);
        let equal = match self.peek() {
            "=" | "==" => true,
            "!=" | "<>" => false,
            _ => return Err(self.wanted("`=`", "after what is compared")),
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

/// The number of an observable in `named`, where it is put if it is not there.
fn number_of(named: &mut Named, observable: Observable) -> usize {
    let known = named.iter().position(|known| {
        let key = |one: &Observable| (one.place, one.shape, one.element);
        key(known) == key(&observable)
    });
    known.unwrap_or_else(|| {
        named.push(observable);
        named.len() - 1
    })
}

/// Sorts: registers by thread and name, then locations by name. What each old number has become.
fn printing_order(named: &mut Named) -> Vec<usize> {
    let before = named.clone();
    named.sort_by_cached_key(|observable| {
        let Observable { name, element, .. } = observable;
        match observable.place {
            Place::Register(thread, _) => (thread, name.clone(), None),
            Place::Location(_) => (u8::MAX, name.clone(), *element),
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
