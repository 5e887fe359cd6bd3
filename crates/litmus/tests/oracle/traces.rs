//! Traces of a single thread, for every value that its loads could return.

use std::collections::BTreeSet;

use iced_x86::{Encoder, OpKind};
use litmus::{Test, TestThread};
use x86::{At, Env, Fault, Fence, Lowered, Op, Regs};

/// More instructions than a test without loops executes.
const INSTRUCTIONS: usize = 200;
/// Base address of instructions: instruction *i* of a thread is at this plus 16 *i*.
const CODE: u64 = 0x1000;

/// An access or a fence, in program order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TraceEvent {
    pub(crate) kind: TraceEventKind,
    pub(crate) va: u64,
    pub(crate) size: u8,
    pub(crate) value: u64,
    /// `true` for a part of a LOCKed instruction.
    pub(crate) locked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TraceEventKind {
    Read,
    Write,
    /// MFENCE.
    Fence,
}

impl TraceEvent {
    /// Returns the bits of its word that it touches, and their values.
    pub(crate) fn bits(&self) -> (u64, u64) {
        let shift = 8 * (self.va % 8);
        let mask = u64::MAX >> (64 - 8 * u32::from(self.size));
        (mask << shift, (self.value & mask) << shift)
    }

    pub(crate) fn word(&self) -> u64 {
        self.va & !7
    }
}

/// A possible run of one thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace {
    pub(crate) events: Vec<TraceEvent>,
    pub(crate) registers: [u64; 16],
}

/// Returns all traces of each thread.
pub(crate) fn traces(test: &Test) -> Vec<Vec<Trace>> {
    let mut stores: BTreeSet<(u64, u8, u64)> =
        test.words().into_iter().map(|(word, value)| (word, 8, value)).collect();
    let programs: Vec<Vec<(Op, u64)>> = test.threads.iter().map(program).collect();
    let mut round = 0;
    loop {
        let all: Vec<Vec<Trace>> = test
            .threads
            .iter()
            .zip(&programs)
            .map(|(thread, program)| of_thread(thread, program, &stores))
            .collect();
        let events = all.iter().flatten().flat_map(|trace| &trace.events);
        let written: Vec<(u64, u8, u64)> = events
            .filter(|event| event.kind == TraceEventKind::Write)
            .map(|event| (event.va, event.size, event.value))
            .collect();
        let before = stores.len();
        stores.extend(&written);
        // A value passes through each store at most once.
        let longest = |traces: &Vec<Trace>| {
            let stores = |trace: &Trace| {
                trace.events.iter().filter(|event| event.kind == TraceEventKind::Write).count()
            };
            traces.iter().map(stores).max().unwrap_or(0)
        };
        let most: usize = all.iter().map(longest).sum();
        if stores.len() == before || round > most {
            return all;
        }
        round += 1;
    }
}

/// Returns the instructions of a thread and their addresses.
fn program(thread: &TestThread) -> Vec<(Op, u64)> {
    let place = |number: u64| CODE + 16 * (number - 1);
    let instructions = (1..).zip(&thread.code).map(|(number, instruction)| {
        let mut instruction = *instruction;
        if instruction.op0_kind() == OpKind::NearBranch64 {
            instruction.set_near_branch64(place(instruction.near_branch64()));
        }
        let mut encoder = Encoder::new(64);
        encoder.encode(&instruction, place(number)).expect("the test was assembled");
        match x86::lower(&encoder.take_buffer(), place(number)) {
            Lowered::Op(op) => (op, place(number)),
            Lowered::Unsupported { text, .. } => panic!("{text} is not in the interpreter"),
            Lowered::Incomplete => panic!("a truncated instruction"),
        }
    });
    instructions.collect()
}

fn of_thread(
    thread: &TestThread,
    program: &[(Op, u64)],
    stores: &BTreeSet<(u64, u8, u64)>,
) -> Vec<Trace> {
    let mut done = Vec::new();
    let mut open: Vec<Vec<u64>> = vec![Vec::new()];
    while let Some(loads) = open.pop() {
        let mut run = ThreadRun { loads: &loads, next: 0, events: Vec::new() };
        match run.go(thread, program) {
            Ok(registers) => done.push(Trace { events: run.events, registers }),
            Err(ThreadStop::Load(at)) => {
                for value in values(at, stores) {
                    let mut loads = loads.clone();
                    loads.push(value);
                    open.push(loads);
                }
            }
            Err(ThreadStop::Fault(fault)) => panic!("a test must not fault: {fault:?}"),
        }
    }
    done
}

/// Returns the values that a load could return: for each part of its bytes that no access divides,
/// the value of any store.
fn values(at: At, stores: &BTreeSet<(u64, u8, u64)>) -> BTreeSet<u64> {
    let end = at.va + u64::from(at.size);
    let over: Vec<_> =
        stores.iter().filter(|(va, size, _)| *va < end && va + u64::from(*size) > at.va).collect();
    let mut cuts: BTreeSet<u64> = [at.va, end].into();
    let ends = over.iter().flat_map(|(va, size, _)| [*va, va + u64::from(*size)]);
    cuts.extend(ends.filter(|cut| (at.va..end).contains(cut)));
    let cuts: Vec<u64> = cuts.into_iter().collect();
    let mut all: BTreeSet<u64> = [0].into();
    for pair in cuts.windows(2) {
        let covering =
            over.iter().filter(|(va, size, _)| *va <= pair[0] && va + u64::from(*size) >= pair[1]);
        let parts: BTreeSet<u64> = covering
            .map(|(va, _, value)| {
                let mask = u64::MAX >> (64 - 8 * (pair[1] - pair[0]));
                (value >> (8 * (pair[0] - va)) & mask) << (8 * (pair[0] - at.va))
            })
            .collect();
        all = all.iter().flat_map(|low| parts.iter().map(move |part| low | part)).collect();
    }
    all
}

enum ThreadStop {
    /// A load whose value is not chosen yet.
    Load(At),
    Fault(Fault),
}

impl From<Fault> for ThreadStop {
    fn from(fault: Fault) -> ThreadStop {
        ThreadStop::Fault(fault)
    }
}

/// A thread that runs alone.
struct ThreadRun<'a> {
    loads: &'a [u64],
    next: usize,
    events: Vec<TraceEvent>,
}

impl ThreadRun<'_> {
    fn go(&mut self, thread: &TestThread, program: &[(Op, u64)]) -> Result<[u64; 16], ThreadStop> {
        let mut regs = Regs {
            gpr: [0; 16],
            rip: CODE,
            rflags: 2,
            xmm: [0; 16],
            fs_base: 0,
            gs_base: 0,
            kernel_gs_base: 0,
        };
        for (register, value) in &thread.registers {
            regs.gpr[register.number()] = *value;
        }
        let mut at = 0;
        for _ in 0..INSTRUCTIONS {
            let Some((op, rip)) = program.get(at) else { return Ok(regs.gpr) };
            regs.rip = *rip;
            x86::exec(op, &mut regs, self)?;
            let jumped = regs.rip.checked_sub(CODE).filter(|offset| offset % 16 == 0);
            at = match jumped {
                // An instruction has less than 16 bytes, so one that does not jump ends in between.
                Some(offset) => usize::try_from(offset / 16).expect("few instructions"),
                None => at + 1,
            };
        }
        panic!("this oracle cannot run loops");
    }
}

impl Env for ThreadRun<'_> {
    type Stop = ThreadStop;

    /// No litmus test has an instruction for this.
    fn unmodelled(&mut self, what: String) -> ThreadStop {
        unreachable!("{what}")
    }

    fn load(&mut self, at: At) -> Result<u64, ThreadStop> {
        let value = *self.loads.get(self.next).ok_or(ThreadStop::Load(at))?;
        self.next += 1;
        let At { va, size, locked, .. } = at;
        self.events.push(TraceEvent { kind: TraceEventKind::Read, va, size, value, locked });
        Ok(value)
    }

    fn store(&mut self, at: At, value: u64) -> Result<(), ThreadStop> {
        let At { va, size, locked, .. } = at;
        let value = value & (u64::MAX >> (64 - 8 * u32::from(size)));
        self.events.push(TraceEvent { kind: TraceEventKind::Write, va, size, value, locked });
        Ok(())
    }

    fn fence(&mut self, fence: Fence) -> Result<(), ThreadStop> {
        // SFENCE and LFENCE order nothing more than x86-TSO orders anyway.
        if fence == Fence::Mfence {
            let fence =
                TraceEvent { kind: TraceEventKind::Fence, va: 0, size: 8, value: 0, locked: false };
            self.events.push(fence);
        }
        Ok(())
    }

    fn cpl(&self) -> u8 {
        0
    }
}
