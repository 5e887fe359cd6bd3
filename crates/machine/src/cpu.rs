//! One CPU.

use std::sync::Arc;

use mmu::Tlb;
use x86::{Regs, flags};
use xxhash_rust::xxh3::xxh3_128;

use crate::agent::Agent;
use crate::bits::{CR0_INITIAL, CR4_INITIAL};
use crate::buffer::Buffer;
use crate::layout;
use crate::next::NextOperation;
use crate::translation::UserAccess;

/// What a CPU's thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It executes instructions.
    Running,
    /// HLT: waits for an interrupt.
    Halted,
    /// Its closure has returned, or it never had one: idle with interrupts on.
    Ended,
}

/// The registers that are not an instruction's everyday business, and what the model adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) cr0: u64,
    pub(crate) cr2: u64,
    pub(crate) cr3: u64,
    pub(crate) cr4: u64,
    pub(crate) tsc_aux: u64,
    /// Interrupts are inhibited for one more instruction (STI).
    pub(crate) shadow: bool,
    pub(crate) halting: bool,
    /// Values of the accesses that a suspended instruction has already made, in order.
    pub(crate) latch: Vec<u64>,
    /// Stores that nobody else can see yet.
    pub(crate) buffer: Buffer,
    /// What may be cached of page tables.
    pub(crate) tlb: Arc<Tlb>,
    /// Next free address of the arenas of the thread and the interrupt level.
    pub(crate) arenas: [u64; 2],
}

/// What leaves several ways to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choosing {
    /// `choose` among this many.
    Among(u16),
    /// A translation: how many ways there are depends on page tables and caches.
    Translation(UserAccess),
}

/// A level that an interrupt has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    pub(crate) regs: Regs,
    pub(crate) vector: u8,
}

/// One CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    pub(crate) regs: Regs,
    pub(crate) system: System,
    pub(crate) activity: Activity,
    pub(crate) interrupted: Option<Box<Interrupted>>,
    /// Bit i: the i-th registered vector is pending.
    pub(crate) pending: u64,
    /// What it stands before has several ways to go on.
    pub(crate) choosing: Option<Choosing>,
    /// What each level does next. Part of the fingerprint: two ways to one instruction (out of HLT, and
    /// by a jump) may know more or less of what comes, and the search learns by program point.
    pub(crate) next: [Option<NextOperation>; 2],
}

impl Cpu {
    pub(crate) fn new(number: u8) -> Cpu {
        Cpu {
            regs: blank_regs(),
            system: System {
                cr0: CR0_INITIAL,
                cr2: 0,
                cr3: 0,
                cr4: CR4_INITIAL,
                tsc_aux: u64::from(number),
                shadow: false,
                halting: false,
                latch: Vec::new(),
                buffer: Buffer::default(),
                tlb: Arc::default(),
                arenas: [
                    layout::arena(Agent::thread(number)).0,
                    layout::arena(Agent::interrupt(number)).0,
                ],
            },
            activity: Activity::Ended,
            interrupted: None,
            pending: 0,
            choosing: None,
            next: [None, None],
        }
    }

    /// CR3 as MOV from CR3 reads it.
    pub fn cr3(&self) -> u64 {
        self.system.cr3
    }

    /// CR4.
    pub fn cr4(&self) -> u64 {
        self.system.cr4
    }

    /// RIP at its present level.
    pub fn rip(&self) -> u64 {
        self.regs.rip
    }

    /// RSP at its present level.
    pub fn rsp(&self) -> u64 {
        self.regs.gpr[x86::RSP]
    }

    /// What its thread is doing.
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// The agent that would go on.
    pub fn level(&self, number: u8) -> Agent {
        if self.interrupted.is_some() { Agent::interrupt(number) } else { Agent::thread(number) }
    }

    pub(crate) fn interrupt_flag(&self) -> bool {
        self.regs.rflags & flags::IF != 0
    }

    /// The registered vector that would be delivered now: the highest (SDM vol. 3 §10.8.3.1).
    pub(crate) fn deliverable(&self) -> Option<u16> {
        let open = self.pending != 0
            && self.interrupted.is_none()
            && self.interrupt_flag()
            && !self.system.shadow
            && self.system.latch.is_empty()
            && self.system.buffer.is_empty()
            && self.choosing.is_none();
        open.then(|| u16::try_from(63 - self.pending.leading_zeros()).expect("below 64"))
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.activity == Activity::Ended
            && self.interrupted.is_none()
            && self.pending == 0
            && self.system.buffer.is_empty()
    }

    pub(crate) fn fingerprint(&self) -> u128 {
        let mut bytes = Vec::with_capacity(640);
        let mut put = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        let s = &self.system;
        for value in [s.cr0, s.cr2, s.cr3, s.cr4, s.tsc_aux, s.arenas[0], s.arenas[1], self.pending]
        {
            put(value);
        }
        put(u64::from(s.shadow) | u64::from(s.halting) << 1);
        put(match self.activity {
            Activity::Running => 0,
            Activity::Halted => 1,
            Activity::Ended => 2,
        });
        match self.choosing {
            None => put(u64::MAX),
            Some(Choosing::Among(of)) => put(u64::from(of)),
            // The registers and `next` say which.
            Some(Choosing::Translation(access)) => {
                put(1 << 16 | u64::from(access.size));
                put(access.pointer);
            }
        }
        put(u64::try_from(s.latch.len()).unwrap_or(u64::MAX));
        s.latch.iter().for_each(|value| put(*value));
        put(u64::try_from(s.buffer.stores().len()).unwrap_or(u64::MAX));
        for store in s.buffer.stores() {
            put(store.location << 8 | u64::from(store.size));
            put(store.value);
        }
        s.tlb.digest(&mut put);
        for next in &self.next {
            match next {
                None => put(0),
                Some(next) => {
                    put(1 | u64::from(next.reducible) << 1);
                    put(next.point);
                    put(next.wait.code());
                    for (word, write) in next.touches() {
                        put(u64::from(word.0) << 1 | u64::from(*write));
                    }
                }
            }
        }
        put_regs(&self.regs, &mut put);
        if let Some(interrupted) = &self.interrupted {
            put(u64::from(interrupted.vector) + 1);
            put_regs(&interrupted.regs, &mut put);
        }
        xxh3_128(&bytes)
    }
}

fn put_regs(regs: &Regs, put: &mut impl FnMut(u64)) {
    regs.gpr.iter().for_each(|value| put(*value));
    for value in [regs.rip, regs.rflags, regs.fs_base, regs.gs_base, regs.kernel_gs_base] {
        put(value);
    }
    // Most code never touches the upper ones; a run of zeroes costs one word.
    let used = regs.xmm.iter().rposition(|value| *value != 0).map_or(0, |last| last + 1);
    put(u64::try_from(used).expect("at most 16"));
    for value in &regs.xmm[..used] {
        put(u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0));
        put(u64::try_from(value >> 64).unwrap_or(0));
    }
}

/// Registers at the start of anything: zero, interrupts on.
pub(crate) fn blank_regs() -> Regs {
    Regs {
        gpr: [0; 16],
        rip: 0,
        rflags: flags::FIXED | flags::IF,
        xmm: [0; 16],
        fs_base: 0,
        gs_base: 0,
        kernel_gs_base: 0,
    }
}
