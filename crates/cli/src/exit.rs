//! Exit codes.

use outcome::Verdict;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Passed = 0,
    /// A violation.
    Violated = 1,
    /// A command that could not run.
    Refused = 2,
    /// No claim.
    Undecided = 3,
    /// Nothing to do.
    Nothing = 4,
    /// A bug in Lamprey.
    Bug = 101,
    /// An interruption by the user.
    Interrupted = 130,
}

/// The code that tells `git bisect run` to skip a commit.
const BISECT_SKIP: u8 = 125;

impl Exit {
    /// All exits, in the order of their codes.
    pub(crate) const ALL: [Exit; 7] = [
        Exit::Passed,
        Exit::Violated,
        Exit::Refused,
        Exit::Undecided,
        Exit::Nothing,
        Exit::Bug,
        Exit::Interrupted,
    ];

    /// Returns the code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the code under `--bisect`.
    pub(crate) const fn bisect(self) -> u8 {
        match self {
            Exit::Refused | Exit::Undecided | Exit::Nothing => BISECT_SKIP,
            other => other.code(),
        }
    }

    /// Returns the meaning that `help exit-codes` prints.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Exit::Passed => "every selected scenario is PASS or FOUND",
            Exit::Violated => "a property is violated (FAIL), or a known bug was not found (LOST)",
            Exit::Refused => "bad flag, file, image or trail; a failed build; unwritable output",
            Exit::Undecided => "UNDECIDED: a budget is used up, or something is not modelled",
            Exit::Nothing => "no scenario was selected",
            Exit::Bug => "a bug in Lamprey (a panic); the message says what to send",
            Exit::Interrupted => "interrupted; the partial result is still printed and saved",
        }
    }

    /// Returns the exit for these verdicts: 1 takes precedence over 3, and 3 over 0.
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
