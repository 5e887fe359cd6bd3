//! A toy machine: agents run tiny programs over a few words.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use explore::{Choice, Found, Model, Next, Options, Stop, Touch, Verdict, What, Words, search};

pub type Word = u8;
pub type Reg = usize;

/// An instruction. Values wrap at the modulus of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Set(Reg, u8),
    AddReg(Reg, u8),
    Load(Reg, Word),
    Store(Word, Reg),
    StoreImm(Word, u8),
    /// Loads from the word plus a register.
    LoadAt(Reg, Word, Reg),
    /// Stores a constant at the word plus a register.
    StoreAt(Word, Reg, u8),
    /// Old value to the register.
    FetchAdd(Reg, Word, u8),
    /// To 1 in the register if the word was the first and is now the second value.
    Cas(Reg, Word, u8, u8),
    /// If the register is the value.
    JumpEq(Reg, u8, u8),
    JumpNe(Reg, u8, u8),
    Jump(u8),
    /// Blocks until the word is the value.
    Wait(Word, u8),
    AssertEq(Reg, u8),
    AssertNe(Reg, u8),
    AssertRegsEq(Reg, Reg),
    AssumeNe(Reg, u8),
    /// Any value below.
    Choose(Reg, u8),
    /// Bad as long as the word is not known to be shared.
    AssertShared(Word),
    Unmodelled,
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub code: Vec<Op>,
    /// A handler: starts whenever the word is not 0, which clears it, and
    /// suspends the agent meanwhile.
    pub irq: Option<(Word, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    Idle,
    Running,
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Thread {
    pub pc: u8,
    pub regs: [u8; 3],
    pub mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct State {
    pub mem: [u8; 8],
    pub threads: [Thread; 4],
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    Assert(u8, u8),
    Invariant,
}

/// What is told of an access before it is made. Only all of it is what the contract asks for; of the
/// others the search makes the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    All,
    Nothing,
    /// That the words are read.
    Reads,
    /// What would be true of the word after each.
    Elsewhere,
}

/// A program, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Program {
    pub agents: Vec<Spec>,
    pub modulus: u8,
    /// Never all of these words at these values.
    pub never: Vec<(Word, u8)>,
    /// Collect what is bad instead of stopping at it.
    pub collect: bool,
    /// The kind of bad run that is wanted; all if none is named.
    pub wanted: Option<What<Bad>>,
    /// What is told of an access before it is made, if it is more than a load or a store of one word.
    pub told: Told,
    /// What each pass from the first state on found: final states and what is bad.
    pub finals: Vec<BTreeSet<State>>,
    pub bads: Vec<BTreeSet<Bad>>,
}

type Outcome = Result<(), Stop<Bad, &'static str>>;

impl Program {
    pub fn new(agents: &[&[Op]]) -> Self {
        let spec = |code: &&[Op]| Spec { code: code.to_vec(), irq: None };
        Program {
            agents: agents.iter().map(spec).collect(),
            modulus: 8,
            never: Vec::new(),
            collect: false,
            told: Told::All,
            wanted: None,
            finals: Vec::new(),
            bads: Vec::new(),
        }
    }

    pub fn irq(mut self, word: Word, host: u8, code: &[Op]) -> Self {
        self.agents.push(Spec { code: code.to_vec(), irq: Some((word, host)) });
        self
    }

    pub fn never(mut self, never: &[(Word, u8)]) -> Self {
        self.never = never.to_vec();
        self
    }

    fn op(&self, state: &State, agent: usize) -> Option<Op> {
        let thread = &state.threads[agent];
        let code = &self.agents[agent].code;
        (thread.mode == Mode::Running).then(|| code.get(usize::from(thread.pc)).copied()).flatten()
    }

    fn is_suspended(&self, state: &State, agent: usize) -> bool {
        self.agents.iter().enumerate().any(|(i, spec)| {
            spec.irq.is_some_and(|(_, host)| usize::from(host) == agent)
                && state.threads[i].mode == Mode::Running
        })
    }

    /// A final state in which a handler is stuck: how far the agent below it has
    /// come, which cannot matter any more, differs between ways of searching.
    fn without_suspended(&self, mut state: State) -> State {
        for i in 0..self.agents.len() {
            if self.is_suspended(&state, i) {
                state.mem = [0; 8];
                state.threads[i] = Thread { pc: 0, regs: [0; 3], mode: Mode::Ended };
            }
        }
        state
    }

    /// Instructions up to the next visible one.
    fn run_on(&mut self, state: &mut State, agent: usize, words: &mut Words) -> Outcome {
        loop {
            let Some(op) = self.op(state, agent) else {
                let thread = &mut state.threads[agent];
                if thread.mode == Mode::Running {
                    let irq = self.agents[agent].irq.is_some();
                    thread.mode = if irq { Mode::Idle } else { Mode::Ended };
                    thread.pc = 0;
                    thread.regs = if irq { [0; 3] } else { thread.regs };
                }
                return Ok(());
            };
            if is_visible(op, &state.threads[agent], words) {
                return Ok(());
            }
            self.execute(state, agent, op, 0, words)?;
        }
    }

    fn execute(
        &mut self,
        state: &mut State,
        agent: usize,
        op: Op,
        pick: u16,
        words: &mut Words,
    ) -> Outcome {
        let modulus = self.modulus;
        let pc = state.threads[agent].pc;
        accesses(op, &state.threads[agent], |word, write| words.touch(agent as u8, word, write));
        let State { mem, threads } = state;
        let Thread { pc: next, regs, .. } = &mut threads[agent];
        *next = pc + 1;
        let bad = |holds: bool| {
            let bad = Bad::Assert(agent as u8, pc);
            if holds { Ok(()) } else { Err(Stop::Violation(bad)) }
        };
        match op {
            Op::Set(r, v) => regs[r] = v % modulus,
            Op::AddReg(r, v) => regs[r] = (regs[r] + v) % modulus,
            Op::Load(r, w) => regs[r] = mem[usize::from(w)],
            Op::Store(w, r) => mem[usize::from(w)] = regs[r],
            Op::StoreImm(w, v) => mem[usize::from(w)] = v % modulus,
            Op::LoadAt(r, w, i) => regs[r] = mem[at(w, regs[i])],
            Op::StoreAt(w, i, v) => mem[at(w, regs[i])] = v % modulus,
            Op::FetchAdd(r, w, v) => {
                let word = &mut mem[usize::from(w)];
                regs[r] = *word;
                *word = (*word + v) % modulus;
            }
            Op::Cas(r, w, old, new) => {
                let word = &mut mem[usize::from(w)];
                regs[r] = u8::from(*word == old % modulus);
                if regs[r] == 1 {
                    *word = new % modulus;
                }
            }
            Op::JumpEq(r, v, to) if regs[r] == v => *next = to,
            Op::JumpNe(r, v, to) if regs[r] != v => *next = to,
            Op::Jump(to) => *next = to,
            Op::JumpEq(..) | Op::JumpNe(..) | Op::Wait(..) => {}
            Op::AssertEq(r, v) => return self.mind(bad(regs[r] == v)),
            Op::AssertNe(r, v) => return self.mind(bad(regs[r] != v)),
            Op::AssertRegsEq(r, q) => return self.mind(bad(regs[r] == regs[q])),
            Op::AssumeNe(r, v) if regs[r] == v => return Err(Stop::Discarded),
            Op::AssumeNe(..) => {}
            Op::AssertShared(w) => return self.mind(bad(words.is_shared(w.into()))),
            Op::Choose(r, _) => regs[r] = pick as u8 % modulus,
            Op::Unmodelled => return Err(Stop::Unmodelled("instruction")),
        }
        Ok(())
    }

    /// Where bad things are collected, they are noted, and the run goes on.
    fn mind(&mut self, outcome: Outcome) -> Outcome {
        match outcome {
            Err(Stop::Violation(bad)) if self.collect => {
                self.bads.last_mut().unwrap().insert(bad);
                Ok(())
            }
            outcome => outcome,
        }
    }
}

fn at(word: Word, index: u8) -> usize {
    (usize::from(word) + usize::from(index)) % 8
}

fn accesses(op: Op, thread: &Thread, mut touch: impl FnMut(u32, bool)) {
    match op {
        Op::Load(_, w) | Op::Wait(w, _) => touch(w.into(), false),
        Op::Store(w, _) | Op::StoreImm(w, _) => touch(w.into(), true),
        Op::LoadAt(_, w, i) => touch(at(w, thread.regs[i]) as u32, false),
        Op::StoreAt(w, i, _) => touch(at(w, thread.regs[i]) as u32, true),
        Op::FetchAdd(_, w, _) | Op::Cas(_, w, ..) => {
            touch(w.into(), false);
            touch(w.into(), true);
        }
        _ => {}
    }
}

fn is_visible(op: Op, thread: &Thread, words: &Words) -> bool {
    let mut visible = match op {
        Op::Wait(..) | Op::Choose(..) | Op::AssumeNe(..) => true,
        Op::JumpEq(.., to) | Op::JumpNe(.., to) | Op::Jump(to) => to <= thread.pc,
        _ => false,
    };
    accesses(op, thread, |word, _| visible |= words.is_shared(word));
    visible
}

impl Model for Program {
    type State = State;
    type Bad = Bad;
    type Gap = &'static str;

    fn is_wanted(&self, what: &What<Bad>) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted == what)
    }

    fn initial(&mut self, words: &mut Words) -> Result<State, Stop<Bad, &'static str>> {
        self.finals.push(BTreeSet::new());
        self.bads.push(BTreeSet::new());
        let thread = Thread { pc: 0, regs: [0; 3], mode: Mode::Idle };
        let mut state = State { mem: [0; 8], threads: [thread; 4] };
        for agent in 0..self.agents.len() {
            if self.agents[agent].irq.is_none() {
                state.threads[agent].mode = Mode::Running;
                self.run_on(&mut state, agent, words)?;
            }
            if let Some((word, _)) = self.agents[agent].irq {
                words.touch(agent as u8, word.into(), false);
            }
        }
        Ok(state)
    }

    fn choices(&self, state: &State, out: &mut Vec<Choice>) {
        for (i, spec) in self.agents.iter().enumerate() {
            let agent = i as u8;
            match state.threads[i].mode {
                Mode::Idle => {
                    let (word, host) = spec.irq.unwrap();
                    if state.mem[usize::from(word)] != 0
                        && !self.is_suspended(state, usize::from(host))
                    {
                        out.push(Choice { agent, pick: 0 });
                    }
                }
                Mode::Ended => {}
                Mode::Running if self.is_suspended(state, i) => {}
                Mode::Running => match self.op(state, i).unwrap() {
                    Op::Wait(w, v) if state.mem[usize::from(w)] != v => {}
                    Op::Choose(_, n) => {
                        out.extend((0..u16::from(n)).map(|pick| Choice { agent, pick }));
                    }
                    _ => out.push(Choice { agent, pick: 0 }),
                },
            }
        }
    }

    fn step(&mut self, state: &mut State, choice: Choice, words: &mut Words) -> Outcome {
        let agent = usize::from(choice.agent);
        if state.threads[agent].mode == Mode::Idle {
            let (word, _) = self.agents[agent].irq.unwrap();
            words.touch(choice.agent, word.into(), false);
            words.touch(choice.agent, word.into(), true);
            state.mem[usize::from(word)] = 0;
            state.threads[agent].mode = Mode::Running;
        } else {
            let op = self.op(state, agent).expect("a running agent has an instruction");
            self.execute(state, agent, op, choice.pick, words)?;
        }
        self.run_on(state, agent, words)
    }

    fn inspect(&mut self, state: &State, words: &mut Words) -> Outcome {
        let mut choices = Vec::new();
        self.choices(state, &mut choices);
        if choices.is_empty() {
            let last = self.without_suspended(*state);
            self.finals.last_mut().unwrap().insert(last);
        }
        let observer = self.agents.len() as u8;
        let mut holds = self.never.is_empty();
        for &(word, value) in &self.never {
            words.touch(observer, word.into(), false);
            holds |= state.mem[usize::from(word)] != value;
        }
        self.mind(if holds { Ok(()) } else { Err(Stop::Violation(Bad::Invariant)) })
    }

    fn key(&self, state: &State) -> u128 {
        let mut chunks = [u64::from_le_bytes(state.mem), 0, 0];
        for (i, thread) in state.threads.iter().enumerate() {
            let [a, b, c] = thread.regs;
            let bytes = [thread.pc, a | b << 4, c | (thread.mode as u8) << 4, 0];
            chunks[1 + i / 2] |= u64::from(u32::from_le_bytes(bytes)) << (32 * (i % 2));
        }
        let mut key = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978_u128;
        for chunk in chunks {
            key = (key ^ u128::from(chunk))
                .wrapping_mul(0xda94_2042_e4dd_58b5_2360_ed05_1fc6_5da4 | 1);
            key ^= key >> 64;
        }
        key
    }

    fn ended(&self, state: &State) -> bool {
        let at_rest = |(i, spec): (usize, &Spec)| {
            let rest = if spec.irq.is_some() { Mode::Idle } else { Mode::Ended };
            state.threads[i].mode == rest
        };
        self.collect || self.agents.iter().enumerate().all(at_rest)
    }

    fn next(&self, state: &State, agent: u8, touches: &mut Vec<Touch>) -> Option<Next> {
        let i = usize::from(agent);
        let op = (i < self.agents.len()).then(|| self.op(state, i)).flatten()?;
        let thread = &state.threads[i];
        let simple = matches!(op, Op::Load(..) | Op::Store(..) | Op::StoreImm(..) | Op::Wait(..));
        accesses(op, thread, |word, write| match self.told {
            Told::Nothing if !simple => {}
            Told::Reads if !simple => touches.push(Touch { word, write: false }),
            Told::Elsewhere if !simple => touches.push(Touch { word: (word + 1) % 8, write }),
            _ => touches.push(Touch { word, write }),
        });
        Some(Next { point: thread.pc.into(), reducible: true })
    }

    fn agents(&self) -> u8 {
        self.agents.len() as u8 + 1
    }

    fn recurrent(&self) -> explore::Agents {
        let irqs = self.agents.iter().enumerate().filter(|(_, spec)| spec.irq.is_some());
        irqs.fold(1 << self.agents.len(), |mask, (i, _)| mask | 1 << i)
    }
}

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Every order of every access.
    Brute,
    /// Every order of accesses to shared words.
    Shared,
    /// As by default.
    Reduced,
    /// Reduction, but every access is a scheduling point.
    ReducedBrute,
}

pub const WAYS: [Way; 4] = [Way::Brute, Way::Shared, Way::Reduced, Way::ReducedBrute];

pub fn options(way: Way) -> Options {
    Options {
        every_access: matches!(way, Way::Brute | Way::ReducedBrute),
        reduction: matches!(way, Way::Reduced | Way::ReducedBrute),
        ..Options::default()
    }
}

pub fn run(program: &mut Program, way: Way) -> Found<Bad, &'static str> {
    search(program, &options(way), &mut |_| ControlFlow::Continue(()))
}

/// What a verdict comes to: what is bad, the switches and steps to it.
pub fn bad<G: std::fmt::Debug>(verdict: &Verdict<Bad, G>) -> Option<(What<Bad>, u32, usize, bool)> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Violated { what, trail, switches, shortest } => {
            Some((what.clone(), *switches, trail.len(), *shortest))
        }
        Verdict::Undecided { why, .. } => panic!("undecided: {why:?}"),
    }
}
