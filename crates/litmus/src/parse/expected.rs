//! Parses the expected states and results of a file, in comments that herd does not read.
//!
//! `(* States 2 tso sc` starts a comment with final states: their number, and the memory models for which they
//! are complete; then one state per line, as herd prints it. A line `Result: Never` in any comment follows
//! the convention of Linux's litmus tests (`tools/memory-model/litmus-tests/README`).

use std::ops::Range;

use crate::source::{ParseError, SourceText};
use crate::states::StateReader;
use crate::test::{Expected, LitmusModel, OBSERVATIONS, Test};

pub(super) fn expected(source: &SourceText<'_>, test: &Test) -> Result<Vec<Expected>, ParseError> {
    let mut all: Vec<Expected> = Vec::new();
    for at in &source.comments {
        let mut lines = lines(source, at);
        let Some((head, rest)) = lines.next().and_then(|first| {
            let words = source.slice(first.clone()).trim_start().strip_prefix("States ")?;
            Some((words, first))
        }) else {
            continue;
        };
        let (count, models) = heading(head).map_err(|why| source.error(rest.clone(), why))?;
        if let Some(model) =
            models.iter().find(|model| all.iter().any(|e| e.models.contains(model)))
        {
            let message = format!("the states under {} are given twice", model.name());
            return Err(source.error(rest, message));
        }
        let reader = StateReader::new(test);
        let mut states = Vec::new();
        for line in lines.filter(|line| !source.slice(line.clone()).is_empty()) {
            let state = reader.read(source.slice(line.clone()));
            states.push(state.map_err(|why| source.error(line, why))?);
        }
        states.sort();
        states.dedup();
        if states.len() != count {
            let message = format!("{count} states are announced, but {} are given", states.len());
            return Err(source.error(rest, message));
        }
        all.push(Expected { models, states });
    }
    Ok(all)
}

/// Returns the word after `Result:`.
pub(super) fn result(source: &SourceText<'_>) -> Result<Option<&'static str>, ParseError> {
    let mut found = None;
    for line in source.comments.iter().flat_map(|at| lines(source, at)) {
        let text = source.slice(line.clone()).trim_start_matches(['*', ' ']);
        let Some(word) = text.strip_prefix("Result:").map(str::trim) else { continue };
        let Some(known) = OBSERVATIONS.into_iter().find(|known| *known == word) else {
            return Err(
                source.error(line, "`Result:` must be followed by Never, Sometimes or Always")
            );
        };
        if found.replace(known).is_some() {
            return Err(source.error(line, "a second `Result:`"));
        }
    }
    Ok(found)
}

/// Returns the lines of a comment without the blanks around them.
fn lines<'s>(
    source: &'s SourceText<'_>,
    at: &Range<usize>,
) -> impl Iterator<Item = Range<usize>> + 's {
    let mut start = at.start;
    source.slice(at.clone()).split_inclusive('\n').map(move |line| {
        let begin = start + line.len() - line.trim_start().len();
        start += line.len();
        let end = begin + line.trim().len();
        begin..end
    })
}

/// Parses the number and the models of `4 tso sc`.
fn heading(words: &str) -> Result<(usize, Vec<LitmusModel>), String> {
    let mut words = words.split_whitespace();
    let count = words.next().and_then(|count| count.parse().ok());
    let count = count.ok_or("`States` must be followed by their number")?;
    let mut models = Vec::new();
    for word in words {
        models.push(match word {
            "tso" => LitmusModel::Tso,
            "sc" => LitmusModel::Sc,
            _ => {
                return Err(format!(
                    "there is no memory model `{word}`; the models are tso and sc"
                ));
            }
        });
    }
    if models.is_empty() {
        return Err("the memory models are missing; write tso, sc or both".into());
    }
    Ok((count, models))
}
