//! What is asked: `locations`, `filter`, and the condition.

use super::Parser;
use crate::source::ParseError;
use crate::test::{Formula, Observable, Place, Quantifier, Term};

/// The end of a test.
pub(super) struct Condition {
    pub(super) observables: Vec<Observable>,
    pub(super) printed: usize,
    pub(super) filter: Option<Formula>,
    pub(super) quantifier: Quantifier,
    pub(super) formula: Formula,
}

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
                let observable = self.observable()?;
                number_of(&mut named, observable);
                if self.peek() != "]" {
                    self.expect(";", "between locations")?;
                }
            }
        }
        let mut filtered = Named::new();
        let filter = match self.accept("filter") {
            true => Some(self.formula(&mut filtered)?),
            false => None,
        };
        let (quantifier, formula) = self.quantified(&mut named)?;
        self.accept(";");
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
        Ok(Condition { observables: named, printed, filter, quantifier, formula })
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
        Ok((quantifier, self.formula(named)?))
    }

    /// `\/` binds least, then `/\`, then `=>`, then `~`: as in herd's grammar (`lib/stateParser.mly`).
    fn formula(&mut self, named: &mut Named) -> Result<Formula, ParseError> {
        let mut parts = vec![self.conjunction(named)?];
        while self.accept("\\/") {
            parts.push(self.conjunction(named)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Or(parts) })
    }

    fn conjunction(&mut self, named: &mut Named) -> Result<Formula, ParseError> {
        let mut parts = vec![self.implication(named)?];
        while self.accept("/\\") {
            parts.push(self.implication(named)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::And(parts) })
    }

    fn implication(&mut self, named: &mut Named) -> Result<Formula, ParseError> {
        let left = self.negation(named)?;
        if self.accept("=>") {
            let right = self.implication(named)?;
            return Ok(Formula::Implies(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn negation(&mut self, named: &mut Named) -> Result<Formula, ParseError> {
        match self.peek() {
            "~" | "not" => {
                self.at += 1;
                Ok(Formula::Not(Box::new(self.negation(named)?)))
            }
            "(" => {
                self.at += 1;
                let inner = self.formula(named)?;
                self.expect(")", "to close what `(` opened")?;
                Ok(inner)
            }
            "true" => {
                self.at += 1;
                Ok(Formula::True)
            }
            "false" => {
                self.at += 1;
                Ok(Formula::False)
            }
            _ => self.atom(named),
        }
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
            Term::Address(location)
        } else {
            let first = self.at;
            let value = self.number("to compare with")?;
            let Observable { place, shape, name } = &named[left];
            let shape = match place {
                Place::Register(..) => *shape,
                Place::Location(location) => self.locations[*location].shape(),
            };
            self.fits(value, shape, name, first)?;
            Term::Number(value)
        };
        let formula = Formula::Equal(left, term);
        Ok(if equal { formula } else { Formula::Not(Box::new(formula)) })
    }
}

/// The number of an observable in `named`, where it is put if it is not there.
fn number_of(named: &mut Named, observable: Observable) -> usize {
    let known = named
        .iter()
        .position(|known| known.place == observable.place && known.shape == observable.shape);
    known.unwrap_or_else(|| {
        named.push(observable);
        named.len() - 1
    })
}

/// Sorts: registers by thread and name, then locations by name. What each old number has become.
fn printing_order(named: &mut Named) -> Vec<usize> {
    let before = named.clone();
    named.sort_by_cached_key(|observable| match observable.place {
        Place::Register(thread, _) => (thread, observable.name.clone()),
        Place::Location(_) => (u8::MAX, observable.name.clone()),
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
