//! Selects scenarios by filters.

/// The reason why no scenario is selected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// the guests have no scenarios
    #[error("the guests have no scenarios; mark a function with #[lamprey::scenario]")]
    NoScenarios,
    /// no name is one of the filters, or ends with one
    #[error(
        "no scenario is called {}{}; with --bisect a filter is a full name, or its last parts after a `::`",
        told(filters),
        near(names)
    )]
    NotCalled {
        /// The filters.
        filters: Vec<String>,
        /// Similar names, or else some names.
        names: Vec<String>,
    },
    /// no name contains any of the filters
    #[error("no scenario's name contains {}{}", told(filters), near(names))]
    NoMatch {
        /// The filters.
        filters: Vec<String>,
        /// Similar names, or else some names.
        names: Vec<String>,
    },
}

/// Maximum number of suggested names.
const SUGGESTIONS: usize = 5;

/// The way a filter matches a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The filter is a name, or else any part of one.
    Part,
    /// The filter is a name, or its last parts after a `::`. Another scenario never takes the place
    /// of a missing one.
    Called,
}

/// Returns the indices of the names that any of `filters` selects, in order; all of them without filters.
/// Also returns the filters that select nothing although others do.
pub(crate) fn select<'f>(
    names: &[&str],
    filters: &'f [String],
    by: Match,
) -> Result<(Vec<usize>, Vec<&'f str>), SelectError> {
    if names.is_empty() {
        return Err(SelectError::NoScenarios);
    }
    let selects = |filter: &str, name: &str| match by {
        _ if names.contains(&filter) => name == filter,
        Match::Part => name.contains(filter),
        Match::Called => name.strip_suffix(filter).is_some_and(|before| before.ends_with("::")),
    };
    let is_selected =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| selects(filter, name));
    let selected: Vec<usize> = (0..names.len()).filter(|&i| is_selected(names[i])).collect();
    if selected.is_empty() {
        let (names, filters) = (like(names, filters), filters.to_vec());
        return Err(match by {
            Match::Part => SelectError::NoMatch { filters, names },
            Match::Called => SelectError::NotCalled { filters, names },
        });
    }
    let idle = filters.iter().filter(|filter| !names.iter().any(|name| selects(filter, name)));
    Ok((selected, idle.map(String::as_str).collect()))
}

/// Returns the names nearest to any filter, nearest first; some names if none is near.
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

/// Returns the number of typing errors between the two, if they may differ by those alone.
fn near_enough(part: &str, filter: &str) -> Option<usize> {
    let (part, filter) = (part.to_lowercase(), filter.to_lowercase().replace('-', "_"));
    if part.contains(&filter) || (part.len() > 3 && filter.contains(&part)) {
        return Some(0);
    }
    let errors = edits(&part, &filter);
    (errors <= (filter.len() / 3).max(1)).then_some(errors)
}

/// Returns the number of insertions, deletions and replacements that turn `a` into `b`.
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
        let selected =
            |filters: &[&str]| select(&NAMES, &of(filters), Match::Part).expect("some").0;
        assert_eq!(selected(&[]), [0, 1, 2, 3]);
        assert_eq!(selected(&["lam"]), [0, 1]);
        assert_eq!(selected(&["lazy", "disable", "lam::disable"]), [1, 2]);
    }

    #[test]
    fn a_whole_name_selects_that_scenario_alone() {
        let names = ["a::wrong", "a::wrong_too", "b::a::wrong"];
        let of = |filter: &str, by| select(&names, &[filter.to_owned()], by).map(|found| found.0);
        assert_eq!(of("a::wrong", Match::Part), Ok(vec![0]));
        assert_eq!(of("wrong", Match::Part), Ok(vec![0, 1, 2]));
        assert_eq!(of("a::wrong", Match::Called), Ok(vec![0]));
        assert_eq!(of("wrong", Match::Called), Ok(vec![0, 2]));
        let error = of("a::wro", Match::Called).expect_err("no name").to_string();
        assert!(error.starts_with("no scenario is called `a::wro`"), "{error}");
    }

    #[test]
    fn a_filter_that_selects_nothing_is_told() {
        let filters = of(&["lazy", "nothing"]);
        assert_eq!(select(&NAMES, &filters, Match::Part).expect("some").1, ["nothing"]);
    }

    #[test]
    fn near_names_are_suggested() {
        let wrong = select(&NAMES, &of(&["lam::enabel"]), Match::Part).expect_err("nothing");
        assert_eq!(
            wrong.to_string(),
            "no scenario's name contains `lam::enabel`; did you mean seed::lam::enable?"
        );
        let wrong = select(&NAMES, &of(&["Lazy"]), Match::Part).expect_err("nothing");
        assert!(wrong.to_string().ends_with("did you mean aspace::lazy?"), "{wrong}");
    }

    #[test]
    fn without_near_names_some_are_listed() {
        let wrong =
            select(&NAMES, &of(&["qqqqqqqqq"]), Match::Part).expect_err("nothing").to_string();
        assert!(wrong.contains("there are, among others:\n  seed::lam::enable\n"), "{wrong}");
        assert_eq!(select(&[], &[], Match::Part), Err(SelectError::NoScenarios));
    }

    #[test]
    fn edits_are_counted() {
        for (a, b, n) in [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!((edits(a, b), edits(b, a)), (n, n));
        }
    }
}
