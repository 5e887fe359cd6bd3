//! Prints and reads final states.

use crate::source::number;
use crate::test::{DATA, FinalState, Location, Observable, ObservedPlace, Test};

impl Test {
    /// Returns a state as herd prints it: `0:rax=0; [x]=1;`.
    pub fn line(&self, state: &[u64]) -> String {
        let values = self.observables[..self.printed].iter().zip(state);
        let mut line = String::new();
        for (observable, value) in values {
            let value = self.value(observable, *value);
            let (before, after) = match observable.element {
                None => (format!("{}=", observable.name), ";"),
                Some((at, of)) => {
                    let before =
                        if at == 0 { format!("{}={{", observable.name) } else { "".into() };
                    (before, if at + 1 == of { "};" } else { "," })
                }
            };
            let begins = observable.element.is_none_or(|(at, _)| at == 0);
            let blank = if begins && !line.is_empty() { " " } else { "" };
            line += &format!("{blank}{before}{value}{after}");
        }
        line
    }

    /// Returns the lines of states, in the order in which they are printed.
    pub fn lines(&self, states: &[FinalState]) -> Vec<String> {
        let mut lines: Vec<String> = states.iter().map(|state| self.line(state)).collect();
        lines.sort();
        lines
    }

    /// Returns a value as it is printed: a number, or the location at that address.
    pub fn value(&self, observable: &Observable, value: u64) -> String {
        let address = || self.place(value).filter(|_| observable.shape.address);
        address().unwrap_or_else(|| observable.shape.number(value).to_string())
    }

    /// Returns an address relative to the nearest location below it: `x`, `t[1]`, `x+4`.
    pub(crate) fn place(&self, address: u64) -> Option<String> {
        let below = |known: &&Location| known.address <= address;
        let nearest = self.locations.iter().filter(below).max_by_key(|known| known.address)?;
        // The first element of an array has the array's address.
        let name = nearest.name.strip_suffix("[0]").unwrap_or(&nearest.name);
        match address - nearest.address {
            0 => Some(name.to_owned()),
            offset if DATA.contains(&address) => Some(format!("{name}+{offset}")),
            _ => None,
        }
    }
}

/// Reads lines of states of one test, from any tool.
pub(crate) struct StateReader<'t> {
    test: &'t Test,
}

impl<'t> StateReader<'t> {
    pub(crate) fn new(test: &'t Test) -> StateReader<'t> {
        StateReader { test }
    }

    /// Reads a state from its line; brackets, blanks, case, signs and the order do not matter.
    pub(crate) fn read(&self, line: &str) -> Result<FinalState, String> {
        let printed = &self.test.observables[..self.test.printed];
        let mut state: Vec<Option<u64>> = vec![None; printed.len()];
        for part in line.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("`{part}` is not `NAME=VALUE`"))?;
            let (name, value) = (name.trim(), value.trim());
            let at = printed
                .iter()
                .position(|observable| self.is_named(observable, name))
                .ok_or_else(|| format!("this test does not observe `{name}`"))?;
            let elements = value.strip_prefix('{').and_then(|value| value.strip_suffix('}'));
            let count = printed[at].element.map_or(1, |(_, of)| of);
            let values: Vec<&str> = match elements {
                Some(elements) => elements.split(',').map(str::trim).collect(),
                None => vec![value],
            };
            if elements.is_some() != printed[at].element.is_some() || values.len() != count {
                return Err(format!("`{name}` does not have {count} values here"));
            }
            for (value, at) in values.into_iter().zip(at..) {
                let (shape, read) = (printed[at].shape, self.value(value)?);
                if !shape.holds(read) {
                    return Err(format!(
                        "{value} does not fit in the {} bytes of `{name}`",
                        shape.bytes
                    ));
                }
                state[at] = Some(shape.cut(read));
            }
        }
        let missing = printed.iter().zip(&state).find(|(_, value)| value.is_none());
        if let Some((observable, _)) = missing {
            return Err(format!("the value of {} is missing", observable.name));
        }
        Ok(state.into_iter().flatten().collect())
    }

    fn is_named(&self, observable: &Observable, name: &str) -> bool {
        match observable.place {
            ObservedPlace::Location(_) => {
                let bare = |name: &str| {
                    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
                    inner.map_or_else(|| name.to_owned(), str::to_owned)
                };
                bare(&observable.name) == bare(name)
            }
            ObservedPlace::Register(..) => {
                let plain = name.to_ascii_lowercase().replace(['%', ' '], "");
                let plain = plain.strip_prefix('p').unwrap_or(&plain);
                plain == observable.name.to_ascii_lowercase()
            }
        }
    }

    fn value(&self, word: &str) -> Result<u64, String> {
        let (negative, digits) = match word.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, word),
        };
        if let Some(value) = number(digits) {
            return Ok(if negative { value.wrapping_neg() } else { value });
        }
        let (name, offset) = match word.split_once('+') {
            Some((name, offset)) => (name, number(offset)),
            None => (word, Some(0)),
        };
        let is_named =
            |known: &&Location| known.name == name || known.name.strip_suffix("[0]") == Some(name);
        let known = self.test.locations.iter().find(is_named);
        let address = known.zip(offset).map(|(known, offset)| known.address.wrapping_add(offset));
        address.ok_or_else(|| format!("`{word}` is neither a number nor a location"))
    }
}
