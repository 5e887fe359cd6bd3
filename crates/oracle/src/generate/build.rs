//! Phrases that programs are made of.

use abi::hypercall::Hypercall;

use crate::program::{KEEPS, Op, Place, R8, RAX, RCX, RDI, RDX, RSI, Reg, Rmw, failure};
use crate::random::Random;

/// The code of a CPU or handler under construction.
pub(super) struct Build<'r> {
    pub(super) ops: Vec<Op>,
    pub(super) random: &'r mut Random,
    cpu: u8,
    /// Registers with results so far: R8 and following.
    results: u8,
    /// How many words, from the first on, plain accesses are to.
    pub(super) words: u64,
    /// Accesses of all widths and places.
    pub(super) mixed: bool,
}

impl<'r> Build<'r> {
    pub(super) fn new(random: &'r mut Random, cpu: u8, words: u64) -> Build<'r> {
        Build { ops: Vec::new(), random, cpu, results: 0, words, mixed: false }
    }

    pub(super) fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// A register for a result; the last one again when there is no more room for results.
    pub(super) fn result(&mut self) -> Reg {
        self.results = (self.results + 1).min(KEEPS as u8);
        R8 + self.results - 1
    }

    /// A register that has a result, or RBX, which has 0.
    pub(super) fn known(&mut self) -> Reg {
        match self.results {
            0 => crate::program::RBX,
            results => R8 + self.random.below(u64::from(results)) as u8,
        }
    }

    /// A place and a width.
    pub(super) fn place(&mut self) -> (u8, Place) {
        let word = self.random.below(self.words) as u16 * 8;
        if !self.mixed {
            return (8, Place::Data(word));
        }
        let width = self.random.one(&[1, 1, 2, 4, 4, 8]);
        let offset = match self.random.below(4) {
            0 => 0,
            1 => u16::from(8 - width),
            _ => self.random.below(8) as u16,
        };
        (width, Place::Data(word + offset))
    }

    /// A value that shows where its bytes come from.
    pub(super) fn value(&mut self) -> i32 {
        let low = self.random.below(4) as i32 + 1;
        if self.mixed { low * 0x0101_0101 * (1 + i32::from(self.cpu)) } else { low }
    }

    /// An access, or a fence.
    pub(super) fn access(&mut self) {
        let (width, place) = self.place();
        match self.random.below(12) {
            0..=3 => {
                let to = self.result();
                self.push(Op::Load(to, width, place));
            }
            4..=6 => {
                let value = self.value();
                self.push(Op::StoreImm(value, width, place));
            }
            7 => {
                let from = self.known();
                self.push(Op::Store(from, width, place));
            }
            8 | 9 => self.rmw(width, place),
            10 => self.push(Op::Mfence),
            _ => {
                let fence = self.random.one(&[Op::Mfence, Op::Lfence, Op::Sfence]);
                self.push(fence);
            }
        }
    }

    /// A store and a load of another word, with something between that may keep them in order.
    pub(super) fn store_and_load(&mut self) {
        let from = self.random.below(2) as u16 * 8;
        let value = self.value();
        self.push(Op::StoreImm(value, 8, Place::Data(from)));
        match self.random.below(5) {
            0 | 1 => self.push(Op::Mfence),
            2 => self.push(Op::Lfence),
            3 => self.push(Op::Sfence),
            _ => {}
        }
        let to = self.result();
        self.push(Op::Load(to, 8, Place::Data(8 - from)));
    }

    /// Waits for the store buffer, and does nothing else.
    pub(super) fn drain(&mut self) {
        self.push(Op::Mfence);
        self.push(Op::Lfence);
    }

    /// A read-modify-write.
    pub(super) fn rmw(&mut self, width: u8, place: Place) {
        let how = self.random.one(&[Rmw::Add, Rmw::Or, Rmw::Xadd, Rmw::Xchg, Rmw::Cmpxchg]);
        let locked = how == Rmw::Xchg || self.random.percent(60);
        if how == Rmw::Cmpxchg {
            let expected = self.random.below(3);
            self.push(Op::Set(RAX, expected));
        }
        let reg = match how {
            Rmw::Xadd | Rmw::Xchg => self.result(),
            _ => RDX,
        };
        let value = self.value() as u64 & 0x7fff_ffff;
        self.push(Op::Set(reg, value));
        self.push(Op::Rmw(how, locked, reg, width, place));
        if how == Rmw::Cmpxchg && self.random.percent(70) {
            let to = self.result();
            self.push(Op::Lea(to, RAX, 0));
        }
    }

    /// Waits until the word is not 0.
    pub(super) fn wait(&mut self, word: u16) {
        let at = self.ops.len();
        self.push(Op::Load(RCX, 8, Place::Data(8 * word)));
        self.push(Op::Jrcxz(at));
    }

    /// Takes a lock, which is 1 while free.
    pub(super) fn lock(&mut self, word: u16) {
        let at = self.ops.len();
        self.push(Op::Set(RCX, 0));
        self.push(Op::Rmw(Rmw::Xchg, true, RCX, 8, Place::Data(8 * word)));
        self.push(Op::Jrcxz(at));
    }

    /// The property is violated unless the register has that value.
    pub(super) fn require(&mut self, reg: Reg, value: i32, property: u64) {
        self.push(Op::Lea(RCX, reg, -value));
        let over = self.ops.len() + 3;
        self.push(Op::Jrcxz(over));
        self.push(Op::Set(RDI, failure(property)));
        self.push(Op::Call(Hypercall::Fail));
    }

    /// Sends by hypercall.
    pub(super) fn send(&mut self, to: u64, vector: u8) {
        self.push(Op::Set(RDI, to));
        self.push(Op::Set(RSI, u64::from(vector)));
        self.push(Op::Call(Hypercall::SendIpi));
    }

    /// Sends an NMI by hypercall.
    pub(super) fn send_nmi(&mut self, to: u64) {
        self.push(Op::Set(RDI, to));
        self.push(Op::Call(Hypercall::SendNmi));
    }

    /// Writes a register of the x2APIC.
    pub(super) fn wrmsr(&mut self, number: u64, value: u64, to: u64) {
        self.push(Op::Set(RCX, number));
        self.push(Op::Set(RAX, value));
        self.push(Op::Set(RDX, to));
        self.push(Op::Wrmsr);
    }

    /// One of a few values.
    pub(super) fn choose(&mut self, below: u64) {
        self.push(Op::Set(RDI, below));
        self.push(Op::Call(Hypercall::Choose));
    }

    /// The end of a CPU: its results are kept.
    pub(super) fn end(mut self) -> Vec<Op> {
        for slot in 0..self.results {
            self.push(Op::Keep(R8 + slot, self.cpu << 4 | slot));
        }
        self.push(Op::Ret);
        self.ops
    }

    /// The end of a handler.
    pub(super) fn end_handler(mut self, raw: bool) -> Vec<Op> {
        self.push(if raw { Op::Iret } else { Op::Ret });
        self.ops
    }
}
