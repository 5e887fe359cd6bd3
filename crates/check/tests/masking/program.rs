//! Generated programs that use their stacks in every way: machine code, one thread for each CPU.

use abi::hypercall::Hypercall;
use abi::layout::IMAGE_BASE;
use machine::{Entry, Segment};
use proptest::collection::vec;
use proptest::prelude::*;

/// Words that all CPUs share: R15 points to them.
pub(crate) const SHARED: u64 = IMAGE_BASE + 0x4000;
/// The words of the data, those of each CPU and its result included.
pub(crate) const DATA_WORDS: u64 = 0x100 / 8;
const DATA_BYTES: u64 = 0x4000;
const RETURN: u64 = IMAGE_BASE;
const CHOOSE: u64 = IMAGE_BASE + 8;
const THREADS: u64 = IMAGE_BASE + 0x10;
/// What a CPU's thread takes at most.
const THREAD_BYTES: u64 = 0x800;

/// Offsets from R14, a CPU's own words.
const OTHER_STACK: u8 = 0;
const FIRST_STACK: u8 = 8;
const POINTER: u8 = 16;
/// Offset from R15 of the pointer that CPUs hand out.
const HANDED: u8 = 16;

/// What a thread does next. `at` are places, in quadwords.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// An atomic update of a shared word: a step can end here. What it was is added to R13, whose value is what
    /// all others store; loads are added to R12, which is the result.
    Count {
        word: u8,
    },
    /// R13 grows by 0 or 1.
    Choose,
    /// A store below the stack pointer, of 1, 4 or 8 bytes.
    Below {
        at: u8,
        size: u8,
    },
    /// A load from there into the sum.
    ReadBelow {
        at: u8,
    },
    /// A function with a frame of `size` that stores into it.
    Call {
        size: u8,
        at: u8,
    },
    /// A function with a frame of `size` that reads from it.
    CallUninitialised {
        size: u8,
        at: u8,
    },
    /// A frame of a size that is a shared word's value.
    Alloca {
        word: u8,
        at: u8,
    },
    Push,
    /// Only after a push.
    Pop,
    /// To the other stack, or back.
    Switch,
    /// Keeps a pointer to what is below the stack pointer.
    Keep {
        at: u8,
    },
    /// Reads through it.
    ReadKept,
    /// Stores through it.
    WriteKept,
    /// Hands the pointer to other CPUs.
    HandOut,
    /// Reads through a pointer that was handed out.
    ReadHanded,
    /// Stores through it.
    WriteHanded,
}

/// A thread: where its other stack is, and what it does.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    /// Quadwords below the top of its own stack, or in the data if none.
    below: Option<u8>,
    ops: Vec<Op>,
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Thread>> {
    // Few places, so that they meet.
    let at = || prop_oneof![3 => 17..21u8, 1 => 1..40u8];
    let size = || 20..24u8;
    let word = || 0..2u8;
    let op = prop_oneof![
        6 => word().prop_map(|word| Op::Count { word }),
        1 => Just(Op::Choose),
        3 => (at(), prop_oneof![Just(1u8), Just(4), Just(8)])
            .prop_map(|(at, size)| Op::Below { at, size }),
        3 => at().prop_map(|at| Op::ReadBelow { at }),
        3 => (size(), 0..6u8).prop_map(|(size, at)| Op::Call { size, at }),
        3 => (size(), 0..6u8).prop_map(|(size, at)| Op::CallUninitialised { size, at }),
        1 => (word(), 0..6u8).prop_map(|(word, at)| Op::Alloca { word, at }),
        2 => Just(Op::Push),
        2 => Just(Op::Pop),
        2 => Just(Op::Switch),
        3 => at().prop_map(|at| Op::Keep { at }),
        3 => Just(Op::ReadKept),
        1 => Just(Op::WriteKept),
        2 => Just(Op::HandOut),
        1 => Just(Op::ReadHanded),
        1 => Just(Op::WriteHanded),
    ];
    let other = prop_oneof![
        4 => word().prop_map(|word| Op::Count { word }),
        3 => Just(Op::ReadHanded),
        1 => Just(Op::WriteHanded),
        1 => op.clone(),
    ];
    let below = || prop_oneof![Just(None), (24..80u8).prop_map(Some)];
    let first = (below(), vec(op, 5..14)).prop_map(|(below, mut ops)| {
        ops.insert(0, Op::Choose);
        Thread { below, ops }
    });
    let second = (below(), vec(other, 1..5)).prop_map(|(below, ops)| Thread { below, ops });
    (first, second).prop_map(|(first, second)| vec![first, second])
}

const ADD_RSP: [u8; 3] = [0x48, 0x81, 0xc4];
const SUB_RSP: [u8; 3] = [0x48, 0x81, 0xec];
const ADD_R13_RAX: [u8; 3] = [0x49, 0x01, 0xc5];
/// MOV and ADD without their memory operands.
const STORE_R13: [u8; 2] = [0x4c, 0x89];
const ADD_TO_R12: [u8; 2] = [0x4c, 0x03];

fn quadwords(n: u8) -> i32 {
    8 * i32::from(n)
}

/// Machine code.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn load_immediate(&mut self, opcode: [u8; 2], value: u64) {
        self.bytes(&opcode);
        self.bytes(&value.to_le_bytes());
    }

    /// An instruction with the memory operand `[rsp + disp]`.
    fn on_stack(&mut self, opcode: &[u8], reg: u8, disp: i32) {
        self.bytes(opcode);
        self.bytes(&[0x84 | reg << 3, 0x24]);
        self.bytes(&disp.to_le_bytes());
    }

    /// One with `[r14 + disp]` (`base` 6) or `[r15 + disp]` (7); the opcode has its REX.
    fn in_data(&mut self, opcode: &[u8], reg: u8, base: u8, disp: u8) {
        self.bytes(opcode);
        self.bytes(&[0x40 | reg << 3 | base, disp]);
    }

    /// `test rcx, rcx`, and past `body` if that is zero.
    fn unless_null(&mut self, body: &[u8]) {
        self.bytes(&[0x48, 0x85, 0xc9, 0x74, u8::try_from(body.len()).expect("short")]);
        self.bytes(body);
    }

    fn op(&mut self, op: Op, pushed: &mut u32) {
        match op {
            Op::Count { word } => {
                self.bytes(&[0xb8, 1, 0, 0, 0]);
                // lock xadd [r15 + word], rax
                self.in_data(&[0xf0, 0x49, 0x0f, 0xc1], 0, 7, 8 * word);
                self.bytes(&ADD_R13_RAX);
            }
            Op::Choose => {
                self.bytes(&[0xbf, 2, 0, 0, 0]);
                self.load_immediate([0x48, 0xb8], CHOOSE);
                self.bytes(&[0xff, 0xd0]);
                self.bytes(&ADD_R13_RAX);
            }
            Op::Below { at, size } => {
                let opcode: &[u8] = match size {
                    1 => &[0x44, 0x88],
                    4 => &[0x44, 0x89],
                    _ => &STORE_R13,
                };
                self.on_stack(opcode, 5, -quadwords(at));
            }
            // add r12, [rsp - at]
            Op::ReadBelow { at } => self.on_stack(&ADD_TO_R12, 4, -quadwords(at)),
            Op::Call { size, at } => self.call(size, at, &STORE_R13, 5),
            Op::CallUninitialised { size, at } => self.call(size, at, &ADD_TO_R12, 4),
            Op::Alloca { word, at } => self.alloca(word, at),
            Op::Push => {
                self.bytes(&[0x41, 0x55]);
                *pushed += 1;
            }
            // pop rcx; add r12, rcx
            Op::Pop if *pushed > 0 => {
                self.bytes(&[0x59, 0x49, 0x01, 0xcc]);
                *pushed -= 1;
            }
            Op::Pop => {}
            // xchg [r14 + …], rsp
            Op::Switch => self.in_data(&[0x49, 0x87], 4, 6, OTHER_STACK),
            Op::Keep { at } => {
                // lea rcx, [rsp - at]; mov [r14 + …], rcx
                self.on_stack(&[0x48, 0x8d], 1, -quadwords(at));
                self.in_data(&[0x49, 0x89], 1, 6, POINTER);
            }
            Op::ReadKept | Op::WriteKept => {
                self.in_data(&[0x49, 0x8b], 1, 6, POINTER);
                self.through(matches!(op, Op::ReadKept));
            }
            Op::HandOut => {
                self.in_data(&[0x49, 0x8b], 1, 6, POINTER);
                self.in_data(&[0x49, 0x89], 1, 7, HANDED);
            }
            Op::ReadHanded | Op::WriteHanded => {
                self.in_data(&[0x49, 0x8b], 1, 7, HANDED);
                self.through(matches!(op, Op::ReadHanded));
            }
        }
    }

    /// A call of a function with a frame of `size` in which it accesses a quadword.
    fn call(&mut self, size: u8, at: u8, opcode: &[u8], reg: u8) {
        let mut body = Code::default();
        body.bytes(&SUB_RSP);
        body.bytes(&quadwords(size).to_le_bytes());
        body.on_stack(opcode, reg, quadwords(at));
        body.bytes(&ADD_RSP);
        body.bytes(&quadwords(size).to_le_bytes());
        body.bytes(&[0xc3]);
        // To right behind the jump over it.
        self.bytes(&[0xe8, 2, 0, 0, 0, 0xeb, u8::try_from(body.0.len()).expect("short")]);
        self.bytes(&body.0);
    }

    fn alloca(&mut self, word: u8, at: u8) {
        // mov rbp, rsp; mov rcx, [r15 + word]; and ecx, 7; shl ecx, 4
        self.bytes(&[0x48, 0x89, 0xe5]);
        self.in_data(&[0x49, 0x8b], 1, 7, 8 * word);
        self.bytes(&[0x83, 0xe1, 7, 0xc1, 0xe1, 4]);
        self.bytes(&SUB_RSP);
        self.bytes(&64i32.to_le_bytes());
        // sub rsp, rcx; mov [rsp + at], r13; mov rsp, rbp
        self.bytes(&[0x48, 0x29, 0xcc]);
        self.on_stack(&STORE_R13, 5, quadwords(at));
        self.bytes(&[0x48, 0x89, 0xec]);
    }

    /// `add r12, [rcx]`, or `mov [rcx], r13`, unless RCX is null.
    fn through(&mut self, read: bool) {
        self.unless_null(if read { &[0x4c, 0x03, 0x21] } else { &[0x4c, 0x89, 0x29] });
    }

    fn thread(&mut self, number: u64, thread: &Thread) {
        let own = SHARED + 0x20 + 0x20 * number;
        self.load_immediate([0x49, 0xbf], SHARED);
        self.load_immediate([0x49, 0xbe], own);
        // xor r12d, r12d; xor r13d, r13d; mov [r14 + …], rsp
        self.bytes(&[0x45, 0x31, 0xe4, 0x45, 0x31, 0xed]);
        self.in_data(&[0x49, 0x89], 4, 6, FIRST_STACK);
        match thread.below {
            Some(below) => self.on_stack(&[0x48, 0x8d], 1, -8 * i32::from(below)),
            None => self.load_immediate([0x48, 0xb9], SHARED + 0x1000 * (number + 1)),
        }
        self.in_data(&[0x49, 0x89], 1, 6, OTHER_STACK);
        // Pushes and pops of the two stacks mix: what a pop may not go below is the sum of both.
        let (mut pushed, mut other) = (0, 0);
        for op in &thread.ops {
            self.op(*op, &mut pushed);
            if matches!(op, Op::Switch) {
                std::mem::swap(&mut pushed, &mut other);
            }
        }
        // mov rsp, [r14 + …], if it was switched or something is pushed; mov [r14 + 24], r12; ret
        if thread.ops.iter().any(|op| matches!(op, Op::Switch | Op::Push)) {
            self.in_data(&[0x49, 0x8b], 4, 6, FIRST_STACK);
        }
        self.in_data(&[0x4d, 0x89], 4, 6, 24);
        self.bytes(&[0xc3]);
    }
}

/// The segments, the hypercalls and where the threads begin.
pub(crate) fn assemble(threads: &[Thread]) -> (Vec<Segment>, Vec<(u64, Hypercall)>, Vec<Entry>) {
    let mut code = Code(vec![0x0f, 0x0b, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0x0f, 0x0b]);
    let mut entries = Vec::new();
    for (number, thread) in (0..).zip(threads) {
        let start = THREADS + THREAD_BYTES * number;
        code.0.resize(usize::try_from(start - IMAGE_BASE).expect("small"), 0xcc);
        code.thread(number, thread);
        entries.push(Entry { function: start, data: 0 });
    }
    let size = u64::try_from(code.0.len()).expect("small");
    assert!(size <= SHARED - IMAGE_BASE, "the code reaches into the data");
    let text = Segment { va: IMAGE_BASE, bytes: code.0, size, writable: false, executable: true };
    let data = Segment {
        va: SHARED,
        bytes: Vec::new(),
        size: DATA_BYTES,
        writable: true,
        executable: false,
    };
    (vec![text, data], vec![(RETURN, Hypercall::Return), (CHOOSE, Hypercall::Choose)], entries)
}
