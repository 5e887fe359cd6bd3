//! The same programs on the searched machine.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use abi::hypercall::Hypercall;
use abi::layout::IMAGE_BASE;
use explore::{Choice, Next, Options, Stop, Touch, Verdict, What, Why, Words};
use machine::{
    Accesses, Agent, Bad as MachineBad, Config, Gap, GapKind, Halt, Machine, Segment, Violation,
    Word,
};

use crate::assemble::{DATA_BYTES, Image, assemble};
use crate::outcome::{Bad, Outcome};
use crate::program::{DATA, Op, Place, Program, RAX, RDI, RESULTS, RSI};

/// A way to search, all of which must come to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As by default.
    Default,
    /// No order of steps is left out.
    NoReduction,
    /// Dead stack tells states apart.
    NoMasking,
    /// Every access is a scheduling point.
    EveryAccess,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 4] =
        [Mode::Default, Mode::NoReduction, Mode::NoMasking, Mode::EveryAccess];

    /// How program number `seed` is searched: by default, and in one of the slower ways in turn.
    pub fn of(seed: u64) -> [Mode; 2] {
        let other = [Mode::NoReduction, Mode::NoMasking, Mode::EveryAccess][seed as usize % 3];
        [Mode::Default, other]
    }
}

/// Why the search decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// Something has no model, or the program makes no sense.
    Gap(String),
    /// More states than allowed.
    Large,
}

/// Searches `program`, whose image is `image`, within `states` states.
///
/// # Errors
///
/// Nothing is decided.
pub(crate) fn search(
    program: &Program,
    image: &Image,
    heap: u64,
    mode: Mode,
    states: u64,
) -> Result<Outcome, Undecided> {
    let config = Config { masking: mode != Mode::NoMasking, ..Config::default() };
    let machine = machine(image, config).map_err(Undecided::Gap)?;
    let mut model = Model {
        machine,
        entry: image.entry,
        observed: program.observed(heap),
        ends: BTreeSet::new(),
    };
    let options = Options {
        states,
        reduction: mode != Mode::NoReduction,
        every_access: mode == Mode::EveryAccess,
        shorten_states: 0,
        ..Options::default()
    };
    let found = explore::search(&mut model, &options, &mut |_| ControlFlow::Continue(()));
    let states = found.stats.states as usize;
    let bad = match found.verdict {
        Verdict::Pass => None,
        Verdict::Violated { what, .. } => Some(match what {
            What::Deadlock => Bad::Deadlock,
            What::Livelock => Bad::Livelock,
            What::Bad(bad) => match bad.what {
                Violation::Fault(fault) => Bad::Fault(fault.vector),
                Violation::Endless => return Err(Undecided::Gap("endless".into())),
                other => Bad::Failed(other.property().into()),
            },
        }),
        Verdict::Undecided { why: Why::Gap(gap, _), .. } => {
            return Err(Undecided::Gap(match gap.what {
                GapKind::NotModelled(what) => what,
                GapKind::Misuse(misuse) => format!("{misuse:?}"),
            }));
        }
        Verdict::Undecided { .. } => return Err(Undecided::Large),
    };
    Ok(Outcome { ends: model.ends, bad: bad.into_iter().collect(), states })
}

fn machine(image: &Image, config: Config) -> Result<Machine, String> {
    let size = image.code.len() as u64;
    let code = Segment {
        va: IMAGE_BASE,
        bytes: image.code.clone(),
        size,
        writable: false,
        executable: true,
    };
    let data = Segment {
        va: DATA,
        bytes: image.data.clone(),
        size: DATA_BYTES,
        writable: true,
        executable: false,
    };
    Machine::new(&[code, data], &image.calls, config)
}

/// The address of the first frame that set-up gets: found by a program that asks for one.
///
/// # Panics
///
/// If the machine does not run that program.
pub fn heap() -> u64 {
    use std::sync::OnceLock;
    static HEAP: OnceLock<u64> = OnceLock::new();
    *HEAP.get_or_init(|| {
        let program = Program { cpus: vec![vec![Op::Ret]], ..Program::default() };
        let mut image = assemble(&program, 0).expect("two returns");
        let ask = [
            Op::Set(RDI, 4096),
            Op::Set(RSI, 4096),
            Op::Call(Hypercall::Alloc),
            Op::Set(RDI, RESULTS),
            Op::Store(RAX, 8, Place::At(RDI)),
            Op::Set(RDI, 0),
            Op::Set(RSI, image.addresses[0].1[0]),
            Op::Call(Hypercall::Cpu),
            Op::Ret,
        ];
        image.entry = image.append(&ask).expect("a few moves");
        let mut machine = machine(&image, Config::default()).expect("an image");
        let state = machine.start(image.entry, &mut Unrecorded, &mut ()).expect("it returns");
        machine.peek(&state, RESULTS, 8).expect("a word of data")
    })
}

struct Unrecorded;

impl Accesses for Unrecorded {
    fn is_shared(&self, _: Word) -> bool {
        false
    }

    fn touch(&mut self, _: Agent, _: Word, _: bool) {}
}

struct Model {
    machine: Machine,
    entry: u64,
    observed: Vec<u64>,
    ends: BTreeSet<Vec<u64>>,
}

impl explore::Model for Model {
    type State = machine::State;
    type Bad = MachineBad;
    type Gap = Gap;

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(&mut self, words: &mut Words) -> Result<machine::State, Stop<MachineBad, Gap>> {
        self.machine.start(self.entry, &mut Recorder(words), &mut ()).map_err(stop)
    }

    fn choices(&self, state: &machine::State, out: &mut Vec<Choice>) {
        self.machine.choices(state, |agent, pick| out.push(Choice { agent: agent.0, pick }));
    }

    fn step(
        &mut self,
        state: &mut machine::State,
        choice: Choice,
        words: &mut Words,
    ) -> Result<(), Stop<MachineBad, Gap>> {
        let agent = Agent(choice.agent);
        let mut recorder = Recorder(words);
        self.machine.step(state, agent, choice.pick, &mut recorder, &mut ()).map_err(stop)
    }

    fn inspect(
        &mut self,
        state: &machine::State,
        _: &mut Words,
    ) -> Result<(), Stop<MachineBad, Gap>> {
        if state.ended() {
            let value = |va: &u64| self.machine.peek(state, *va, 8).unwrap_or(0);
            self.ends.insert(self.observed.iter().map(value).collect());
        }
        Ok(())
    }

    fn key(&self, state: &machine::State) -> u128 {
        state.fingerprint()
    }

    fn ended(&self, state: &machine::State) -> bool {
        state.ended()
    }

    fn optional(&self, _: &machine::State, choice: Choice) -> bool {
        Machine::is_optional(Agent(choice.agent), choice.pick)
    }

    fn next(&self, state: &machine::State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let next = self.machine.next(state, Agent(agent))?;
        let told = next.touches().iter();
        touches.extend(told.map(|(word, write)| Touch { word: word.0, write: *write }));
        Some(Next { point: next.point, reducible: next.reducible })
    }

    fn agents(&self) -> u8 {
        Agent::COUNT
    }

    fn recurrent(&self) -> explore::Agents {
        agents(Agent::interrupt(0), Agent::COUNT)
    }

    fn silent(&self) -> explore::Agents {
        agents(Agent::hardware(0), Agent::nested_nmi(0).0)
    }

    fn served_by(&self, agent: u8) -> explore::Agents {
        1 << Agent::hardware(Agent(agent).cpu()).0
    }

    fn state_bytes(&self, state: &machine::State) -> usize {
        state.bytes()
    }
}

/// The agents from `first` to before number `end`.
fn agents(first: Agent, end: u8) -> explore::Agents {
    (first.0..end).fold(0, |mask, agent| mask | 1 << agent)
}

fn stop(halt: Halt) -> Stop<MachineBad, Gap> {
    match halt {
        Halt::Bad(bad) => Stop::Violation(bad),
        Halt::Gap(gap) => Stop::Unmodelled(gap),
        Halt::Discarded => Stop::Discarded,
        Halt::CutOff { .. } => unreachable!("nothing asks to cut anything off"),
    }
}

struct Recorder<'a>(&'a mut Words);

impl Accesses for Recorder<'_> {
    fn is_shared(&self, word: Word) -> bool {
        self.0.is_shared(word.0)
    }

    fn touch(&mut self, agent: Agent, word: Word, write: bool) {
        self.0.touch(agent.0, word.0, write);
    }
}
