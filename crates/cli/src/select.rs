//! Filters: which scenarios are meant.

/// No scenario is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// the guests have no scenarios
    #[error("the guests have no scenarios; mark a function with #[lamprey::scenario]")]
    NoScenarios,
    /// no name contains any of the filters
    #[error("no scenario's name contains {}{}", told(filters), near(names))]
    NoMatch {
        /// The filters.
        filters: Vec<String>,
        /// Names that are like them, or some names.
        names: Vec<String>,
    },
}

/// Most names to suggest.
const SUGGESTIONS: usize = 5;

/// Indices of the names that contain any of `filters`, in order; all of them without filters.
/// Second, the filters that match nothing although others do.
pub(crate) fn select<'f>(
    names: &[&str],
    filters: &'f [String],
) -> Result<(Vec<usize>, Vec<&'f str>), SelectError> {
    if names.is_empty() {
        return Err(SelectError::NoScenarios);
    }
    let selects = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f));
    let selected: Vec<usize> = (0..names.len()).filter(|&i| selects(names[i])).collect();
    if selected.is_empty() {
        return Err(SelectError::NoMatch {
            filters: filters.to_vec(),
            names: like(names, filters),
        });
    }
    let idle = filters.iter().filter(|filter| !names.iter().any(|name| name.contains(*filter)));
    Ok((selected, idle.map(String::as_str).collect()))
}

/// The names nearest to any filter, nearest first; all names if none is near.
pub(crate) fn like(names: &[&str], filters: &[String]) -> Vec<String> {
    let distance = |name: &str| {
        let ends = name.match_indices("::").map(|(at, _)| &name[at + 2..]);
        let parts = name.split("::").chain([name]).chain(ends);
        let pairs = parts.flat_map(|part| filters.iter().map(move |filter| (part, filter)));
        pairs.filter_map(|(part, filter)| near_enough(part, filter)).min()
    };
    let mut near: Vec<(usize, &str)> =
        names.iter().filter_map(|name| Some((distance(name)?, *name))).collect();
    near.sort();
    let near: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    let shown = if near.is_empty() { names } else { &near };
    shown.iter().take(SUGGESTIONS).map(|name| name.to_string()).collect()
}

/// Number of typing errors between the two, if that may be all that divides them.
fn near_enough(part: &str, filter: &str) -> Option<usize> {
    let (part, filter) = (part.to_lowercase(), filter.to_lowercase().replace('-', "_"));
    if part.contains(&filter) || (part.len() > 3 && filter.contains(&part)) {
        return Some(0);
    }
    let errors = edits(&part, &filter);
    (errors <= (filter.len() / 3).max(1)).then_some(errors)
}

/// Insertions, deletions and replacements that make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn told(filters: &[String]) -> String {
    filters.iter().map(|filter| format!("`{filter}`")).collect::<Vec<_>>().join(" or ")
}

fn near(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        many => format!("; there are, among others:\n  {}", many.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["seed::lam::enable", "seed::lam::disable", "aspace::lazy", "x::y"];

    fn of(filters: &[&str]) -> Vec<String> {
        filters.iter().map(|filter| filter.to_string()).collect()
    }

    #[test]
    fn several_filters_select_their_union_in_order() {
        let selected = |filters: &[&str]| select(&NAMES, &of(filters)).expect("some").0;
        assert_eq!(selected(&[]), [0, 1, 2, 3]);
        assert_eq!(selected(&["lam"]), [0, 1]);
        assert_eq!(selected(&["lazy", "disable", "lam::disable"]), [1, 2]);
    }

    #[test]
    fn a_filter_that_selects_nothing_is_told() {
        let filters = of(&["lazy", "nothing"]);
        assert_eq!(select(&NAMES, &filters).expect("some").1, ["nothing"]);
    }

    #[test]
    fn near_names_are_suggested() {
        let wrong = select(&NAMES, &of(&["lam::enabel"])).expect_err("nothing");
        assert_eq!(
            wrong.to_string(),
            "no scenario's name contains `lam::enabel`; did you mean seed::lam::enable?"
        );
        let wrong = select(&NAMES, &of(&["Lazy"])).expect_err("nothing");
        assert!(wrong.to_string().ends_with("did you mean aspace::lazy?"), "{wrong}");
    }

    #[test]
    fn without_near_names_some_are_listed() {
        let wrong = select(&NAMES, &of(&["qqqqqqqqq"])).expect_err("nothing").to_string();
        assert!(wrong.contains("there are, among others:\n  seed::lam::enable\n"), "{wrong}");
        assert_eq!(select(&[], &[]), Err(SelectError::NoScenarios));
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, n) in [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!((edits(a, b), edits(b, a)), (n, n));
        }
    }
}
