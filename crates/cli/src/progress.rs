//! The status line of a search: absent for the first second, then redrawn on a terminal, or printed
//! every ten seconds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use crate::pool::{Allowance, Snapshot};
use crate::ui::Ui;

/// Time before the first status line.
const SILENCE: Duration = Duration::from_secs(1);
/// Time between two lines where a line cannot be redrawn.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time over which a rate is measured.
const SPAN: Duration = Duration::from_secs(1);

/// The time of the last status line, and the rate of the search at that time.
pub(crate) struct Meter {
    began: Instant,
    said: Option<Instant>,
    rate: Rate,
}

/// States per second of one job.
#[derive(Clone, Copy)]
struct Rate {
    job: usize,
    at: Instant,
    states: u64,
    per_second: Option<f64>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        let rate = Rate { job: usize::MAX, at: began, states: 0, per_second: None };
        Self { began, said: None, rate }
    }

    /// Prints the status of the longest search, if it is time.
    pub(crate) fn tick(
        &mut self,
        ui: &mut Ui,
        running: &BTreeMap<usize, Snapshot>,
        name: impl Fn(usize) -> String,
        allowance: &Allowance,
    ) {
        let longest = running.iter().max_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds));
        let Some((&job, snapshot)) = longest else {
            ui.clear_status();
            return;
        };
        self.rate.measure(job, snapshot.states);
        if ui.quiet() || self.began.elapsed() < SILENCE || snapshot.seconds < SILENCE.as_secs_f64()
        {
            ui.clear_status();
            return;
        }
        let since = self.said.unwrap_or(self.began);
        if !ui.redraws() && since.elapsed() < INTERVAL {
            return;
        }
        self.said = Some(Instant::now());
        let others = running.len() - 1;
        let width = ui.options().width;
        ui.status(&line(&name(job), snapshot, self.rate.per_second, others, allowance, width));
    }
}

impl Rate {
    fn measure(&mut self, job: usize, states: u64) {
        if self.job != job || states < self.states {
            // This is another search, or another round of the same.
            *self = Rate { job, at: Instant::now(), states, per_second: None };
        } else if self.at.elapsed() >= SPAN {
            let per_second = (states - self.states) as f64 / self.at.elapsed().as_secs_f64();
            *self = Rate { job, at: Instant::now(), states, per_second: Some(per_second) };
        }
    }
}

/// Returns the line `   check lazy-flush  702 114 states  22.6k/s  switches 3  queue 94k  memory 12%  [ 31s]`
///
/// If the line would be too long, it leaves out queue and round, then the beginning of the name.
fn line(
    name: &str,
    snapshot: &Snapshot,
    rate: Option<f64>,
    others: usize,
    allowance: &Allowance,
    width: usize,
) -> String {
    let figures = |is_long: bool| {
        let mut figures = format!("  {}", report::count(snapshot.states, "state"));
        if let Some(rate) = rate {
            figures.push_str(&format!("  {}/s", short(rate)));
        }
        figures.push_str(&format!("  switches {}", snapshot.switches));
        if is_long {
            figures.push_str(&format!("  queue {}", short(snapshot.queue as f64)));
        }
        if is_long && snapshot.round > 1 {
            figures.push_str(&format!("  round {}", snapshot.round));
        }
        if let Some((budget, part)) = scarcest(snapshot, allowance) {
            figures.push_str(&format!("  {budget} {:.0}%", part * 100.0));
        }
        figures.push_str(&format!("  [{:>3.0}s]", snapshot.seconds));
        if others > 0 {
            figures.push_str(&format!(" +{others}"));
        }
        figures
    };
    let lead = "   check ";
    let room = |figures: &str| (width - 1).saturating_sub(lead.len() + figures.len()).max(8);
    let figures = [figures(true), figures(false)]
        .into_iter()
        .find(|figures| room(figures) >= name.width())
        .unwrap_or_else(|| figures(false));
    format!("{lead}{}{figures}", tail(name, room(&figures)))
}

/// Returns the budget that will run out first, and the share that is used.
fn scarcest(snapshot: &Snapshot, allowance: &Allowance) -> Option<(&'static str, f64)> {
    let parts = [
        allowance.seconds.map(|limit| ("time", snapshot.seconds / limit)),
        allowance.states.map(|limit| ("budget", snapshot.states as f64 / limit as f64)),
        allowance.bytes.map(|limit| ("memory", snapshot.bytes as f64 / limit as f64)),
    ];
    parts.into_iter().flatten().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Returns the end of `name`, which says more than its beginning.
fn tail(name: &str, room: usize) -> String {
    if name.width() <= room {
        return name.to_owned();
    }
    let mut ends = name.char_indices().map(|(at, _)| &name[at..]);
    format!("..{}", ends.find(|end| end.width() + 2 <= room).unwrap_or_default())
}

/// Formats a number as `94k`, `22.6k` or `1.2M`.
fn short(number: f64) -> String {
    let (scaled, unit) = match number {
        n if n < 1e3 => return format!("{n:.0}"),
        n if n < 1e6 => (n / 1e3, "k"),
        n if n < 1e9 => (n / 1e6, "M"),
        n => (n / 1e9, "G"),
    };
    if scaled < 10.0 { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_limit() -> Allowance {
        let config = check::Config::default();
        Allowance { seconds: None, states: None, bytes: None, reduction: true, config }
    }

    #[test]
    fn a_line_tells_where_the_search_is() {
        let snapshot = Snapshot {
            states: 702_114,
            switches: 3,
            queue: 94_210,
            round: 2,
            bytes: 120,
            seconds: 31.4,
        };
        let allowance = Allowance { seconds: Some(3600.0), bytes: Some(1000), ..no_limit() };
        assert_eq!(
            line("munmap", &snapshot, Some(22_600.0), 1, &allowance, 100),
            "   check munmap  702 114 states  23k/s  switches 3  queue 94k  round 2  memory 12%  \
             [ 31s] +1"
        );
        let narrow = line("a::long::name", &snapshot, None, 0, &no_limit(), 79);
        assert_eq!(
            narrow,
            "   check a::long::name  702 114 states  switches 3  queue 94k  round 2  [ 31s]"
        );
        assert_eq!(
            line("a::long::name", &snapshot, None, 0, &no_limit(), 60),
            "   check a::long::name  702 114 states  switches 3  [ 31s]"
        );
        assert_eq!(
            line("a::long::name", &snapshot, None, 0, &no_limit(), 56),
            "   check ..ng::name  702 114 states  switches 3  [ 31s]"
        );
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (999.0, "999"), (1200.0, "1.2k"), (94e3, "94k"), (2.5e9, "2.5G")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
    }
}
