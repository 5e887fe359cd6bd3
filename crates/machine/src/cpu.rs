//! One CPU.

use std::sync::Arc;

use interrupts::{Gate, InService, NmiBlocking, Shadow, exceeds, processor_priority};
use memory::buffer::Buffer;
use mmu::Tlb;
use registers::bits::{CR0_INITIAL, CR4_INITIAL};
use registers::msr::Msrs;
use x86::{Regs, flags};
use xxhash_rust::xxh3::xxh3_128;

use crate::agent::{Agent, LEVELS, STACKS};
use crate::frames::Frames;
use crate::layout;
use crate::next::NextOperation;
use crate::registered::Handler;
use crate::requests::Requests;
use crate::walker::UserAccess;

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
    pub(crate) msrs: Msrs,
    /// What is inhibited for one more instruction.
    pub(crate) shadow: Shadow,
    pub(crate) nmis: NmiBlocking,
    pub(crate) halting: bool,
    /// Vectors that were delivered to a raw handler, and not acknowledged.
    pub(crate) in_service: InService,
    /// Values of the accesses that a suspended instruction has already made, in order.
    pub(crate) latch: Vec<u64>,
    /// Stores that nobody else can see yet.
    pub(crate) buffer: Buffer,
    /// What may be cached of page tables.
    pub(crate) tlb: Arc<Tlb>,
    /// Next free address of the arenas of the thread, the interrupt and the NMI levels.
    pub(crate) arenas: [u64; 3],
}

/// What leaves several ways to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choosing {
    /// `choose` among this many.
    Among(u16),
    /// A translation: how many ways there are depends on page tables and caches.
    Translation(UserAccess),
}

/// What an interrupt has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    /// Its registers. For a handler with a frame they are there, too: here they say when it has returned.
    pub(crate) regs: Regs,
    /// The handler that runs instead, and at which level.
    pub(crate) by: Handler,
    pub(crate) level: usize,
}

/// One CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    pub(crate) regs: Regs,
    pub(crate) system: System,
    pub(crate) activity: Activity,
    /// The innermost last.
    pub(crate) interrupted: Vec<Interrupted>,
    /// Interrupts that were sent and not yet delivered, by the rank of their vectors.
    pub(crate) pending: Requests,
    /// NMIs that were, all of rank 0.
    pub(crate) nmis: Requests,
    /// What it stands before has several ways to go on.
    pub(crate) choosing: Option<Choosing>,
    /// What each level does next. Part of the fingerprint: two ways to one instruction (out of HLT, and
    /// by a jump) may know more or less of what comes, and the search learns by program point.
    pub(crate) next: [Option<NextOperation>; LEVELS],
    /// Which frames are gone, on the stacks of the thread, the interrupt and the NMI levels.
    pub(crate) frames: [Frames; STACKS],
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
                msrs: Msrs::new(number),
                shadow: Shadow::None,
                nmis: NmiBlocking::Open,
                halting: false,
                in_service: InService::default(),
                latch: Vec::new(),
                buffer: Buffer::default(),
                tlb: Arc::default(),
                arenas: [
                    layout::arena(Agent::thread(number)).0,
                    layout::arena(Agent::interrupt(number)).0,
                    layout::arena(Agent::nmi(number)).0,
                ],
            },
            activity: Activity::Ended,
            interrupted: Vec::new(),
            pending: Requests::default(),
            nmis: Requests::default(),
            choosing: None,
            next: [None; LEVELS],
            frames: [Frames::default(); STACKS],
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
        Agent::at_level(number, self.level_number())
    }

    pub(crate) fn level_number(&self) -> usize {
        self.interrupted.last().map_or(0, |interrupted| interrupted.level)
    }

    /// Of how many levels, from the thread's on, the memory below the stack pointer is free for a handler that
    /// runs above them: one with a frame, which finds the stack pointer there.
    fn lent_levels(&self) -> usize {
        let with_frame = self.interrupted.iter().filter(|interrupted| interrupted.by.raw);
        with_frame.map(|interrupted| interrupted.level).max().unwrap_or(0)
    }

    /// Which frames are gone for others than their owner.
    pub(crate) fn gone_frames(&self) -> [Frames; STACKS] {
        let mut frames = self.frames;
        let lent = self.lent_levels().min(STACKS);
        frames[..lent].fill(Frames::default());
        frames
    }

    pub(crate) fn interrupt_flag(&self) -> bool {
        self.regs.rflags & flags::IF != 0
    }

    /// The registered vectors that could be delivered now, by rank: those that may be the highest to have
    /// arrived, if the priority class is above those in service (SDM vol. 3 §10.8.3.1).
    pub(crate) fn deliverable(&self, handlers: &[Handler]) -> impl Iterator<Item = u16> {
        let open = self.interrupted.is_empty()
            && self.gate().takes_interrupts()
            && self.is_between_instructions();
        // The task priority, which nothing here can set, is 0.
        let priority = processor_priority(0, self.system.in_service);
        let ranks = self.pending.next();
        ranks.filter(move |rank| open && exceeds(handlers[usize::from(*rank)].vector, priority))
    }

    /// Would an NMI be delivered now, if there were one?
    pub(crate) fn takes_nmi(&self) -> bool {
        self.gate().takes_nmis() && self.is_between_instructions()
    }

    /// What lets events pass or holds them.
    pub(crate) fn gate(&self) -> Gate {
        let System { nmis, shadow, .. } = self.system;
        Gate { interrupts: self.interrupt_flag(), nmis, shadow }
    }

    /// No instruction is suspended, and the store buffer is empty, as delivery wants it (SDM vol. 3
    /// §11.10). `choose` is no instruction of the guest: before it and after it are the same.
    fn is_between_instructions(&self) -> bool {
        self.system.latch.is_empty()
            && self.system.buffer.is_empty()
            && !matches!(self.choosing, Some(Choosing::Among(_)))
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.activity == Activity::Ended
            && self.interrupted.is_empty()
            && self.pending.is_empty()
            && self.nmis.is_empty()
            && self.system.buffer.is_empty()
    }

    pub(crate) fn fingerprint(&self) -> u128 {
        let mut bytes = Vec::with_capacity(640);
        let mut put = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        let s = &self.system;
        for value in [s.cr0, s.cr2, s.cr3, s.cr4] {
            put(value);
        }
        s.msrs.words().into_iter().for_each(&mut put);
        s.in_service.vectors().words().into_iter().for_each(&mut put);
        self.pending.words().into_iter().chain(self.nmis.words()).for_each(&mut put);
        s.arenas.iter().for_each(|value| put(*value));
        self.frames.iter().flat_map(|frames| frames.digest()).for_each(&mut put);
        let (shadow, nmi_shadow) = (s.shadow.holds_interrupts(), s.shadow.holds_nmis());
        let bits = [shadow, s.halting, nmi_shadow, s.nmis.is_blocked()];
        put(bits.iter().fold(0, |sum, bit| sum << 1 | u64::from(*bit)));
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
        put(u64::try_from(s.buffer.fenced()).unwrap_or(u64::MAX));
        for store in s.buffer.stores() {
            put(store.location << 8 | u64::from(store.paged) << 7 | u64::from(store.size));
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
        for interrupted in &self.interrupted {
            put(u64::from(interrupted.by.vector) + 1);
            put(u64::try_from(interrupted.level).unwrap_or(u64::MAX));
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
