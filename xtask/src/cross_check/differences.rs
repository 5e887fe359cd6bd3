//! The table of known differences.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::Machine;

/// `guest/bare/differences.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Differences {
    #[serde(rename = "difference", default)]
    pub(super) entries: Vec<Difference>,
}

/// A machine that is known to depart from the architecture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub(super) machine: Machine,
    /// Names of lines; `*` stands for any text.
    pub(super) lines: String,
    /// What it prints there; if left out, anything.
    prints: Option<String>,
    /// What stands in its result instead of what stands in that of the others.
    instead: Option<Instead>,
    pub(super) why: String,
    /// Where that can be looked up. For people: nothing reads it.
    #[serde(rename = "source")]
    _source: String,
}

/// Every `of` is `here`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instead {
    of: String,
    here: String,
}

impl Difference {
    /// Is `result` what this machine is known to print where the others print `agreed`?
    pub(super) fn allows(&self, result: &str, agreed: &str) -> bool {
        let exactly = self.prints.as_ref().is_none_or(|prints| prints == result);
        let replaced = |instead: &Instead| agreed.replace(&instead.of, &instead.here);
        exactly && self.instead.as_ref().is_none_or(|instead| replaced(instead) == result)
    }
}

impl Differences {
    pub(super) fn read(path: &Path) -> anyhow::Result<Differences> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Differences::parse(&text).with_context(|| path.display().to_string())
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Differences> {
        Ok(toml::from_str(text)?)
    }

    /// Number of the entry for this line of this machine.
    pub(super) fn find(&self, machine: Machine, name: &str) -> Option<usize> {
        self.entries.iter().position(|e| e.machine == machine && matches(&e.lines, name))
    }
}

/// `*` in `pattern` stands for any text, also none.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("a/*", "a/b/c") && matches("*", "") && matches("a*c*", "abbc"));
        assert!(matches("pcid*", "pcid") && matches("perm/*/x-*", "perm/wp/x-1"));
        assert!(!matches("a", "ab") && !matches("a/*", "a") && !matches("*b", "abc"));
    }
}
