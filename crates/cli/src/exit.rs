//! Exit codes.

use outcome::Verdict;

/// What a command's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing is wrong.
    Passed = 0,
    /// Something is violated.
    Violated = 1,
    /// The command could not be carried out.
    Refused = 2,
    /// Nothing is claimed.
    Undecided = 3,
    /// There was nothing to do.
    Nothing = 4,
    /// Lamprey itself is wrong.
    Bug = 101,
    /// Somebody stopped it.
    Interrupted = 130,
}

/// What `git bisect run` takes for "this commit cannot be judged".
const BISECT_SKIP: u8 = 125;

impl Exit {
    /// All of them, in the order of their codes.
    pub(crate) const ALL: [Exit; 7] = [
        Exit::Passed,
        Exit::Violated,
        Exit::Refused,
        Exit::Undecided,
        Exit::Nothing,
        Exit::Bug,
        Exit::Interrupted,
    ];

    /// The code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The code under `--bisect`.
    pub(crate) const fn bisect(self) -> u8 {
        match self {
            Exit::Refused | Exit::Undecided | Exit::Nothing => BISECT_SKIP,
            other => other.code(),
        }
    }

    /// Its meaning, as `help exit-codes` prints it.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Exit::Passed => "every selected scenario came out as it should: PASS or FOUND",
            Exit::Violated => "a property is violated (FAIL), or a known bug was not found (LOST)",
            Exit::Refused => "bad flag, file, image or trail; a failed build; unwritable output",
            Exit::Undecided => {
                "UNDECIDED: a budget was used up, or something not modelled was reached"
            }
            Exit::Nothing => "nothing was selected",
            Exit::Bug => "a bug in Lamprey (a panic); it prints where to send what",
            Exit::Interrupted => "interrupted; the partial result is still printed and kept",
        }
    }

    /// The exit for these verdicts: 1 wins over 3, 3 over 0.
    pub(crate) fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Exit {
        let rank = |verdict| match verdict {
            Verdict::Fail | Verdict::Lost => Exit::Violated,
            Verdict::Undecided => Exit::Undecided,
            Verdict::Pass | Verdict::Found => Exit::Passed,
        };
        let order = [Exit::Violated, Exit::Undecided, Exit::Passed];
        let all: Vec<Exit> = verdicts.into_iter().map(rank).collect();
        order.into_iter().find(|exit| all.contains(exit)).unwrap_or(Exit::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_wins_over_undecided_and_undecided_over_passed() {
        use Verdict::{Fail, Found, Lost, Pass, Undecided};
        let cases: [(&[Verdict], Exit); 6] = [
            (&[Pass, Undecided, Fail], Exit::Violated),
            (&[Pass, Undecided, Lost], Exit::Violated),
            (&[Found, Undecided, Pass], Exit::Undecided),
            (&[Found], Exit::Passed),
            (&[Lost], Exit::Violated),
            (&[], Exit::Nothing),
        ];
        for (verdicts, exit) in cases {
            assert_eq!(Exit::of(verdicts.iter().copied()), exit, "{verdicts:?}");
        }
    }

    #[test]
    fn bisect_skips_what_cannot_be_judged() {
        let codes = Exit::ALL.map(Exit::bisect);
        assert_eq!(codes, [0, 1, 125, 125, 125, 101, 130]);
    }

    #[test]
    fn codes_are_those_of_the_page() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 101, 130]);
    }
}
