//! Final states as text, both ways.

use crate::source::number;
use crate::test::{Observable, Place, State, Test, address};

impl Test {
    /// A state as herd prints it: `0:rax=0; [x]=1;`.
    pub fn line(&self, state: &[u64]) -> String {
        let values = self.observables[..self.printed].iter().zip(state);
        let words: Vec<String> = values
            .map(|(observable, value)| {
                format!("{}={};", observable.name, self.value(observable, *value))
            })
            .collect();
        words.join(" ")
    }

    /// The lines of states, in the order in which they are printed.
    pub fn lines(&self, states: &[State]) -> Vec<String> {
        let mut lines: Vec<String> = states.iter().map(|state| self.line(state)).collect();
        lines.sort();
        lines
    }

    /// A value as it is printed: a number, or the name of the location at that address.
    pub fn value(&self, observable: &Observable, value: u64) -> String {
        let pointed = (0..self.locations.len()).find(|location| address(*location) == value);
        match pointed {
            Some(location) if observable.shape.bytes == 8 => self.locations[location].name.clone(),
            _ => observable.shape.number(value).to_string(),
        }
    }
}

/// Reads lines of states of one test, whoever wrote them.
pub(crate) struct Reader<'t> {
    test: &'t Test,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(test: &'t Test) -> Reader<'t> {
        Reader { test }
    }

    /// A state from its line; brackets, blanks, case, signs and the order do not matter.
    pub(crate) fn read(&self, line: &str) -> Result<State, String> {
        let printed = &self.test.observables[..self.test.printed];
        let mut state: Vec<Option<u64>> = vec![None; printed.len()];
        for part in line.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| format!("`{part}` is no `NAME=VALUE`"))?;
            let at = printed
                .iter()
                .position(|observable| self.is_named(observable, name.trim()))
                .ok_or_else(|| format!("`{}` is not observed by this test", name.trim()))?;
            state[at] = Some(printed[at].shape.cut(self.value(value.trim())?));
        }
        let missing = printed.iter().zip(&state).find(|(_, value)| value.is_none());
        if let Some((observable, _)) = missing {
            return Err(format!("the value of {} is missing", observable.name));
        }
        Ok(state.into_iter().flatten().collect())
    }

    fn is_named(&self, observable: &Observable, name: &str) -> bool {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        match observable.place {
            Place::Location(location) => self.test.locations[location].name == bare,
            Place::Register(..) => {
                let plain = name.to_ascii_lowercase().replace(['%', ' '], "");
                plain.strip_prefix('p').unwrap_or(&plain) == observable.name
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
        let pointed = self.test.locations.iter().position(|location| location.name == word);
        pointed.map(address).ok_or_else(|| format!("`{word}` is neither a number nor a location"))
    }
}
