//! Where a run is divided into steps changes nothing that the program can see.
//!
//! Random programs of one CPU run with no word shared, with every word shared, and with some: a step
//! then ends inside instructions, which are suspended and go on in the next. The memory they leave
//! must be the same, and every word that a step changes must have been told as written.

use std::collections::BTreeSet;

use abi::hypercall::Hypercall;
use abi::layout::IMAGE_BASE;
use machine::{Accesses, Agent, Config, Fill, Machine, MemoryModel, Segment, State, Word};
use proptest::collection::vec;
use proptest::prelude::*;

const DATA: u64 = IMAGE_BASE + 0x4000;
/// Bytes that instructions access, in the middle of the data.
const WINDOW: u64 = DATA + 0x100;
const DATA_BYTES: u64 = 0x300;
const CPU_CALL: u64 = IMAGE_BASE;
const RETURN: u64 = IMAGE_BASE + 0x10;
const SET_UP: u64 = IMAGE_BASE + 0x20;
const THREAD: u64 = IMAGE_BASE + 0x80;

const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;
const RBX: u8 = 3;
const RSI: u8 = 6;
const RDI: u8 = 7;

/// Which words are shared, and what was told of them.
struct Told<F> {
    shared: F,
    written: BTreeSet<Word>,
}

impl<F: Fn(Word) -> bool> Accesses for Told<F> {
    fn is_shared(&self, word: Word) -> bool {
        (self.shared)(word)
    }

    fn touch(&mut self, _: Agent, word: Word, write: bool) {
        if write {
            self.written.insert(word);
        }
    }
}

/// Machine code; R15 points to the window.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// An instruction with the memory operand `[r15 + at]`.
    fn memory(&mut self, prefixes: &[u8], wide: bool, opcode: &[u8], reg: u8, at: u8) {
        self.bytes(prefixes);
        self.0.push(0x41 | u8::from(wide) << 3);
        self.bytes(opcode);
        self.bytes(&[0x47 | reg << 3, at]);
    }

    fn load_immediate(&mut self, reg: u8, value: u64) {
        self.bytes(&[0x48, 0xb8 | reg]);
        self.bytes(&value.to_le_bytes());
    }
}

const NONE: &[u8] = &[];
const LOCK: &[u8] = &[0xf0];
const WORD: &[u8] = &[0x66];
const KINDS: u8 = 27;

/// One instruction, or a few that belong together.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: u8,
    /// Offset into the window, below 96.
    at: u8,
    other: u8,
    value: u64,
}

fn assemble(step: Step, code: &mut Code) {
    let Step { kind, at, other, value } = step;
    let low = value.to_le_bytes()[0];
    let aligned = at & !15;
    match kind {
        0 => code.load_immediate(RAX, value),
        1 => code.load_immediate(RCX, value),
        2 => code.memory(NONE, true, &[0x89], RAX, at),
        3 => code.memory(NONE, true, &[0x8b], RDX, at),
        4 => code.memory(NONE, false, &[0x88], RCX, at),
        5 => code.memory(WORD, false, &[0x89], RAX, at),
        // INC, ADD, SBB, NOT, SHL: plain read-modify-write of 8, 4, 2, 1 and 4 bytes.
        6 => code.memory(NONE, true, &[0xff], 0, at),
        7 => code.memory(NONE, false, &[0x01], RCX, at),
        8 => code.memory(WORD, false, &[0x19], RAX, at),
        9 => code.memory(NONE, false, &[0xf6], 2, at),
        10 => code.memory(NONE, false, &[0xd1], 4, at),
        // XCHG, LOCK XADD, LOCK INC, plain XADD.
        11 => code.memory(NONE, true, &[0x87], RDX, at),
        12 => code.memory(LOCK, true, &[0x0f, 0xc1], RAX, at),
        13 => code.memory(LOCK, false, &[0xff], 0, at),
        14 => code.memory(NONE, true, &[0x0f, 0xc1], RCX, at),
        // CMPXCHG, plain and locked; CMPXCHG16B, plain and locked.
        15 => code.memory(NONE, true, &[0x0f, 0xb1], RCX, at),
        16 => code.memory(LOCK, true, &[0x0f, 0xb1], RCX, at),
        17 => code.memory(NONE, true, &[0x0f, 0xc7], 1, aligned),
        18 => code.memory(LOCK, true, &[0x0f, 0xc7], 1, aligned),
        // MOVUPS to and from XMM3.
        19 => code.memory(NONE, false, &[0x0f, 0x10], 3, at),
        20 => code.memory(NONE, false, &[0x0f, 0x11], 3, at),
        // PUSH and POP of memory.
        21 => {
            code.memory(NONE, false, &[0xff], 6, at);
            code.memory(NONE, false, &[0x8f], 0, other);
        }
        // PUSHF; POP memory; PUSH memory; POP RAX.
        22 => {
            code.bytes(&[0x9c]);
            code.memory(NONE, false, &[0x8f], 0, at);
            code.memory(NONE, false, &[0xff], 6, at);
            code.bytes(&[0x58]);
        }
        // String instructions: MOVSQ, REP MOVSB, REP STOSD, REPE CMPSB.
        _ => {
            code.load_immediate(RSI, WINDOW + u64::from(at));
            code.load_immediate(RDI, WINDOW + u64::from(other));
            code.load_immediate(RCX, u64::from(low % 6));
            code.bytes(match kind {
                23 => &[0x48, 0xa5],
                24 => &[0xf3, 0xa4],
                25 => &[0xf3, 0xab],
                _ => &[0xf3, 0xa6],
            });
        }
    }
}

fn program(steps: &[Step]) -> Vec<u8> {
    let mut code = Code::default();
    // ud2 at the two calls; then `lamprey_cpu(0, THREAD, 0)`.
    code.bytes(&[0x0f, 0x0b]);
    code.0.resize(0x10, 0xcc);
    code.bytes(&[0x0f, 0x0b]);
    code.0.resize(0x20, 0xcc);
    code.load_immediate(RDI, 0);
    code.load_immediate(RSI, THREAD);
    code.load_immediate(RDX, 0);
    code.load_immediate(RAX, CPU_CALL);
    code.bytes(&[0xff, 0xd0, 0xc3]);
    code.0.resize(usize::try_from(THREAD - IMAGE_BASE).expect("small"), 0xcc);
    // mov r15, WINDOW
    code.bytes(&[0x49, 0xbf]);
    code.bytes(&WINDOW.to_le_bytes());
    steps.iter().for_each(|step| assemble(*step, &mut code));
    // Flags and registers to behind the window.
    code.bytes(&[0x9c]);
    code.memory(NONE, false, &[0x8f], 0, 0x78);
    for (reg, slot) in [RAX, RCX, RDX, RBX, RSI, RDI].into_iter().zip(8..) {
        code.bytes(&[0x49, 0x89, 0x87 | reg << 3]);
        code.bytes(&(slot * 16u32).to_le_bytes());
    }
    code.bytes(&[0xc3]);
    code.0
}

fn machine(steps: &[Step], config: Config) -> Machine {
    let bytes = program(steps);
    let size = u64::try_from(bytes.len()).expect("small");
    assert!(size <= DATA - IMAGE_BASE, "the code reaches into the data");
    let filled = (0..DATA_BYTES).map(|n| u8::try_from(n * 37 % 251).expect("below 251")).collect();
    let text = Segment { va: IMAGE_BASE, bytes, size, writable: false, executable: true };
    let data =
        Segment { va: DATA, bytes: filled, size: DATA_BYTES, writable: true, executable: false };
    let calls = [(CPU_CALL, Hypercall::Cpu), (RETURN, Hypercall::Return)];
    Machine::new(&[text, data], &calls, config).expect("a machine")
}

fn data(machine: &Machine, state: &State) -> Vec<u64> {
    let word = |n| machine.peek(state, DATA + n * 8, 8).expect("mapped");
    (0..DATA_BYTES / 8).map(word).collect()
}

/// Runs to the end, the store buffer draining at odd moments; the memory that is left, and how many steps
/// it took.
fn run(steps: &[Step], config: Config, shared: impl Fn(Word) -> bool) -> (Vec<u64>, u32) {
    let mut machine = machine(steps, config);
    let mut told = Told { shared, written: BTreeSet::new() };
    let mut state = machine.start(SET_UP, &mut told, &mut ()).expect("set-up");
    let mut taken = 0;
    while !state.ended() {
        let mut choices = Vec::new();
        machine.choices(&state, |agent, pick| choices.push((agent, pick)));
        let (agent, pick) = match choices[..] {
            [only] => only,
            [drain, thread] => {
                assert_eq!((drain.0, thread.0), (Agent::hardware(0), Agent::thread(0)));
                if mix(taken) % 5 < 2 { drain } else { thread }
            }
            _ => panic!("one CPU has {choices:?}"),
        };
        told.written.clear();
        let before = state.clone();
        machine.step(&mut state, agent, pick, &mut told, &mut ()).expect("a step");
        if !config.masking {
            assert_told(&machine, &before, &state, &told.written);
        }
        taken += 1;
        assert!(taken < 100_000, "it does not end");
    }
    (data(&machine, &state), taken)
}

/// A number that looks like chance.
fn mix(n: u32) -> u32 {
    (n ^ n >> 3).wrapping_mul(0x9e37_79b1) >> 7
}

const TSO: Config = Config { fill: Fill::Eager, memory_model: MemoryModel::Tso, masking: true };
const SC: Config = Config { fill: Fill::Eager, memory_model: MemoryModel::Sc, masking: true };

/// Every word of the data that differs was told as written.
fn assert_told(machine: &Machine, before: &State, after: &State, written: &BTreeSet<Word>) {
    let (old, new) = (data(machine, before), data(machine, after));
    for (va, (old, new)) in (DATA..).step_by(8).zip(old.iter().zip(&new)) {
        if old != new {
            let told = written
                .iter()
                .filter_map(|word| word.location())
                .any(|location| machine.layout().address(location) == va);
            assert!(told, "the change of {va:#x} was not told");
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..KINDS, 0..96u8, 0..96u8, any::<u64>())
        .prop_map(|(kind, at, other, value)| Step { kind, at, other, value });
    vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn suspension_is_not_seen(steps in steps(), salt in any::<u32>()) {
        let (whole, none) = run(&steps, TSO, |_| false);
        prop_assert_eq!(none, 0, "nothing is shared, yet it stops");
        let same = |other: &[u64]| differences(&whole, other);
        let nothing: Vec<String> = Vec::new();
        let some = |word: Word| (word.0 ^ salt).wrapping_mul(0x9e37_79b1) >> 31 == 1;
        for config in [SC, TSO] {
            let (every, taken) = run(&steps, config, |_| true);
            prop_assert!(taken > 6, "all is shared, yet there are {} steps", taken);
            prop_assert_eq!(same(&every), nothing.clone(), "every word shared");
            prop_assert_eq!(same(&run(&steps, config, some).0), nothing.clone(), "some words shared");
            let config = Config { masking: false, ..config };
            prop_assert_eq!(same(&run(&steps, config, some).0), nothing.clone(), "some words shared, no masking");
            prop_assert_eq!(same(&run(&steps, config, |_| true).0), nothing.clone(), "every word shared, no masking");
        }
    }
}

/// Which words differ, and how.
fn differences(left: &[u64], right: &[u64]) -> Vec<String> {
    (0..)
        .zip(left.iter().zip(right))
        .filter(|(_, (left, right))| left != right)
        .map(|(n, (left, right))| format!("{:#x}: {left:#x}, {right:#x}", DATA + n * 8))
        .collect()
}

/// Two ways to one state have one fingerprint; a state on the way has another.
#[test]
fn fingerprints_tell_states() {
    let step = |kind, at, value| Step { kind, at, other: 0, value };
    let mut seen = BTreeSet::new();
    let steps = [step(0, 0, 5), step(2, 8, 0), step(6, 16, 0), step(12, 24, 0)];
    let mut machine = machine(&steps, SC);
    let mut told = Told { shared: |_: Word| true, written: BTreeSet::new() };
    let mut state = machine.start(SET_UP, &mut told, &mut ()).expect("set-up");
    let again = machine.start(SET_UP, &mut told, &mut ()).expect("set-up");
    assert_eq!(state.fingerprint(), again.fingerprint(), "set-up is deterministic");
    while !state.ended() {
        assert!(seen.insert(state.fingerprint()), "no state of this run comes twice");
        let twin = state.clone();
        machine.step(&mut state, Agent::thread(0), 0, &mut told, &mut ()).expect("a step");
        assert!(seen.contains(&twin.fingerprint()), "a snapshot stays what it was");
    }
}

/// MOVSQ onto itself, across words: stopped before the second half of its store, it must not load
/// the first half again.
#[test]
fn a_string_move_onto_itself() {
    let steps = [Step { kind: 23, at: 11, other: 17, value: 0 }];
    let (whole, _) = run(&steps, TSO, |_| false);
    for salt in 0..64u32 {
        let some = |word: Word| (word.0 ^ salt).wrapping_mul(0x9e37_79b1) >> 31 == 1;
        let nothing: Vec<String> = Vec::new();
        for config in [SC, TSO] {
            assert_eq!(differences(&whole, &run(&steps, config, some).0), nothing, "salt {salt}");
        }
    }
}
