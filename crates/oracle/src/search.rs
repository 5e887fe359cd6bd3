//! The same programs on the searched machine.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use abi::hypercall::Hypercall;
use abi::layout::IMAGE_BASE;
use explore::{Options, Stop, Verdict, What, Why};
use machine::{
    Accesses, Agent, Bad as MachineBad, Config, Gap, GapKind, Machine, Segment, Violation, Word,
};
use system::{FinalCheckAccesses, InvariantAccesses, OwnNumbers, Recorder, System, Workload};

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
    let mut model = Observed {
        machine,
        entry: image.entry,
        observed: program.observed(heap),
        ends: BTreeSet::new(),
    };
    let options = Options {
        states,
        reduction: mode != Mode::NoReduction,
        every_access: mode == Mode::EveryAccess,
        shorten_states: states,
        ..Options::default()
    };
    let found =
        explore::search(&mut System::new(&mut model), &options, &mut |_| ControlFlow::Continue(()));
    let states = found.stats.states as usize;
    let (bad, switches) = match found.verdict {
        Verdict::Pass => (None, None),
        Verdict::Violated { what, switches, shortest, .. } => {
            let bad = match what {
                What::Deadlock => Bad::Deadlock,
                What::Livelock => Bad::Livelock,
                What::Bad(bad) => match bad.what {
                    Violation::Fault(fault) => Bad::Fault(fault.vector),
                    Violation::Endless => return Err(Undecided::Gap("endless".into())),
                    other => Bad::Failed(other.property().into()),
                },
            };
            (Some(bad), Some((switches, shortest)))
        }
        Verdict::Undecided { why: Why::Gap(gap, _), .. } => {
            return Err(Undecided::Gap(match gap.what {
                GapKind::NotModelled(what) => what,
                GapKind::Misuse(misuse) => format!("{misuse:?}"),
            }));
        }
        Verdict::Undecided { .. } => return Err(Undecided::Large),
    };
    Ok(Outcome { ends: model.ends, bad: bad.into_iter().collect(), switches, states })
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

/// A program on the machine, and the final states seen in this round.
struct Observed {
    machine: Machine,
    entry: u64,
    observed: Vec<u64>,
    ends: BTreeSet<Vec<u64>>,
}

impl Workload for Observed {
    type Bad = MachineBad;
    type Gap = Gap;
    type Numbering = OwnNumbers;

    fn machine(&self) -> &Machine {
        &self.machine
    }

    fn round_begins(&mut self) {
        self.ends.clear();
    }

    fn initial(
        &mut self,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<machine::State, Stop<MachineBad, Gap>> {
        self.machine.start(self.entry, accesses, &mut ()).map_err(system::stop)
    }

    fn step(
        &mut self,
        state: &mut machine::State,
        agent: Agent,
        pick: u16,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<MachineBad, Gap>> {
        self.machine.step(state, agent, pick, accesses, &mut ()).map_err(system::stop)
    }

    fn inspect(
        &mut self,
        state: &machine::State,
        accesses: &mut Recorder<'_, OwnNumbers>,
    ) -> Result<(), Stop<MachineBad, Gap>> {
        for entry in self.machine.registered().always.clone() {
            let mut reads = InvariantAccesses(accesses);
            self.machine.observe(state, entry, &mut reads, &mut ()).map_err(system::stop)?;
        }
        if state.ended() {
            for entry in self.machine.registered().finally.clone() {
                let mut reads = FinalCheckAccesses(accesses);
                self.machine.observe(state, entry, &mut reads, &mut ()).map_err(system::stop)?;
            }
            let value = |va: &u64| self.machine.peek(state, *va, 8).unwrap_or(0);
            self.ends.insert(self.observed.iter().map(value).collect());
        }
        Ok(())
    }
}
