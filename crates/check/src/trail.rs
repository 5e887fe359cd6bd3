//! A trail: the choices of one run, small enough to commit and plain enough to edit.

use std::fmt;

use explore::Choice;
use machine::{Agent, Config, Fill, MemoryModel, Role};
use outcome::ImageId;
use xxhash_rust::xxh3::xxh3_64;

const HEADER: &str = "lamprey-trail 1";
/// How the first line of every version begins.
const KIND: &str = "lamprey-trail ";

/// The choices that lead to what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    scenario: String,
    image: ImageId,
    property: String,
    config: Config,
    /// The words at which runs were divided into steps.
    pub(crate) shared: Vec<u32>,
    /// Runs of equal choices, each with what a reader sees there.
    pub(crate) runs: Vec<Run>,
}

/// `count` times the same choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) count: u32,
    pub(crate) choice: Choice,
    /// Where the last of them stops; a comment.
    pub(crate) at: String,
}

/// More than a search keeps of one run.
const MAX_STEPS: u64 = 1 << 24;
/// More words than any search has found to be shared.
const MAX_SHARED: usize = 1 << 24;

/// Why a text is no trail.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message of a variant is its documentation")]
pub enum TrailError {
    #[error("not a trail: its first line is not `{HEADER}`")]
    Header,
    #[error("a trail of another version, `{0}`; this one reads `{HEADER}`: check again")]
    Version(String),
    #[error("a trail that cannot be read: line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong, and what is wanted.
        what: String,
    },
}

/// Why a trail cannot be run again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of a variant is its documentation")]
pub enum ReplayError {
    #[error("the image has no scenario {0}; it was renamed or removed since the trail was written")]
    NoScenario(String),
    #[error(
        "the trail does not fit{changed}: its step {step} is `{wanted}`, {}",
        match &**possible {
            "nothing" => "where nothing can go on any more".to_owned(),
            possible => format!("which is not possible there; possible: {possible}"),
        }
    )]
    Choice {
        /// From 1.
        step: usize,
        /// Whose turn it was.
        wanted: String,
        /// Whose turn it could be.
        possible: String,
        /// ` (the image has changed)` or nothing.
        changed: &'static str,
    },
    #[error("the trail does not fit{changed}: the run ends at step {step} of {steps}: {why}")]
    Ends {
        /// From 1.
        step: usize,
        /// Steps of the trail.
        steps: usize,
        /// Why.
        why: String,
        /// ` (the image has changed)` or nothing.
        changed: &'static str,
    },
    #[error("the trail runs to its end, and nothing is violated{0}")]
    Clean(&'static str),
    #[error("the trail does not fit{changed}: it shares word {word}; the machine has {words}")]
    Word {
        /// Its number.
        word: u32,
        /// One more than the highest.
        words: u32,
        /// ` (the image has changed)` or nothing.
        changed: &'static str,
    },
    #[error("{0}")]
    Start(String),
}

impl Trail {
    pub(crate) fn new(
        scenario: &str,
        image: &ImageId,
        property: &str,
        config: Config,
        shared: Vec<u32>,
        runs: Vec<Run>,
    ) -> Trail {
        Trail {
            scenario: scenario.into(),
            image: image.clone(),
            property: property.into(),
            config,
            shared,
            runs,
        }
    }

    /// Returns a name for a file: the scenario and four hexadecimal digits of the content.
    pub fn name(&self) -> String {
        let digits = xxh3_64(self.to_string().as_bytes()) & 0xffff;
        format!("{}-{digits:04x}", self.scenario.replace("::", "."))
    }

    /// The scenario it belongs to.
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// The image it was made with.
    pub fn image_id(&self) -> &ImageId {
        &self.image
    }

    /// The property it violates.
    pub fn property(&self) -> &str {
        &self.property
    }

    /// The machine it was found on.
    pub fn config(&self) -> Config {
        self.config
    }

    pub(crate) fn choices(&self) -> Vec<Choice> {
        let repeat = |run: &Run| std::iter::repeat_n(run.choice, run.count as usize);
        self.runs.iter().flat_map(repeat).collect()
    }

    /// Reads what `Display` wrote, or a person edited.
    ///
    /// # Errors
    ///
    /// The text is no trail; says at which line.
    pub fn parse(text: &str) -> Result<Trail, TrailError> {
        let mut lines =
            (1..).zip(text.lines().map(|line| line.split('#').next().unwrap_or("").trim()));
        match lines.next().map(|(_, line)| line) {
            Some(HEADER) => {}
            Some(other) if other.starts_with(KIND) => {
                return Err(TrailError::Version(other.into()));
            }
            _ => return Err(TrailError::Header),
        }
        let mut trail =
            Trail::new("", &ImageId::default(), "", Config::default(), Vec::new(), Vec::new());
        for (line, content) in lines.filter(|(_, content)| !content.is_empty()) {
            trail.line(content).map_err(|what| TrailError::Line { line, what })?;
        }
        let steps: u64 = trail.runs.iter().map(|run| u64::from(run.count)).sum();
        if steps > MAX_STEPS {
            let what = format!("{steps} steps; a trail has at most {MAX_STEPS}");
            return Err(TrailError::Line { line: text.lines().count(), what });
        }
        if trail.scenario.is_empty() {
            return Err(TrailError::Line { line: 1, what: "no `scenario NAME` line".into() });
        }
        if trail.image.id.is_empty() {
            return Err(TrailError::Line { line: 1, what: "no `image NAME ID` line".into() });
        }
        Ok(trail)
    }

    fn line(&mut self, content: &str) -> Result<(), String> {
        let (key, rest) = content.split_once(' ').unwrap_or((content, ""));
        let rest = rest.trim();
        match key {
            "scenario" => self.scenario = rest.into(),
            "property" => self.property = rest.into(),
            "image" => {
                let (name, id) = rest.rsplit_once(' ').ok_or("wanted `image NAME ID`")?;
                self.image = ImageId { name: name.into(), id: id.into(), compiler: None };
            }
            "masking" => {
                self.config.masking = match rest {
                    "on" => true,
                    "off" => false,
                    _ => return Err(format!("masking is `on` or `off`, not `{rest}`")),
                }
            }
            "model" => {
                self.config.memory_model = match rest {
                    "tso" => MemoryModel::Tso,
                    "sc" => MemoryModel::Sc,
                    _ => return Err(format!("the model is `tso` or `sc`, not `{rest}`")),
                }
            }
            "tlb" => {
                self.config.fill = match rest {
                    "adversarial" => Fill::Adversarial,
                    "retain" => Fill::Retain,
                    "eager" => Fill::Eager,
                    _ => {
                        let wanted = "adversarial`, `retain` or `eager";
                        return Err(format!("tlb is `{wanted}`, not `{rest}`"));
                    }
                }
            }
            "shared" => {
                for range in rest.split_whitespace() {
                    self.shared.extend(parse_range(range)?);
                    if self.shared.len() > MAX_SHARED {
                        return Err(format!("more than {MAX_SHARED} shared words"));
                    }
                }
            }
            _ => self.runs.push(parse_run(content)?),
        }
        Ok(())
    }
}

fn parse_range(text: &str) -> Result<std::ops::RangeInclusive<u32>, String> {
    let wrong = || format!("`{text}` is not a word or a range of words");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if last < first || last - first > 1 << 20 {
        return Err(wrong());
    }
    Ok(first..=last)
}

fn parse_run(content: &str) -> Result<Run, String> {
    let wrong =
        || format!("wanted `cpu N [irq|nmi|nmi2|drains] [pick P] [xCOUNT]`, found `{content}`");
    let mut words = content.split_whitespace();
    if words.next() != Some("cpu") {
        return Err(wrong());
    }
    let cpu: u8 = words.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    if usize::from(cpu) >= abi::layout::MAX_CPUS {
        return Err(format!("there is no CPU {cpu}"));
    }
    let mut run = Run {
        count: 1,
        choice: Choice { agent: Agent::thread(cpu).0, pick: 0 },
        at: String::new(),
    };
    while let Some(word) = words.next() {
        if word == "irq" {
            run.choice.agent = Agent::interrupt(cpu).0;
        } else if word == "nmi" {
            run.choice.agent = Agent::nmi(cpu).0;
        } else if word == "nmi2" {
            run.choice.agent = Agent::nested_nmi(cpu).0;
        } else if word == "drains" {
            run.choice.agent = Agent::hardware(cpu).0;
        } else if word == "pick" {
            run.choice.pick = words.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        } else {
            let count = word.strip_prefix('x').and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
            run.count = count;
        }
    }
    if run.count == 0 {
        return Err(wrong());
    }
    Ok(run)
}

/// `cpu 0`, `cpu 1 irq`, `cpu 1 nmi`, `cpu 1 nmi2` for an NMI within an NMI, `cpu 0 drains`.
pub(crate) fn who(agent: u8) -> String {
    match Agent(agent).role() {
        Role::Thread(cpu) => format!("cpu {cpu}"),
        Role::Interrupt(cpu) => format!("cpu {cpu} irq"),
        Role::Nmi(cpu) => format!("cpu {cpu} nmi"),
        Role::NestedNmi(cpu) => format!("cpu {cpu} nmi2"),
        Role::Observer => "observer".into(),
        Role::Hardware(cpu) => format!("cpu {cpu} drains"),
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "scenario {}", self.scenario)?;
        writeln!(f, "image {} {}", self.image.name, self.image.id)?;
        writeln!(f, "property {}", self.property)?;
        let Config { fill, memory_model, masking } = self.config;
        let tlb = match fill {
            Fill::Adversarial => "adversarial",
            Fill::Retain => "retain",
            Fill::Eager => "eager",
        };
        let model = match memory_model {
            MemoryModel::Tso => "tso",
            MemoryModel::Sc => "sc",
        };
        writeln!(f, "model {model}")?;
        writeln!(f, "tlb {tlb}")?;
        writeln!(f, "masking {}", if masking { "on" } else { "off" })?;
        write!(f, "shared")?;
        let mut words = self.shared.iter().copied().peekable();
        while let Some(first) = words.next() {
            let mut last = first;
            while let Some(next) = words.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last {
                write!(f, " {first}")?;
            } else {
                write!(f, " {first}-{last}")?;
            }
        }
        writeln!(f)?;
        for run in &self.runs {
            let mut line = who(run.choice.agent);
            if run.choice.pick != 0 {
                line += &format!(" pick {}", run.choice.pick);
            }
            if run.count != 1 {
                line += &format!(" x{}", run.count);
            }
            if run.at.is_empty() {
                writeln!(f, "{line}")?;
            } else {
                writeln!(f, "{line:24} # {}", run.at)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Trail {
        let id = ImageId { name: "seed".into(), id: "00ff".into(), compiler: None };
        let run = |agent: Agent, pick, count| Run {
            count,
            choice: Choice { agent: agent.0, pick },
            at: "switch_mm+0x1a".into(),
        };
        let runs = vec![
            run(Agent::thread(0), 0, 3),
            run(Agent::interrupt(1), 2, 1),
            run(Agent::nmi(1), 1, 1),
            run(Agent::nested_nmi(1), 0, 1),
            run(Agent::thread(1), 0, 1),
        ];
        Trail::new("seed::before", &id, "lam", Config::default(), vec![4, 70, 71, 72], runs)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let trail = example();
        let mut read = Trail::parse(&trail.to_string()).unwrap();
        read.runs.iter_mut().for_each(|run| run.at = "switch_mm+0x1a".into());
        assert_eq!(read, trail);
        assert!(trail.name().starts_with("seed.before-"), "{}", trail.name());
    }

    #[test]
    fn a_trail_without_scenario_or_image_is_refused() {
        for key in ["scenario", "image"] {
            let text = example().to_string();
            let lines = text.lines().filter(|line| !line.starts_with(key));
            let error = Trail::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap_err();
            assert!(error.to_string().contains(&format!("no `{key} NAME")), "{error}");
        }
        let text = example().to_string() + &"shared 0-1048575\n".repeat(17);
        let error = Trail::parse(&text).unwrap_err().to_string();
        assert!(error.contains("more than 16777216 shared words"), "{error}");
    }

    #[test]
    fn errors_name_the_line() {
        let text = example().to_string().replace("cpu 1 irq", "cpu one irq");
        let error = Trail::parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with("a trail that cannot be read: line 10: wanted `cpu N"),
            "{error}"
        );
        assert_eq!(Trail::parse("something else"), Err(TrailError::Header));
        let other = Trail::parse("lamprey-trail 2\n").unwrap_err().to_string();
        assert!(other.starts_with("a trail of another version, `lamprey-trail 2`"), "{other}");
        let error = Trail::parse("lamprey-trail 1\n\ncpu 0\n").unwrap_err().to_string();
        assert_eq!(error, "a trail that cannot be read: line 1: no `scenario NAME` line");
        let error = Trail::parse("lamprey-trail 1\nscenario x\ncpu 9\n").unwrap_err().to_string();
        assert_eq!(error, "a trail that cannot be read: line 3: there is no CPU 9");
        let text = "lamprey-trail 1\nscenario x\ncpu 0 x4000000000\ncpu 1 x4000000000\n";
        let error = Trail::parse(text).unwrap_err().to_string();
        assert_eq!(
            error,
            "a trail that cannot be read: line 4: 8000000000 steps; a trail has at most 16777216"
        );
    }
}
